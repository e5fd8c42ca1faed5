"""Other people's nginx: its files are understood and moved, or one line says what is wrong where."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from acme import ACME
from fuzz import PROFILE, TEXTS
from hypothesis import example, given
from hypothesis import strategies as st

from pytest_deploycheck.outcome import NotVerified
from pytest_deploycheck.proxies import nginx
from pytest_deploycheck.proxies.protocol import Acme, Relocated
from pytest_deploycheck.stacks.protocol import StackError

RIGHT = """user www-data;
pid /run/nginx.pid;
events { }
http {
    access_log /var/log/nginx/access.log combined;
    server {
        listen 80;
        listen [::]:80;
        return 301 https://$host$request_uri;
    }
    server {
        listen 0.0.0.0:443 ssl;
        listen [::]:443 ssl ipv6only=on;
        server_name ${DOMAIN};
        ssl_certificate tls/chain.pem;
        ssl_certificate_key tls/key.pem;
        location / {
            proxy_pass http://localhost:8000;
        }
    }
}
"""
COMMAND = "nginx -p . -c nginx.conf"
VALUES = {"HTTPS_PORT": "443", "DOMAIN": "example.com"}


@pytest.fixture(autouse=True)
def right(copy: Any) -> None:
    """Begin with a right configuration."""
    (copy.root / "nginx.conf").write_text(RIGHT)


def relocated(copy: Any, command: str = COMMAND, acme: Acme | None = None) -> Relocated:
    """Relocate the copy."""
    return nginx.relocate(command, copy, VALUES, domain="example.com", acme=acme)


def change(copy: Any, old: str, new: str) -> None:
    """Change the configuration in one place."""
    assert RIGHT.count(old) == 1
    (copy.root / "nginx.conf").write_text(RIGHT.replace(old, new))


def lines(copy: Any) -> list[str]:
    """Return the lines of the file that was written, without what stands before and after them."""
    return [line.strip() for line in (copy.root / "nginx.conf").read_text().splitlines()]


def test_the_file_is_rewritten_where_it_is(copy: Any) -> None:
    """What is public or reaches the app is on free ports of loopback, and nothing is written elsewhere."""
    moved, outside = relocated(copy), copy.outside
    found = lines(copy)
    assert moved.command == f"nginx -e stderr -p {copy.root} -c {copy.root}/nginx.conf"
    for line in (
        f"listen 127.0.0.1:{moved.http_port};",
        f"listen 127.0.0.1:{moved.https_port} ssl;",
        "server_name example.com;",
        f"proxy_pass http://localhost:{moved.app_ports[8000]};",
        f"pid {outside}/run/nginx.pid;",
        f"access_log {outside}/var/log/nginx/access.log combined;",
        f"proxy_temp_path {outside}/nginx-proxy_temp_path;",
    ):
        assert found.count(line) == 1, line
    assert "user www-data;" not in found
    assert moved.upstream == f"127.0.0.1:{moved.app_ports[8000]}"
    assert moved.certificate is not None
    assert moved.certificate.chain == copy.root / "tls/chain.pem"
    assert moved.certificate.key == copy.root / "tls/key.pem"
    assert not moved.certificate.renews_itself
    assert "user www-data -> the user who runs the checks" in "\n".join(moved.relocated)


def test_another_acme_server_is_asked(copy: Any) -> None:
    """The project's own certbot is led there by its own file of settings; nobody else puts a certificate there."""
    moved = relocated(copy, acme=ACME)
    assert moved.certificate is None
    settings = (copy.root.with_suffix(".config") / "letsencrypt/cli.ini").read_text()
    assert f"server = {ACME.directory}\n" in settings


@pytest.mark.parametrize(
    "name", ["/etc/letsencrypt/live/$host/chain.pem", "/etc/ssl/chain.pem", "tls/$host.pem"]
)
def test_certificates_of_the_machine_are_replaced(copy: Any, name: str) -> None:
    """By files beside the copy; who renews them cannot be tried."""
    change(copy, "tls/chain.pem", name)
    with pytest.raises(NotVerified, match="outside of the project"):
        relocated(copy, acme=ACME)
    change(copy, "tls/chain.pem", name)
    relocated(copy)
    assert f"ssl_certificate {copy.root.with_suffix('.crt')};" in lines(copy)


def test_included_files_are_read(copy: Any) -> None:
    """By a pattern, and also from outside of the project: they end up in one file."""
    sites = copy.root.parent / "sites"
    sites.mkdir()
    head, _, tail = RIGHT.partition("    server {\n        listen 0.0.0.0")
    (sites / "app.conf").write_text(f"server {{\n listen 0.0.0.0{tail.rstrip().removesuffix('}')}")
    (copy.root / "nginx.conf").write_text(f"{head}    include {sites}/*.conf;\n}}\n")
    moved = relocated(copy)
    assert f"proxy_pass http://localhost:{moved.app_ports[8000]};" in lines(copy)


def test_a_file_of_the_machine_is_read_where_it_is(copy: Any) -> None:
    """It is written beside the copy."""
    file = copy.root.parent / "nginx.conf"
    file.write_text(RIGHT)
    moved = relocated(copy, f"nice -n 1 nginx -c {file} -g 'daemon off;'")
    target = copy.root.with_suffix(".nginx.conf")
    assert f"-c {target}" in moved.command
    assert moved.command.startswith("nice -n 1 nginx ")
    assert f"127.0.0.1:{moved.https_port}" in target.read_text()
    assert "daemon off;" in target.read_text()
    assert file.read_text() == RIGHT


def test_the_file_that_is_made_at_the_start(copy: Any) -> None:
    """``proxy_config`` is rewritten, so that the start makes nginx's file of it."""
    (copy.root / "nginx.conf").rename(copy.root / "source.conf")
    copy.run.config = replace(copy.run.config, proxy_config="source.conf")
    moved = relocated(copy)
    assert "-c nginx.conf" in moved.command.replace(f"{copy.root}/", "")
    assert f"127.0.0.1:{moved.https_port}" in (copy.root / "source.conf").read_text()


@pytest.mark.parametrize(
    ("address", "upstream"),
    [
        ("http://unix:/srv/app.sock", "/srv/app.sock"),
        ("http://unix:var/app.sock:/api/", "var/app.sock"),
        ("http://$upstream", None),
    ],
)
def test_ways_to_the_app(copy: Any, address: str, upstream: str | None) -> None:
    """A unix socket, with a path; what only the request can tell leads nowhere."""
    change(copy, "http://localhost:8000", address)
    if upstream is None:
        with pytest.raises(StackError, match=r"no proxy_pass leads to the app on this machine, only to http"):
            relocated(copy)
    else:
        moved = relocated(copy)
        assert moved.upstream == str(copy.root / upstream)
        assert not moved.app_ports


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("listen 80;", "listen;", "nginx.conf:7: "),
        ("return 301 https://$host$request_uri;", "return 301 'a;", "nginx.conf"),
        ("listen 80;", "listen :x;", "nginx.conf:7: listen must name a port, not ':x'"),
        ("http {", "http", "nginx.conf:4: "),
        (
            "localhost:8000",
            "app:8000",
            "nginx.conf: no proxy_pass leads to the app on this machine, only to http://app",
        ),
        ("ssl_certificate tls/chain.pem;", "", "nginx.conf: no ssl_certificate and ssl_certificate_key"),
        ("events { }", "include none.conf;", "nginx.conf:3: "),
    ],
)
def test_what_is_wrong_is_told_in_one_line(copy: Any, old: str, new: str, said: str) -> None:
    """With the file, and the line where one is known."""
    change(copy, old, new)
    with pytest.raises(StackError) as caught:
        relocated(copy)
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


def test_no_https(copy: Any) -> None:
    """A file without it is not one to check."""
    (copy.root / "nginx.conf").write_text(RIGHT.replace(" ssl;", ";").replace(" ssl ", " "))
    with pytest.raises(StackError, match="no server listens with ssl"):
        relocated(copy)
    (copy.root / "nginx.conf").write_text("events { }")
    with pytest.raises(StackError, match="no http block: it serves nothing"):
        relocated(copy)


@pytest.mark.parametrize(
    "command", ["caddy run", "nginx 'a", "nginx", "nginx -c", "nginx -c none.conf", "nginx -c ."]
)
def test_a_command_that_leads_nowhere(copy: Any, command: str) -> None:
    """No file, a folder, no end of a quotation."""
    with pytest.raises(StackError):
        relocated(copy, command)


WORDS = st.sampled_from(
    [
        *(
            "http",
            "server",
            "listen",
            "location",
            "upstream",
            "proxy_pass",
            "ssl_certificate",
            "user",
            "pid",
            "{",
            "}",
        ),
        *(
            ";",
            "80",
            "443",
            "ssl",
            "[::]:443",
            "unix:a",
            "http://127.0.0.1:8000",
            "/",
            "$a",
            "include",
            "if",
            "map",
            "#",
        ),
    ]
)
LINES = st.lists(WORDS | TEXTS, max_size=6).map(" ".join) | st.sampled_from(RIGHT.splitlines())


@PROFILE
@given(found=st.lists(LINES, max_size=12), acme=st.sampled_from([None, ACME]))
@example(found=["listen;"], acme=None)
@example(found=["proxy_pass;", "ssl_certificate;", "ssl_certificate_key;", "user;", "pid;"], acme=None)
@example(found=["server;", "upstream;", "location;"], acme=None)
@example(found=["}" * 9], acme=None)
@example(found=["{" * 2000], acme=None)
def test_any_lines(copy: Any, found: list[str], acme: Acme | None) -> None:
    """Whatever is written: it is moved, or refused."""
    text = "\n".join(found)
    end = RIGHT.rindex("    }\n}")
    for content in (text, RIGHT + text, RIGHT[:end] + text + RIGHT[end:], RIGHT.replace("listen 80;", text)):
        Path(copy.root / "nginx.conf").write_text(content, encoding="utf-8")
        with suppress(StackError, NotVerified):
            relocated(copy, acme=acme)


@PROFILE
@given(content=st.binary(max_size=60))
@example(content=b"\xff")
def test_any_bytes(copy: Any, content: bytes) -> None:
    """Bytes that are no text."""
    (copy.root / "nginx.conf").write_bytes(content)
    with pytest.raises(StackError, match=r"nginx\.conf"):
        relocated(copy)
