"""Other people's HAProxy: its files are understood and moved, or one line says what is wrong where."""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from acme import ACME
from fuzz import PROFILE, TEXTS
from hypothesis import example, given
from hypothesis import strategies as st

from pytest_deploycheck.outcome import NotVerified
from pytest_deploycheck.proxies import haproxy
from pytest_deploycheck.proxies.haproxy_command import Command
from pytest_deploycheck.proxies.haproxy_lines import read
from pytest_deploycheck.proxies.protocol import Acme, Relocated
from pytest_deploycheck.sandbox.tools import SYSTEM_PATH
from pytest_deploycheck.stacks.protocol import StackError

RIGHT = """global
    user haproxy
    log /dev/log local0 notice
defaults
    mode http
    timeout connect 1s
    timeout client 10s
    timeout server 10s
frontend http
    bind *:80
    bind :::80 v6only
    http-request redirect scheme https
frontend https
    bind "*:${HTTPS_PORT}" ssl crt var/site.pem alpn h2,http/1.1  # "the certificate"
    default_backend app
backend static
    server files 192.0.2.7:80
backend app
    server one localhost:8000 check
"""
COMMAND = "haproxy -W -db -f haproxy.cfg"
VALUES = {"HTTPS_PORT": "443", "DOMAIN": "example.com"}


@pytest.fixture(autouse=True)
def right(copy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin with a right configuration; HAProxy itself is not asked what it says of it."""
    (copy.root / "haproxy.cfg").write_text(RIGHT)
    monkeypatch.setattr(Command, "check", lambda *_: None)


def relocated(copy: Any, command: str = COMMAND, acme: Acme | None = None) -> Relocated:
    """Relocate the copy."""
    return haproxy.relocate(command, copy, VALUES, domain="example.com", acme=acme)


def lines(copy: Any) -> list[str]:
    """Return the lines of the file that was written, without what stands before and after them."""
    return [line.strip() for line in (copy.root / "haproxy.cfg").read_text().split("\n")]


def test_the_file_is_rewritten_where_it_is(copy: Any) -> None:
    """What is public or reaches the app is on free ports of loopback; all other lines stay as they are."""
    moved, found, before = relocated(copy), lines(copy), [line.strip() for line in RIGHT.split("\n")]
    assert moved.command == f"haproxy -W -db -f {copy.root}/haproxy.cfg"
    changed = {old: new for old, new in zip(before, found, strict=True) if old != new}
    assert changed == {
        "user haproxy": "",
        "log /dev/log local0 notice": "log stdout format raw local0 notice",
        "bind *:80": f"bind 127.0.0.1:{moved.http_port}",
        "bind :::80 v6only": "",
        before[13]: f"bind 127.0.0.1:{moved.https_port} ssl crt var/site.pem alpn h2,http/1.1",
        "server one localhost:8000 check": f"server one localhost:{moved.app_ports[8000]} check",
    }
    assert moved.upstream == f"127.0.0.1:{moved.app_ports[8000]}"
    assert moved.certificate is not None
    assert moved.certificate.chain == moved.certificate.key == copy.root / "var/site.pem"
    assert not moved.certificate.renews_itself


def test_another_acme_server_is_asked(copy: Any) -> None:
    """The project's own certbot is led there by its own file of settings; nobody else puts a certificate there."""
    moved = relocated(copy, acme=ACME)
    assert moved.certificate is None
    settings = (copy.root.with_suffix(".config") / "letsencrypt/cli.ini").read_text()
    assert f"server = {ACME.directory}\n" in settings
    assert moved.environment["REQUESTS_CA_BUNDLE"] == "/root.pem"


@pytest.mark.parametrize(
    "named", ["crt /etc/haproxy/certs/", "crt-list /etc/haproxy/list", "crt /a.pem crt /b.pem"]
)
def test_certificates_of_the_machine_are_replaced(copy: Any, named: str) -> None:
    """By a file beside the copy; who renews them cannot be tried."""
    (copy.root / "haproxy.cfg").write_text(RIGHT.replace("crt var/site.pem", named))
    with pytest.raises(NotVerified, match="outside of the project"):
        relocated(copy, acme=ACME)
    (copy.root / "haproxy.cfg").write_text(RIGHT.replace("crt var/site.pem", named))
    moved = relocated(copy)
    assert f"alpn h2,http/1.1 crt {copy.root.with_suffix('.crt')}" in lines(copy)[13]
    assert moved.certificate is not None
    assert moved.certificate.chain == copy.root.with_suffix(".crt")


def test_certificates_below_a_base(copy: Any) -> None:
    """``crt-base`` is where relative names begin."""
    based = RIGHT.replace("global\n", "global\n    crt-base var/tls\n").replace("var/site.pem", "site.pem")
    (copy.root / "haproxy.cfg").write_text(based)
    moved = relocated(copy)
    assert moved.certificate is not None
    assert moved.certificate.chain == copy.root / "var/tls/site.pem"


def test_what_haproxy_writes_stays_in_the_sandbox(copy: Any) -> None:
    """Sockets and process IDs, of the file and of the command."""
    (copy.root / "haproxy.cfg").write_text(
        RIGHT.replace(
            "user haproxy", "stats socket /run/haproxy/admin.sock user haproxy mode 660 level admin"
        )
    )
    outside = copy.outside / "run"
    moved = relocated(copy, f"nice -n 1 {COMMAND} -p /run/h.pid -S /run/master.sock,mode,600")
    assert moved.command == (
        f"nice -n 1 haproxy -W -db -f {copy.root}/haproxy.cfg -p {outside}/h.pid -S {outside}/master.sock,mode,600"
    )
    assert f"stats socket {outside}/haproxy/admin.sock mode 660 level admin" in lines(copy)
    assert "-S unix@" in relocated(copy, f"{COMMAND} -S 127.0.0.1:1234").command


def test_files_of_the_machine_are_read_where_they_are(copy: Any) -> None:
    """They are written beside the copy."""
    file = copy.root.parent / "haproxy.cfg"
    file.write_text(RIGHT)
    moved = relocated(copy, f"haproxy -db -- {file}")
    target = copy.root.with_suffix(".0.haproxy.cfg")
    assert moved.command == f"haproxy -db -f {target}"
    assert f"127.0.0.1:{moved.https_port}" in target.read_text()
    assert file.read_text() == RIGHT


def test_the_app_is_where_the_secure_frontend_leads(copy: Any) -> None:
    """Also if another backend of this machine stands before it, as certbot's does, or ``listen`` is its own."""
    other = RIGHT.replace("192.0.2.7:80", "127.0.0.1:8402").replace("localhost:8000", "unix@var/app.sock")
    (copy.root / "haproxy.cfg").write_text(other)
    moved = relocated(copy)
    assert moved.upstream == f"{copy.root}/var/app.sock"
    assert set(moved.app_ports) == {8402}
    everything = "listen all\n bind :443 ssl crt c.pem\n server a [::1]:8000\n"
    (copy.root / "haproxy.cfg").write_text(everything)
    moved = relocated(copy)
    assert moved.upstream == f"[::1]:{moved.app_ports[8000]}"
    assert moved.http_port  # nobody listens there


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("*:80\n", "*:80-90\n", "haproxy.cfg:10: bind must name one port, like :443, not '*:80-90'"),
        ("bind *:80", 'bind "*:80', "haproxy.cfg:10: unmatched quote"),
        (" ssl crt var/site.pem", "", "haproxy.cfg: no frontend binds with ssl"),
        (" crt var/site.pem", "", "haproxy.cfg:14: bind with ssl names no certificate (crt FILE)"),
        (
            "localhost:8000",
            "app:8000",
            "haproxy.cfg: no server leads to the app on this machine, only to 192.0.2.7:80, app:8000",
        ),
        (
            "default_backend app",
            "",
            "haproxy.cfg: no server leads to the app on this machine, only to 192.0.2.7:80",
        ),
    ],
)
def test_what_is_wrong_is_told_in_one_line(copy: Any, old: str, new: str, said: str) -> None:
    """With the file, and the line where one is known."""
    assert RIGHT.count(old) == 1
    (copy.root / "haproxy.cfg").write_text(RIGHT.replace(old, new))
    with pytest.raises(StackError) as caught:
        relocated(copy)
    assert str(caught.value) == said


@pytest.mark.parametrize(
    "command", ["caddy run", "haproxy 'a", "haproxy -W", "haproxy -f", "haproxy -f none.cfg", "haproxy -f ."]
)
def test_a_command_that_leads_nowhere(copy: Any, command: str) -> None:
    """No file, no folder, no end of a quotation."""
    with pytest.raises(StackError):
        relocated(copy, command)


@pytest.mark.skipif(not shutil.which("haproxy", path=SYSTEM_PATH), reason="apt-get install haproxy")
def test_haproxy_itself_says_what_it_does_not_understand(copy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the name of the project's file, and the line in it."""
    monkeypatch.undo()
    copy.run.config = replace(copy.run.config, project="x")
    for right, wrong, said in (
        ("mode http", "mode hyper", "haproxy.cfg:5: unknown proxy mode 'hyper'"),
        ("crt var/site.pem", "crt var/site.pem sll", "haproxy.cfg:14: "),
        ("default_backend app", "default_backend app\n    use_backend none", "haproxy.cfg:"),
    ):
        (copy.root / "haproxy.cfg").write_text(RIGHT.replace(right, wrong))
        command = Command.parse(COMMAND)
        with pytest.raises(StackError) as caught:
            command.check({copy.root / "haproxy.cfg": copy.root / "haproxy.cfg"}, copy, VALUES)
        assert str(caught.value).startswith(said)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a  b\\ c # d", ["a", "b c"]),
        ("'a \"$X ${X}' \"b '$X ${X}\"", ['a "$X ${X}', "b '1 1"]),
        ('"${NONE-two}${NONE}"x\\"', ['twox"']),
        ('"a\\"b" \'\'', ['a"b', ""]),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    """Quotation marks, escapes, names, comments; what is written again is read again."""
    (line,) = read(text, {"X": "1"})
    assert line.words == words
    line.set(*words)
    assert read(line.text, {"X": "2"})[0].words == words


WORDS = st.sampled_from(
    [
        *(
            "global",
            "frontend",
            "listen",
            "backend",
            "bind",
            "server",
            "default_backend",
            "log",
            "stats",
            "socket",
        ),
        *(
            "crt",
            "ssl",
            ":443",
            "*:80",
            "/a",
            "unix@b",
            "quic4@:443",
            "127.0.0.1:8000",
            "a",
            "v6only",
            "user",
            "crt-base",
        ),
    ]
)
LINES = st.lists(WORDS | TEXTS, max_size=6).map(" ".join) | st.sampled_from(RIGHT.splitlines())


@PROFILE
@given(found=st.lists(LINES, max_size=12), acme=st.sampled_from([None, ACME]))
@example(found=["bind"], acme=None)
@example(found=["frontend", " bind :443 ssl crt", " server a"], acme=None)
@example(found=["listen a", " bind :443 ssl crt c", " server b 127.0.0.1:99999"], acme=None)
def test_any_lines(copy: Any, found: list[str], acme: Acme | None) -> None:
    """Whatever is written: it is moved, or refused."""
    for text in ("\n".join(found), RIGHT + "\n".join(found)):
        (copy.root / "haproxy.cfg").write_text(text)
        with suppress(StackError, NotVerified):
            relocated(copy, acme=acme)


@PROFILE
@given(words=st.lists(TEXTS, max_size=5))
def test_any_words_are_written_so_that_they_are_read_again(words: list[str]) -> None:
    """Whatever they hold, but for ends of lines, which no word can hold."""
    words = [word.replace("\n", " ") for word in words]
    (line,) = read("", {})
    line.set(*words)
    assert read(line.text, {})[0].words == words


@PROFILE
@given(content=st.binary(max_size=60))
@example(content=b"\xff")
def test_any_bytes(copy: Any, content: bytes) -> None:
    """Bytes that are no text."""
    (copy.root / "haproxy.cfg").write_bytes(content)
    with pytest.raises(StackError, match=r"haproxy\.cfg"):
        relocated(copy)
