"""What no proxy of one's own does here, the app does."""

import pytest
from fastapi.testclient import TestClient

from {{ cookiecutter.project_slug }}.application import create_app
from {{ cookiecutter.project_slug }}.settings import Settings


def test_browsers_stay_on_https(client: TestClient) -> None:
    """Each answer says so, a refusal too."""
    for path in ("/health/live", "/no-such-page"):
        assert "max-age=31536000" in client.get(path).headers["Strict-Transport-Security"]


def test_metrics_are_not_for_the_public(client: TestClient) -> None:
    """What comes through the platform's edge has X-Forwarded-For."""
    assert client.get("/metrics", headers={"X-Forwarded-For": "192.0.2.1"}).status_code == 404
    assert client.get("/metrics").status_code == 200


@pytest.mark.parametrize(
    ("peer", "headers", "seen"),
    [
        ("10.0.0.1", [("X-Forwarded-For", "192.0.2.66, 192.0.2.1")], "192.0.2.1"),
        ("10.0.0.1", [("X-Forwarded-For", "192.0.2.66"), ("Client-Ip", "192.0.2.1")], "192.0.2.1"),
        ("10.0.0.1", [("Client-Ip", "192.0.2.66"), ("Client-Ip", "192.0.2.1")], "192.0.2.1"),
        ("192.0.2.9", [("X-Forwarded-For", "192.0.2.66"), ("Client-Ip", "192.0.2.66")], "192.0.2.9"),
    ],
)
def test_client_is_whom_the_platform_names(
    settings: Settings, peer: str, headers: list[tuple[str, str]], seen: str
) -> None:
    """Of nobody but the platform it is believed, and of a list only what its edge has added."""
    app = create_app(settings.model_copy(update={"client_header": "client-ip"}))
    clients: list[str] = []

    @app.middleware("http")
    async def note(request, call_next):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        clients.append(request.client.host)
        return await call_next(request)

    # The middleware that was added last is outermost: it has to be inside of those that know the client.
    app.user_middleware.append(app.user_middleware.pop(0))
    with TestClient(app, "https://testserver", client=(peer, 50000)) as client:
        client.get("/health/live", headers=headers)
    assert clients == [seen]
