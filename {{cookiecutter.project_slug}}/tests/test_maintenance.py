"""What is done once for a deployment."""

from {{ cookiecutter.project_slug }}.maintenance import maintain
from {{ cookiecutter.project_slug }}.settings import Settings


def test_can_be_done_again(settings: Settings) -> None:
    """A start that is repeated does it once more, which does no harm."""
    for _ in range(2):
        maintain(settings.database_url)
