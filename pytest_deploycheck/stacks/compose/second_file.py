"""The second Compose file, which stands beside the project's own and moves what only production has."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pytest_deploycheck.probes import inside
from pytest_deploycheck.sandbox.run import ProjectCopy
from pytest_deploycheck.stacks.compose.services import Services, is_certbot, mount_of

# Where containers see the processes of the whole machine: what the probe writes down are pids as the machine has them.
PROC = "/deploycheck/proc"


def second_file(
    copy: ProjectCopy,
    services: Services,
    *,
    image: str,
    environment: Mapping[str, str],
    proxy: tuple[str, str],
    database: Callable[[Mapping[str, str]], Mapping[str, Any]],
) -> dict[str, Any]:
    """Return the file.

    Args:
        copy: the copy that runs; containers see the folder of its run at the path that it has here.
        services: what the project's own file says.
        image: the name of the image that is built from the copy.
        environment: more variables for all services.
        proxy: the name of its service, and its command here.
        database: gives what is moved of the service that is the database, which gets some variables.
    """
    folder, probe = copy.run.folder, str(Path(inside.__file__).parent)
    variables = {**copy.environment(environment), "DEPLOYCHECK_PROC": PROC}
    places = services.mounts()
    moved: dict[str, Any] = {}
    for name, service in services.by_name.items():
        if name == services.database:
            # The same for each command: Compose 2 makes a container anew whose definition has changed.
            always = copy.environment().items()
            moved[name] = database({key: value for key, value in always if key != "PYTHONPATH"})
            continue
        mounts = [mount_of(mount) for mount in service.get("volumes") or ()]
        volumes = [f"{folder}:{folder}", f"/proc:{PROC}:ro"]
        volumes += [f"{places[source].here}:{target}" for source, target in mounts if source in places]
        moved[name] = {"user": "0:0", "volumes": volumes, "environment": dict(variables)}
        if services.is_own(service):
            moved[name]["image"] = image
        if services.is_own(service) or is_certbot(service):
            volumes.append(f"{probe}:{probe}:ro")
        else:
            moved[name]["environment"].pop("PYTHONPATH")
    moved[proxy[0]]["command"] = shlex.split(proxy[1])
    return {**_version(copy), "services": moved}


def _version(copy: ProjectCopy) -> dict[str, str]:
    """Return the version that the project's file names: old Compose wants the same in all files."""
    text = (copy.root / copy.run.config.manager_config).read_text(encoding="utf-8")
    found = re.search(r"^version:\s*['\"]?([\d.]+)", text, re.MULTILINE)
    return {"version": found[1]} if found else {}
