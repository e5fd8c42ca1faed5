"""A sign of life of each worker, which `deploy/guard.py` watches in HEARTBEAT_DIR."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from {{ cookiecutter.project_slug }}.processes import started

EVERY_S = 1


@contextmanager
def beating() -> Iterator[None]:
    """Touch a file from the event loop again and again: when the loop hangs, the file grows old (RST004)."""
    folder = os.environ.get("HEARTBEAT_DIR")
    if folder is None:  # nobody watches, in tests for example
        yield
        return
    pid = os.getpid()
    file = Path(folder, f"{pid}-{started(pid)}")
    task = asyncio.create_task(_beat(file))
    yield
    task.cancel()
    file.unlink(missing_ok=True)


async def _beat(file: Path) -> None:
    while True:
        _touch(file)
        await asyncio.sleep(EVERY_S)


def _touch(file: Path) -> None:
    with suppress(OSError):
        file.touch()
