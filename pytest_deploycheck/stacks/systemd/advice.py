"""Where failed checks are usually mended in the units of a project."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from pytest_deploycheck.advice import Advice
from pytest_deploycheck.config import Config

ADVICE = {
    "BOOT001": ("WantedBy", "[Install] WantedBy=multi-user.target, and `systemctl enable` for the unit"),
    "RST002": ("KillMode", "KillMode=mixed or control-group, so that what is left of a dead server goes too"),
    "RST003": ("Restart", "Restart=always: on-failure leaves an app down that exits with status 0"),
    "RST006": (
        "StartLimitBurst",
        "StartLimitIntervalSec= longer than StartLimitBurst= crashes take, with RestartSec= between them",
    ),
    "RST007": ("TimeoutStopSec", "KillMode=mixed, and a TimeoutStopSec= after which the rest is killed"),
    "RST008": (
        "TimeoutStopSec",
        "TimeoutStopSec= above the server's own graceful timeout, and KillSignal=SIGTERM",
    ),
    "RST009": ("ExecReload", "ExecReload= that replaces one worker after the other"),
    "MEM002": (
        "MemoryMax",
        "MemoryMax= for the unit, with OOMPolicy=continue, so that only the biggest worker goes",
    ),
    "RES004": ("LimitNOFILE", "LimitNOFILE= above what the processes hold"),
    "PRE001": ("Requires", "Requires= and After= for the unit of the previous steps"),
    "PRE009": ("TimeoutStartSec", "TimeoutStartSec=infinity for the unit of the previous steps"),
}


def advice_of(check_id: str, config: Config, app: str) -> Iterator[Advice]:
    """Yield what to change for a failed check, at the line of the setting in the project's own files.

    Args:
        app: the file of the app's unit.
    """
    if check_id not in ADVICE:
        return
    key, text = ADVICE[check_id]
    named = Path(config.manager_config)
    folder = named.parent if named.suffix == ".service" else named
    for file in [folder / app, *sorted((config.root / folder).glob("*.service.d/*.conf"))]:
        with contextlib.suppress(OSError):
            lines = (config.root / file).read_text(encoding="utf-8").splitlines()
            numbers = [number for number, line in enumerate(lines, start=1) if line.startswith(f"{key}=")]
            if numbers:
                yield Advice(str(file), numbers[-1], text)
                return
    yield Advice(str(folder / app), None, text)
