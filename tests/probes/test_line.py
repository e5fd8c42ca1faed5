"""A connection that stays open."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pytest_deploycheck.probes.line import Line


class Closing(BaseHTTPRequestHandler):
    """Answers one request on each connection, says nothing of an end, and ends it."""

    protocol_version = "HTTP/1.1"
    asked: list[str]

    def handle(self) -> None:
        """Handle one request."""
        self.handle_one_request()

    def do_GET(self) -> None:
        """Answer with an empty body."""
        self.asked.append(f"{self.headers['Host']} {self.path}")
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    """A server of this machine."""
    Closing.asked = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Closing) as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def line_to(port: int) -> contextlib.closing[Line]:
    """Return a line to a port, below a prefix."""
    return contextlib.closing(Line(port, "/api", {"Host": "example.org"}, tls_name=None, timeout_s=5))


def test_what_the_server_has_closed_is_opened_again(server: ThreadingHTTPServer) -> None:
    """A server may close an idle connection at any time: that is no failed request."""
    with line_to(server.server_port) as line:
        for _ in range(3):
            assert line.get("/").status == 204
            while not line._was_closed():
                pass
    assert Closing.asked == ["example.org /api/"] * 3


def test_a_path_is_sent_as_it_was_written(server: ThreadingHTTPServer) -> None:
    """What may not stand in a path is quoted, what is quoted stays."""
    with line_to(server.server_port) as line:
        assert line.get("/ä b?x=1&y=%20#").status == 204
    assert Closing.asked == ["example.org /api/%C3%A4%20b?x=1&y=%20%23"]


def test_an_error_has_a_name() -> None:
    """Where nobody listens, the name of the error is the status."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with line_to(port) as line:
        assert line.get("/").status == "ConnectionRefusedError"


def closing_at(number: int) -> Iterator[int]:
    """Answer requests, but close the connection in the place of one answer, by its number; yield the port."""

    def serve(listener: socket.socket) -> None:
        requests = 0
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection:
                    while connection.recv(1000):
                        requests += 1
                        if requests == number:
                            break
                        connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.mark.parametrize(("number", "statuses"), [(2, [204, 204]), (1, ["RemoteDisconnected", 204])])
def test_what_was_open_and_is_closed_meanwhile_is_tried_once_more(
    number: int, statuses: list[int | str]
) -> None:
    """A server may close an idle connection while the client sends; a new one that it closes is a failure."""
    with contextlib.contextmanager(closing_at)(number) as port, line_to(port) as line:
        assert [line.get_patiently("/").status for _ in range(2)] == statuses
