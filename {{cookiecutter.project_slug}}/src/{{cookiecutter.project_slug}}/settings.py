"""The values of a deployment: from the environment, {% if cookiecutter.process_manager in ("compose", "swarm") %}`.env` or files of secrets{% else %}else from `.env`{% endif %}, all checked before anything starts."""

{% if cookiecutter.process_manager in ("compose", "swarm") -%}
from pathlib import Path
{% endif -%}
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from {{ cookiecutter.project_slug }} import cpus

TOKEN_LENGTH = 20
{%- if cookiecutter.process_manager in ("compose", "swarm") %}
# A file for each secret, with the name of its setting: on this machine, and in a container.
SECRETS = [folder for folder in (Path(".secrets"), Path("/run/secrets")) if folder.is_dir()]
{%- endif %}
{%- if cookiecutter.process_manager not in ("kubernetes", "cloud") %}
Port = Annotated[int, Field(ge=1, le=65535)]
{%- endif %}


def _number_of_workers(value: object) -> object:
    return cpus.available() if value == "auto" else value


class Settings(BaseSettings):
    """One field for each line of `.env`{% if cookiecutter.process_manager in ("compose", "swarm") %} and each secret, also what{% else %}, also for those that{% endif %} only {{ {"supervisor": "Supervisor", "systemd": "deploy/enable", "compose": "Compose", "swarm": "Swarm", "kubernetes": "the image", "cloud": "the image"}[cookiecutter.process_manager] }} or proxy read: mistakes are told."""

    model_config = SettingsConfigDict(env_file=".env"{% if cookiecutter.process_manager in ("compose", "swarm") %}, secrets_dir=SECRETS{% endif %}, extra="ignore", frozen=True)

    environment: Literal["development", "production"] = "production"
    domain: str = Field(pattern=r"^[A-Za-z0-9.-]+$")
    path_prefix: str = Field(pattern=r"^(/[A-Za-z0-9._~-]+)*$")
{%- if cookiecutter.process_manager not in ("kubernetes", "cloud") %}
    http_port: Port
    https_port: Port
{%- endif %}
{%- if cookiecutter.https_proxy == "traefik" %}
    app_port: Port
{%- elif cookiecutter.https_proxy == "haproxy" %}
    certbot_port: Port
{%- endif %}
    api_token: SecretStr
{%- if cookiecutter.process_manager in ("compose", "swarm") and cookiecutter.database == "postgresql" %}
    database_password: SecretStr | None = None
{%- endif %}
    database_url: str
{%- if cookiecutter.database == "postgresql" %}
    database_connections: int = Field(ge=1, le=10_000)
{%- endif %}
{%- if cookiecutter.process_manager in ("kubernetes", "cloud") %}
    database_pools: int = Field(ge=1)
{%- endif %}
{%- if cookiecutter.process_manager == "swarm" %}
    replicas: int = Field(ge=1, le=12)
{%- endif %}
    web_concurrency: Annotated[int, BeforeValidator(_number_of_workers), Field(ge=1, le=256)]
    memory_limit_mb: int = Field(ge=1)
{%- if cookiecutter.process_manager == "kubernetes" %}
    cluster_networks: str = Field(min_length=1)
{%- elif cookiecutter.process_manager == "cloud" %}
    platform_networks: str = Field(min_length=1)
    client_header: str = Field(pattern=r"^[A-Za-z0-9-]+$")
{%- endif %}
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @field_validator("api_token")
    @classmethod
    def _strong(cls, token: SecretStr, info: ValidationInfo) -> SecretStr:
        if info.data.get("environment") != "development" and len(token.get_secret_value()) < TOKEN_LENGTH:
            raise ValueError(f"it needs at least {TOKEN_LENGTH} random characters outside development")
        return token

    @field_validator("database_url")
    @classmethod
{%- if cookiecutter.database == "postgresql" %}
    def _postgresql(cls, value: str{% if cookiecutter.process_manager in ("compose", "swarm") %}, info: ValidationInfo{% endif %}) -> str:
        try:
            url = make_url(value)
        except ArgumentError:
            raise ValueError("it is no database URL such as postgresql+psycopg://user:password@host/name") from None
        if url.drivername != "postgresql+psycopg" or not url.database:
            raise ValueError("it must name a database, such as postgresql+psycopg://user:password@host/name")
        if url.password == "change-me":  # noqa: S105
            raise ValueError("its password is that of .env.example")
{%- if cookiecutter.process_manager in ("compose", "swarm") %}
        password = info.data.get("database_password")
        if password and url.password is None:
            return url.set(password=password.get_secret_value()).render_as_string(hide_password=False)
{%- endif %}
        return value

    @field_validator("web_concurrency")
    @classmethod
    def _a_connection_for_each(cls, workers: int, info: ValidationInfo) -> int:
{%- if cookiecutter.process_manager == "swarm" %}
        wanted = workers * info.data.get("replicas", 1)
        if wanted > info.data.get("database_connections", wanted):
{%- else %}
        if workers > info.data.get("database_connections", workers):
{%- endif %}
            raise ValueError("each worker needs a connection, and DATABASE_CONNECTIONS is less than that")
        return workers
{%- else %}
    def _sqlite_file(cls, value: str) -> str:
        try:
            url = make_url(value)
        except ArgumentError:
            raise ValueError("it is no database URL such as sqlite+aiosqlite:///var/data/app.db") from None
        if url.drivername != "sqlite+aiosqlite" or url.database in {None, "", ":memory:"}:
            raise ValueError("it must name a file, such as sqlite+aiosqlite:///var/data/app.db")
        return value
{%- endif %}


def load() -> Settings:
    """Read the settings, or end the process with one line for each that is wrong."""
    try:
        return Settings()
    except ValidationError as error:
        raise SystemExit("\n".join(map(_line, error.errors(include_url=False)))) from None


def _line(problem: ErrorDetails) -> str:
    name = str(problem["loc"][0]).upper()
{%- if cookiecutter.process_manager in ("compose", "swarm") %}
    place = ".secrets/api_token" if name == "API_TOKEN" else ".env"
{%- endif %}
    if problem["type"] == "missing":
        return f"{name} is missing: write it into {% if cookiecutter.process_manager in ("compose", "swarm") %}{place}{% else %}.env{% endif %}, or set it in the environment"
    return f"{name} is wrong in {% if cookiecutter.process_manager in ("compose", "swarm") %}{place}{% else %}.env{% endif %} or in the environment: {problem['msg'].removeprefix('Value error, ')}"
