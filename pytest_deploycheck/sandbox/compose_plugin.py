"""Compose as a plugin of the command ``docker``, wherever this machine has it.

https://docs.docker.com/compose/install/linux/; how ``docker`` finds plugins: docker/cli, cli-plugins/manager.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from pytest_deploycheck.sandbox.tools import SYSTEM_PATH

PLUGIN = "docker-compose"
# Debian 12 has Compose as a program, which is no plugin: it lacks the one subcommand that docker asks plugins for.
SHIM = """\
#!/bin/sh
[ "$1" != docker-cli-plugin-metadata ] || {{
    echo '{{"SchemaVersion": "0.1.0", "Vendor": "deploycheck", "Version": "1", "ShortDescription": "{program}"}}'
    exit
}}
[ "$1" != compose ] || shift
exec {program} "$@"
"""


def put_into(home: Path) -> str | None:
    """Let ``docker compose`` work for a user whose HOME is ``home``; return what was moved for it, if anything.

    Plugins of the system are found from any HOME. Those of the user who runs the checks are linked, and the program
    ``docker-compose`` gets a plugin that calls it, if there is nothing else.
    """
    plugins = home / ".docker/cli-plugins"
    target = plugins / PLUGIN
    own = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker") / "cli-plugins" / PLUGIN
    program = shutil.which(PLUGIN, path=SYSTEM_PATH)
    if target.exists() or is_in_system():
        return None
    if own.is_file():
        plugins.mkdir(parents=True)
        target.symlink_to(own)
    elif program:
        plugins.mkdir(parents=True)
        target.write_text(SHIM.format(program=program), encoding="utf-8")
        target.chmod(0o755)
        return f"docker compose -> {program}"
    return None


def is_in_system() -> bool:
    """Tell whether ``docker`` finds it for all users."""
    folders = ("/usr/local/lib/docker", "/usr/local/libexec/docker", "/usr/lib/docker", "/usr/libexec/docker")
    return any((Path(folder) / "cli-plugins" / PLUGIN).is_file() for folder in folders)
