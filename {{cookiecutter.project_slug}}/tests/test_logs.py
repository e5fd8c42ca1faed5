"""When lines of the log are written."""

import asyncio
import logging
from collections.abc import Iterator
from io import StringIO
from select import PIPE_BUF

import pytest

from {{ cookiecutter.project_slug }}.logs import TogetherHandler


class Pipe(StringIO):
    """Keeps each write apart."""

    def __init__(self) -> None:
        """Nothing is written yet."""
        super().__init__()
        self.writes: list[str] = []
        self.was_written = asyncio.Event()

    def write(self, text: str) -> int:
        """Take down what is written."""
        if text:
            self.writes.append(text)
            self.was_written.set()
        return len(text)


@pytest.fixture
def pipe() -> Pipe:
    """Make what the process manager reads from."""
    return Pipe()


@pytest.fixture
def logger(pipe: Pipe) -> Iterator[logging.Logger]:
    """Let a logger write there."""
    logger, handler = logging.getLogger("together"), TogetherHandler(pipe)
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    yield logger
    logger.removeHandler(handler)


def test_lines_of_a_moment_are_written_together(logger: logging.Logger, pipe: Pipe) -> None:
    """Nothing is lost, and the process manager is woken once."""

    async def serve() -> None:
        logger.info("first")
        logger.info("second")
        assert pipe.writes == []
        async with asyncio.timeout(5):
            await pipe.was_written.wait()

    asyncio.run(serve())
    assert pipe.writes == ["first\nsecond\n"]


def test_a_warning_does_not_wait(logger: logging.Logger, pipe: Pipe) -> None:
    """It may be the last thing that the process says."""

    async def serve() -> None:
        logger.info("before")
        logger.warning("now")
        assert pipe.writes == ["before\nnow\n"]

    asyncio.run(serve())


def test_a_line_does_not_wait_where_no_event_loop_runs(logger: logging.Logger, pipe: Pipe) -> None:
    """Nothing would write it later."""
    logger.info("alone")
    assert pipe.writes == ["alone\n"]


def test_no_write_is_larger_than_the_kernel_takes_in_one_piece(logger: logging.Logger, pipe: Pipe) -> None:
    """Lines of two workers, which share the pipe, do not mix."""

    async def serve() -> None:
        for number in range(1000):
            logger.info("%s: ü", number)
        logger.warning("end")

    asyncio.run(serve())
    assert "".join(pipe.writes).splitlines() == [*(f"{number}: ü" for number in range(1000)), "end"]
    assert max(len(text.encode()) for text in pipe.writes) <= PIPE_BUF
