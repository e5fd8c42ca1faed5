"""Programs run one after the other, each with a line that says what is going on and how long it took."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path
    from types import FrameType

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
GRACE_S = 60
DROPPED_VARIABLES = (
    "PIP_PREFIX",
    "PIP_TARGET",
    "PIP_USER",
    "PYTHONHOME",
    "PYTHONPATH",
    "VIRTUAL_ENV",
)


class StepError(Exception):
    """A step that could not be done; its text is what the user reads."""


class Interrupted(BaseException):
    """The user or the system asked to stop; the child has been waited for."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = 128 + number


def say(text: str) -> None:
    """Print one line at once, also into a pipe."""
    print(text, flush=True)


@contextlib.contextmanager
def step(text: str) -> Iterator[None]:
    """Say what begins, and how long it took."""
    say(f"==> {text}")
    start = time.monotonic()
    yield
    say(f"    {time.monotonic() - start:.1f} s")


def clean_environment() -> dict[str, str]:
    """Return the environment without what would lead pip, uv or Python into somebody else's folders."""
    return {name: value for name, value in os.environ.items() if name not in DROPPED_VARIABLES}


def run(
    command: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    log: Path | None = None,
) -> int:
    """Run a program to its end and return its exit code; its output goes to the terminal or to `log`.

    The child leads a process group of its own: the terminal's Ctrl-C then reaches only this process, which
    hands it on once. pytest would break off its clean-up at a second one. SIGTERM and SIGHUP are handed on as
    SIGINT, because that is what pytest cleans up after.
    """
    received: list[int] = []
    with contextlib.ExitStack() as stack:
        output = stack.enter_context(log.open("wb")) if log else None
        child = subprocess.Popen(
            [str(part) for part in command],
            cwd=cwd,
            env=clean_environment() if env is None else dict(env),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT if output else None,
            process_group=0,
        )

        def hand_on(number: int, _frame: FrameType | None) -> None:
            received.append(number)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGINT)

        for number in STOP_SIGNALS:
            previous = signal.signal(number, hand_on)
            stack.callback(signal.signal, number, previous)
        while child.poll() is None and not received:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(timeout=0.5)
        if received:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(timeout=GRACE_S)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            raise Interrupted(received[0])
    return child.returncode


def run_quietly(
    command: Sequence[str | Path], *, log: Path, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> None:
    """Run a program whose output matters only when it fails."""
    log.parent.mkdir(parents=True, exist_ok=True)
    code = run(command, cwd=cwd, env=env, log=log)
    if code:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-30:])
        raise StepError(f"{tail}\nerror: exit code {code} from: {' '.join(str(part) for part in command)}")


def exit_code_of(main: object) -> int:
    """Run a script's main function; a failure becomes one message, an interruption the usual exit code."""
    assert callable(main)
    try:
        return int(main() or 0)
    except StepError as error:
        print(error, file=sys.stderr)
        return 1
    except PermissionError as error:
        print(
            f"error: {error.filename} cannot be written ({error.strerror}); it may belong to another user:"
            " remove it, or run as that user",
            file=sys.stderr,
        )
        return 1
    except Interrupted as stop:
        print("interrupted", file=sys.stderr)
        return stop.exit_code
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 128 + signal.SIGINT
