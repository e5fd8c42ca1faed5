"""A machine of its own, in which this machine's systemd is booted: ``systemd-nspawn`` on a root that is nearly empty.

Its programs are this machine's, read-only; its configuration is not, so nothing is started there but what the project
has enabled. It shares the network, so its ports are reached on loopback as all others. It needs root, for a booted
systemd has rights that only root can give: https://systemd.io/CONTAINER_INTERFACE/.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pytest_deploycheck.outcome import NotVerified
from pytest_deploycheck.probes.wait import wait_for
from pytest_deploycheck.sandbox.run import ProjectCopy
from pytest_deploycheck.sandbox.tools import require

# What a machine has of its own. All other folders of this machine's root are there, read-only.
OWN = frozenset(("dev", "etc", "lost+found", "proc", "run", "sys", "tmp", "var"))
# Of this machine's /etc: what programs need to find libraries, users and certificates.
SHARED_ETC = (
    "alternatives",
    "ca-certificates",
    "group",
    "haproxy",
    "hosts",
    "ld.so.cache",
    "localtime",
    "mime.types",
    "nginx",
    "nsswitch.conf",
    "os-release",
    "passwd",
    "pki",
    "protocols",
    "services",
    "ssl",
)
# What a machine without a console, without logins and without packages to come does not need.
MASKED = (
    "console-getty.service",
    "systemd-firstboot.service",
    "systemd-logind.service",
    "systemd-sysusers.service",
)
# All lines come to the console, and stand in the journal's files as they were written.
JOURNAL = "[Journal]\nStorage=persistent\nCompress=no\nForwardToConsole=yes\nMaxLevelConsole=debug\n"
SYSTEMD = Path("/usr/lib/systemd/systemd")
OLDEST_VERSION = 240
BOOT_DEADLINE_S = 20.0

# Each machine gets control groups of its own, also the memory controller of the old hierarchy, which systemd-nspawn
# would share with all others. Where this machine's own systemd runs, that does the same with a scope.
ENTER_GROUPS = """
name=$0
while IFS=: read -r _ controller path; do
    controller=${controller#name=}
    folder=/sys/fs/cgroup/${controller:-unified}
    [ -d "$folder" ] || folder=/sys/fs/cgroup
    case ,$controller, in ,,|,memory,|,systemd,) ;; *) continue ;; esac
    mkdir -p "$folder$path/$name" && echo $$ > "$folder$path/$name/cgroup.procs"
done < /proc/self/cgroup 2>/dev/null
exec "$@"
"""
# systemd-nspawn shows that controller read-only. Without this, MemoryMax= would limit nothing.
INIT = f"""#!/bin/sh
mount -o remount,rw,bind /sys/fs/cgroup/memory 2>/dev/null
exec {SYSTEMD}
"""


def require_machines(environment: Path) -> None:
    """Make sure that machines can be booted here.

    Raises:
        NotVerified: a tool is missing, or root.
    """
    require("systemd-nspawn", environment, install="apt-get install systemd-container")
    if os.geteuid() != 0:
        raise NotVerified(
            "systemd is booted on a machine of its own, which needs root: "
            f"sudo {sys.executable} -m pytest --deploycheck"
        )


@dataclass(frozen=True)
class Machine:
    """The machine of one copy of the project; its root, with all that it has written, outlives a power cut."""

    copy: ProjectCopy

    @property
    def root(self) -> Path:
        """Its root folder."""
        return self.copy.root.with_suffix(".machine")

    @property
    def name(self) -> str:
        """Its name, also that of its control groups."""
        return f"{self.copy.run.folder.name}-{self.copy.root.name}"

    @property
    def proc(self) -> Path:
        """Where this machine's /proc is to be seen there: a process learns from it which pid it has here."""
        return self.copy.root.with_suffix(".proc")

    def make(self) -> None:
        """Make its root: no packages, no services."""
        for folder in ("etc/systemd/system", "var/log/journal", *OWN):
            (self.root / folder).mkdir(parents=True, exist_ok=True)
        self.proc.mkdir()
        for path in Path("/").iterdir():
            if path.is_symlink():
                (self.root / path.name).symlink_to(path.readlink())
            elif path.is_dir():
                (self.root / path.name).mkdir(exist_ok=True)
        etc = self.root / "etc"
        for name in SHARED_ETC:
            path = Path("/etc", name)
            if path.is_symlink():
                (etc / name).symlink_to(path.readlink())
            elif path.is_dir():
                (etc / name).mkdir()
            elif path.is_file():
                (etc / name).touch()
        (etc / "machine-id").write_text(f"{self.copy.run.tag[-32:]}\n", encoding="ascii")
        (etc / "hostname").write_text(f"{self.name}\n", encoding="ascii")
        units = etc / "systemd/system"
        (units / "default.target").symlink_to("/usr/lib/systemd/system/multi-user.target")
        for name in MASKED:
            (units / name).symlink_to("/dev/null")
        # By this name, which /usr hides later, systemd-nspawn learns that systemd is new enough for both hierarchies.
        versions = self.root / "usr/lib/systemd"
        versions.mkdir(parents=True)
        (versions / f"libsystemd-shared-{OLDEST_VERSION}.so").touch()
        (self.root / "init").write_text(INIT, encoding="utf-8")
        (self.root / "init").chmod(0o755)

    def show_journals(self, namespaces: Iterable[str]) -> None:
        """Let all journals come to the console: that of the machine, and those of units with one of their own."""
        for namespace in ("", *filter(None, namespaces)):
            name = f"journald@{namespace}" if namespace else "journald"
            folder = self.root / f"etc/systemd/{name}.conf.d"
            folder.mkdir(exist_ok=True)
            (folder / "zz-deploycheck.conf").write_text(JOURNAL, encoding="utf-8")

    def boot(self, environment: Mapping[str, str], shown: Iterable[Path]) -> subprocess.Popen[bytes]:
        """Boot it, and return once it has a first process.

        Args:
            environment: what all services get.
            shown: folders that are to be seen there though they are in a folder that the machine has of its own.

        Raises:
            NotVerified: it has none in time.
        """
        values = {**self.copy.environment(environment), "DEPLOYCHECK_PROC": str(self.proc)}
        lines = " ".join(quoted(f"{name}={value}") for name, value in values.items())
        (self.root / "etc/systemd/system.conf").write_text(
            f"[Manager]\nShowStatus=no\nDefaultEnvironment={lines}\n", encoding="utf-8"
        )
        began = self.copy.log_file.stat().st_size if self.copy.log_file.exists() else 0
        process = self.copy.spawn(shlex.join(self._command(shown)))
        wait_for(
            lambda: self.first_pid(process) or process.poll() is not None, bool, deadline_s=BOOT_DEADLINE_S
        )
        if not self.first_pid(process):
            said = self.copy.log_file.read_bytes()[began:].decode(errors="replace").strip()
            raise NotVerified(
                f"systemd-nspawn cannot boot a machine here: {said[-300:] or 'it says nothing'}"
            )
        return process

    def _command(self, shown: Iterable[Path]) -> list[str]:
        folder = self.copy.run.folder
        binds = [
            *(f"--bind-ro={path}" for path in (*_shared(), *shown)),
            f"--bind={folder}:{folder}:norbind",
            f"--bind-ro=/proc:{self.proc}",
        ]
        has_scopes = Path("/run/systemd/system").is_dir()
        tag, _, value = self.copy.run.tag.partition("=")
        return [
            *(() if has_scopes else ("/bin/sh", "-c", ENTER_GROUPS, self.name)),
            "systemd-nspawn",
            "--quiet",
            f"--directory={self.root}",
            f"--machine={self.name}",
            "--register=no",
            *(() if has_scopes else ("--keep-unit",)),
            "--console=read-only",
            "--link-journal=no",
            "--timezone=off",
            f"--setenv={tag}={value}",
            f"--setenv={self.copy.tag}",
            *binds,
            "/init",
        ]

    @staticmethod
    def first_pid(process: subprocess.Popen[bytes]) -> int:
        """Return the pid, here, of the machine's first process, once that is systemd; 0 before."""
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        with contextlib.suppress(OSError):
            for pid in children.read_text(encoding="ascii").split():
                if Path(f"/proc/{pid}/exe").readlink() == SYSTEMD:
                    return int(pid)
        return 0

    @staticmethod
    def inside(pid: int, argv: list[str]) -> list[str]:
        """Return the command line that runs ``argv`` in the machine whose first process is ``pid``."""
        return ["nsenter", f"--target={pid}", "--mount", "--pid", "--uts", "--ipc", "--cgroup", "--", *argv]


def _shared() -> list[Path]:
    """Return what a machine has of this one, as it is here; links are made anew."""
    folders = [path for path in sorted(Path("/").iterdir()) if path.is_dir() and path.name not in OWN]
    return [
        path
        for path in (*folders, *(Path("/etc", name) for name in SHARED_ETC))
        if path.exists() and not path.is_symlink()
    ]


def quoted(word: str) -> str:
    """Return a word as systemd's files take it; see ``systemd.syntax(7)``. ``%`` begins a specifier."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'
