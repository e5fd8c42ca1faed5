"""One line of bytes between this machine and a pod, with many connections in it: ``kubectl exec`` carries it.

The end here takes connections for the app and leads them to the pod's end, which connects to the app's Service as any
client in the cluster does. The pod's end takes connections for the database, which is on this machine. Both ends are
this file. ``kubectl port-forward`` would lead to one pod only, past the Service, and only into the cluster.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import struct
import sys
from collections.abc import Awaitable, Callable

FRAME = struct.Struct(">IBI")  # connection, kind, length
OPEN, DATA, END, ABORT, READY = range(5)
MOST = 1 << 16
DATABASE_PORT = 5432

Dial = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


class Line:
    """One end."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, dial: Dial, first: int
    ) -> None:
        """Connections that come from the other end are led to ``dial``; ``first`` is odd at one end only."""
        self._reader, self._writer, self._dial = reader, writer, dial
        self._next = first
        self._queues: dict[int, asyncio.Queue[tuple[int, bytes]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, ready: Callable[[], Awaitable[None]]) -> None:
        """Carry what comes until the other end is gone; call ``ready`` once it is there."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                number, kind, length = FRAME.unpack(await self._reader.readexactly(FRAME.size))
                data = await self._reader.readexactly(length)
                if kind == READY:
                    await ready()
                elif kind == OPEN:
                    self._queues[number] = asyncio.Queue()
                    self._keep(self._answer(number))
                elif number in self._queues:
                    self._queues[number].put_nowait((kind, data))

    async def send(self, number: int, kind: int, data: bytes = b"") -> None:
        """Send one frame."""
        self._writer.write(FRAME.pack(number, kind, len(data)) + data)
        await self._writer.drain()

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry a connection of this end."""
        number, self._next = self._next, self._next + 2
        self._queues[number] = asyncio.Queue()
        await self.send(number, OPEN)
        await self._carry(number, reader, writer)

    async def _answer(self, number: int) -> None:
        """Carry a connection of the other end."""
        try:
            reader, writer = await self._dial()
        except OSError:
            self._queues.pop(number, None)
            await self.send(number, ABORT)
            return
        await self._carry(number, reader, writer)

    async def _carry(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        out = asyncio.ensure_future(self._out(number, reader))
        try:
            await self._in(number, writer)
            await out
        finally:
            out.cancel()
            self._queues.pop(number, None)
            writer.close()

    async def _out(self, number: int, reader: asyncio.StreamReader) -> None:
        try:
            while data := await reader.read(MOST):
                await self.send(number, DATA, data)
            await self.send(number, END)
        except OSError:
            await self.send(number, ABORT)
            if number in self._queues:
                self._queues[number].put_nowait((ABORT, b""))

    async def _in(self, number: int, writer: asyncio.StreamWriter) -> None:
        queue = self._queues[number]
        with contextlib.suppress(OSError):
            while True:
                kind, data = await queue.get()
                if kind == DATA:
                    writer.write(data)
                    await writer.drain()
                elif kind == END:
                    writer.write_eof()
                    return
                else:
                    writer.transport.abort()
                    raise ConnectionAbortedError

    def _keep(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def here(port: str, target: str, *command: str) -> None:
    """Run the end on this machine: listen at a port, and lead to the address that the file ``target`` names."""
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=4 * MOST
    )
    assert process.stdin is not None
    assert process.stdout is not None

    def dial() -> Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        with open(target, encoding="ascii") as file:
            host, _, number = file.read().rpartition(":")
        return asyncio.open_connection(host, int(number))

    line = Line(process.stdout, process.stdin, dial, 1)

    async def ready() -> None:
        await asyncio.start_server(line.take, "127.0.0.1", int(port), backlog=512)

    await line.run(ready)


async def there(service: str, port_for_database: str = str(DATABASE_PORT)) -> None:
    """Run the end in the pod: its standard input and output are the line."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=4 * MOST)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    out, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, sys.stdout)
    writer = asyncio.StreamWriter(out, protocol, None, loop)
    host, _, port = service.rpartition(":")
    line = Line(reader, writer, lambda: asyncio.open_connection(host, int(port)), 2)
    # Another one may still be about to end there.
    await asyncio.start_server(line.take, None, int(port_for_database), backlog=512, reuse_port=True)
    await line.send(0, READY)

    async def nothing() -> None:
        """Do nothing: this end is ready first."""

    await line.run(nothing)


if __name__ == "__main__":
    side, *words = sys.argv[1:]
    asyncio.run(here(*words) if side == "here" else there(*words))
    os._exit(0)
