"""Values of a deployment that are wrong stop the start with one line each."""

from pathlib import Path

import pytest
{%- if cookiecutter.process_manager in ("compose", "swarm") and cookiecutter.database == "postgresql" %}
from sqlalchemy import make_url
{%- endif %}

from {{ cookiecutter.project_slug }} import settings

GOOD = {
    "ENVIRONMENT": "production",
    "DOMAIN": "notes.example.com",
    "PATH_PREFIX": "/api",
{%- if cookiecutter.process_manager not in ("kubernetes", "cloud") %}
    "HTTP_PORT": "80",
    "HTTPS_PORT": "443",
{%- endif %}
{%- if cookiecutter.https_proxy == "traefik" %}
    "APP_PORT": "8000",
{%- elif cookiecutter.https_proxy == "haproxy" %}
    "CERTBOT_PORT": "8402",
{%- endif %}
    "API_TOKEN": "long enough to be random",
{%- if cookiecutter.database == "postgresql" %}
    "DATABASE_URL": "postgresql+psycopg://notes:xyzzy@localhost/notes",
    "DATABASE_CONNECTIONS": "20",
{%- if cookiecutter.process_manager in ("kubernetes", "cloud") %}
    "DATABASE_POOLS": "10",
{%- endif %}
{%- else %}
    "DATABASE_URL": "sqlite+aiosqlite:///var/data/notes.db",
{%- endif %}
{%- if cookiecutter.process_manager == "swarm" %}
    "REPLICAS": "2",
{%- endif %}
    "WEB_CONCURRENCY": "2",
    "MEMORY_LIMIT_MB": "512",
{%- if cookiecutter.process_manager == "kubernetes" %}
    "CLUSTER_NETWORKS": "10.0.0.0/8",
{%- elif cookiecutter.process_manager == "cloud" %}
    "PLATFORM_NETWORKS": "10.0.0.0/8",
    "CLIENT_HEADER": "x-forwarded-for",
{%- endif %}
}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Read no `.env`{% if cookiecutter.process_manager in ("compose", "swarm") %} and no secrets{% endif %} but the test's own, and start from good values."""
    monkeypatch.chdir(tmp_path)
{%- if cookiecutter.process_manager in ("compose", "swarm") %}
    monkeypatch.setitem(settings.Settings.model_config, "secrets_dir", tmp_path)
{%- endif %}
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)


def test_good_values_are_read() -> None:
    """What the environment says is what the app gets."""
    assert settings.load().web_concurrency == 2


def test_environment_beats_dotenv(tmp_path: Path) -> None:
    """A line of `.env` is only a default."""
    (tmp_path / ".env").write_text("WEB_CONCURRENCY=9\nLOG_LEVEL=DEBUG\n")
    loaded = settings.load()
    assert (loaded.web_concurrency, loaded.log_level) == (2, "DEBUG")


@pytest.mark.parametrize("name", [name for name in GOOD if name != "ENVIRONMENT"])
def test_missing_value_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No traceback: the name, and what to do."""
    monkeypatch.delenv(name)
    with pytest.raises(SystemExit, match=rf"\A{name} is missing: .*\Z"):
        settings.load()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("API_TOKEN", "change-me"),
        ("DATABASE_URL", "garbage"),
        ("DATABASE_URL", "mysql://user:xyzzy@host/notes"),
{%- if cookiecutter.database == "postgresql" %}
        ("DATABASE_URL", "postgresql+psycopg://user:change-me@host/notes"),
        ("DATABASE_CONNECTIONS", "0"),
{%- if cookiecutter.process_manager in ("kubernetes", "cloud") %}
        ("DATABASE_POOLS", "0"),
{%- endif %}
{%- else %}
        ("DATABASE_URL", "sqlite+aiosqlite://"),
{%- endif %}
        ("DOMAIN", "https://notes.example.com"),
        ("ENVIRONMENT", "test"),
{%- if cookiecutter.process_manager not in ("kubernetes", "cloud") %}
        ("HTTPS_PORT", "65536"),
{%- endif %}
        ("PATH_PREFIX", "/api/"),
{%- if cookiecutter.process_manager == "swarm" %}
        ("REPLICAS", "13"),  # more than the proxy's places
{%- endif %}
        ("WEB_CONCURRENCY", "0"),
{%- if cookiecutter.database == "postgresql" %}
        ("WEB_CONCURRENCY", "21"),  # more than the connections
{%- endif %}
    ],
)
def test_wrong_value_is_named_but_not_shown(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line, and no secret in it."""
    monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit, match=rf"\A{name} is wrong .*\Z") as refused:
        settings.load()
    assert "xyzzy" not in str(refused.value)
    assert "change-me" not in str(refused.value)


def test_all_wrong_values_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has to start five times."""
    monkeypatch.setenv("WEB_CONCURRENCY", "many")
    monkeypatch.delenv("API_TOKEN")
    with pytest.raises(SystemExit) as refused:
        settings.load()
    assert len(str(refused.value).splitlines()) == 2


def test_weak_token_will_do_for_development(monkeypatch: pytest.MonkeyPatch) -> None:
    """On one's own machine it need not be strong."""
    monkeypatch.setenv("ENVIRONMENT", "development")
    monkeypatch.setenv("API_TOKEN", "x")
    assert settings.load().api_token.get_secret_value() == "x"
{%- if cookiecutter.process_manager in ("compose", "swarm") %}


def test_token_is_in_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A container gets it as a file; where that is empty, it is named."""
    monkeypatch.delenv("API_TOKEN")
    (tmp_path / "api_token").write_text("long enough to be random too\n")
    assert settings.load().api_token.get_secret_value() == "long enough to be random too"
    (tmp_path / "api_token").write_text("\n")
    with pytest.raises(SystemExit, match=r"\AAPI_TOKEN is wrong in \.secrets/api_token "):
        settings.load()
{%- endif %}
{%- if cookiecutter.process_manager in ("compose", "swarm") and cookiecutter.database == "postgresql" %}


def test_password_is_in_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A container gets the password of the database as a file, and the URL has none."""
    (tmp_path / "database_password").write_text("p@ss w/rd\n")
    monkeypatch.setenv("DATABASE_URL", "postgresql+psycopg://notes@/notes?host=/var/run/postgresql")
    assert make_url(settings.load().database_url).password == "p@ss w/rd"  # noqa: S105
{%- endif %}
