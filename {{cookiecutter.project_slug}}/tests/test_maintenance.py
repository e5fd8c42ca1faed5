"""What is done once for a deployment."""

from pathlib import Path

from {{ cookiecutter.project_slug }}.maintenance import maintain


def test_can_be_done_again(database: Path) -> None:
    """A start that is repeated does it once more, which does no harm."""
    for _ in range(2):
        maintain(f"sqlite+aiosqlite:///{database}")
