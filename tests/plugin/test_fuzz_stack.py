"""Whatever stands in the manager's and the proxy's files: they are understood, or one line says what is wrong where."""

from __future__ import annotations

import itertools
import json
import shlex
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fuzz import PROFILE, TEXTS
from hypothesis import example, given
from hypothesis import strategies as st

from pytest_deploycheck.config import Config
from pytest_deploycheck.probes import metrics
from pytest_deploycheck.proxies import caddy
from pytest_deploycheck.sandbox.certificates import CertificateFiles
from pytest_deploycheck.sandbox.run import Finished, ProjectCopy
from pytest_deploycheck.stacks import base, supervisor
from pytest_deploycheck.stacks.protocol import StackError

NAME = "deploy/supervisord.conf"
CONF = """
[supervisord]
logfile=/var/log/supervisord.log
[program:app]
command=gunicorn app:app
stopwaitsecs=35
[program:proxy]
command=caddy run --config deploy/Caddyfile
"""
ADAPTED = {
    "apps": {"http": {"servers": {"srv0": {"listen": [":443"], "routes": [{"dial": "127.0.0.1:8000"}]}}}}
}


@pytest.fixture
def copy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A copy of a project in which nothing can be started; ``caddy adapt`` says what ``adapted`` holds."""
    folder = Path(tempfile.mkdtemp())
    root = folder / "1"
    (root / "deploy").mkdir(parents=True)
    config = Config(
        root=root, project="x", env={"NAME": "2"}, settings={}, domain="example.com", manager_config=NAME
    )
    ports = itertools.cycle(range(21_000, 29_000))
    run: Any = SimpleNamespace(
        config=config,
        folder=folder,
        tag="DEPLOYCHECK_RUN=fuzz",
        ports=SimpleNamespace(take=lambda: next(ports)),
        ca=None,
        shared=lambda _, make: make(),
    )
    copy = ProjectCopy(run=run, root=root)
    for module in (base, supervisor, caddy):
        monkeypatch.setattr(module, "require", lambda *_, **__: None)
    monkeypatch.setattr(CertificateFiles, "issue", lambda *_: b"")
    monkeypatch.setattr(ProjectCopy, "call", lambda _, command, __: Finished(command, 0, adapted[0]))
    adapted[0] = json.dumps(ADAPTED)
    yield copy
    shutil.rmtree(folder)


adapted = [""]


def stack_of(copy: Any, conf: bytes) -> supervisor.SupervisorStack | StackError:
    """Read a configuration and relocate it; anything but a stack or its own error fails the test."""
    (copy.root / NAME).write_bytes(conf)
    try:
        return supervisor.SupervisorStack(copy)
    except StackError as error:
        return error


LINES = st.sampled_from(
    [
        *CONF.splitlines(),
        "[program:app",
        "[program:]",
        "[DEFAULT]",
        "[fcgi-program:app]",
        "[unix_http_server]",
        "file=%(here)s/../a.sock",
        "file=%(ENV_NOWHERE)s",
        "stopwaitsecs=abc",
        "stopwaitsecs=%(ENV_NAME)s",
        "stopwaitsecs=1e400",
        "numprocs=many",
        "user=www-data",
        "command=caddy run --config 'deploy/Caddyfile",
        "command=caddy",
        "command=%(here)s/gunicorn",
        "stdout_logfile=%",
        "  continued",
        "; comment",
    ]
)


@PROFILE
@given(
    lines=st.lists(LINES | st.tuples(TEXTS, st.just("="), TEXTS).map("".join) | TEXTS, max_size=12),
    change=st.tuples(st.integers(0, len(CONF.splitlines())), LINES | TEXTS),
)
@example(lines=[], change=(6, "stopwaitsecs=abc"))
@example(lines=[], change=(8, "command=caddy run --config 'a"))
@example(lines=["[a]", "  b"], change=(0, ""))
def test_any_supervisor_file(copy: Any, lines: list[str], change: tuple[int, str]) -> None:
    """Any lines, and a right file with one line put in."""
    right = CONF.splitlines()
    right.insert(*change)
    for text in (lines, right):
        found = stack_of(copy, "\n".join(text).encode())
        if isinstance(found, StackError):
            assert "supervisord.conf" in str(found) or "proxy" in str(found)
        else:
            assert found.stop_grace_s >= 0
            assert found.upstream.address.startswith("127.0.0.1:")


@PROFILE
@given(conf=st.binary(max_size=60))
@example(conf=b"\xff")
@example(conf=b"[a]\n\xff")
def test_any_bytes_in_supervisors_file(copy: Any, conf: bytes) -> None:
    """Bytes that are no text."""
    assert isinstance(stack_of(copy, conf), StackError)


@PROFILE
@given(
    lines=st.lists(LINES | TEXTS.filter(str.isprintable)), key=st.sampled_from(["command", "stopwaitsecs"])
)
def test_any_line_is_found(tmp_path: Path, lines: list[str], key: str) -> None:
    """The line of a setting is inside the file, and holds the setting or the section's heading."""
    file = tmp_path / "supervisord.conf"
    file.write_text("\n".join(lines), encoding="utf-8")
    number = supervisor.line_of(file, "program:app", key)
    if number is not None:
        assert lines[number - 1].startswith((key, "[program:app]"))


WORDS = st.sampled_from(
    ["caddy", "/usr/bin/caddy", "run", "--config", "-c", "--config=a", "--adapter", "", "-"]
)


@PROFILE
@given(command=st.lists(WORDS, max_size=6).map(shlex.join) | TEXTS)
@example(command="caddy run --config")
@example(command="'' --config")
def test_any_proxy_command(command: str) -> None:
    """A command is understood or refused."""
    try:
        program, options = caddy._parse(command)
    except StackError:
        return
    assert program[-1].endswith("caddy")
    assert "config" in options


JSON = st.recursive(
    TEXTS | st.none() | st.integers() | st.floats(allow_nan=False) | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
ADDRESSES = JSON | st.sampled_from(
    [
        ":443", "udp/:443", "tcp/[::]:80", ":8000-8010", ":400-500", "[::1]:99999999", "unix//run/a.sock", "unix/a",
        "localhost:8000", "10.0.0.5:8000", "fd/3", ":²", "[::1]:8000", "{env.X}:80", "127.0.0.1:8000-8001",
    ]
)  # fmt: skip


def objects(**keys: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Objects with some of these keys, or something else in their place."""
    return st.fixed_dictionaries({}, optional=keys) | JSON


CADDY_JSON = objects(
    admin=JSON,
    apps=objects(
        http=objects(
            http_port=JSON | st.just(8080),
            https_port=JSON,
            servers=st.dictionaries(
                st.just("srv0"),
                objects(listen=st.lists(ADDRESSES) | JSON, routes=st.lists(objects(dial=ADDRESSES))),
            )
            | JSON,
        ),
        tls=objects(
            automation=objects(
                policies=st.lists(
                    objects(issuers=st.lists(objects(module=st.just("internal") | JSON)), subjects=JSON)
                )
            ),
            certificates=objects(load_files=st.lists(objects(tags=JSON)) | JSON),
        ),
        pki=objects(certificate_authorities=objects(local=JSON)),
    ),
)


@PROFILE
@given(document=CADDY_JSON)
@example(document={"apps": None})
@example(document={"apps": {"http": {"http_port": "80"}}})
def test_any_adapted_configuration(copy: Any, document: object) -> None:
    """What Caddy makes of a file is moved to loopback, and leads to the app on this machine, or is refused."""
    adapted[0] = json.dumps(document)
    try:
        moved = caddy.relocate("caddy run --config deploy/Caddyfile", copy, {}, domain="example.com")
    except StackError:
        return
    assert moved.upstream.startswith(("/", "127.0.0.1:", "localhost:", "[::1]:"))
    config = json.loads((copy.root / "deploy/Caddyfile.deploycheck.json").read_text())
    for server in caddy._tables(config["apps"]["http"]["servers"].values()):
        for address in map(str, server.get("listen") or []):
            assert not address.rpartition("/")[2].startswith((":4", ":8", "[::]", "10."))


@PROFILE
@given(output=TEXTS | JSON.map(json.dumps) | st.lists(JSON.map(json.dumps)).map("\n".join))
@example(output='{"level": "warn"}\n{broken')
def test_any_answer_of_caddy(copy: Any, output: str) -> None:
    """What ``caddy adapt`` says is found between its log lines, or its last line is the error."""
    adapted[0] = output
    try:
        found = caddy._adapt("caddy", copy.root, "caddyfile", copy, {})
    except StackError as error:
        found = {"error": str(error).strip()}
    assert "level" not in found
    assert found.get("error") != ""


METRIC_LINES = st.sampled_from(
    [
        "# TYPE http_requests counter", "# TYPE http_requests histogram", "# HELP http_requests \\", "# TYPE x y z",
        'http_requests_total{route="/a",pid="1"} 3', 'http_requests_bucket{le="+Inf"} 1', "http_requests NaN",
        'http_requests{a="b', "http_requests{a} 1", "http_requests 1 2 3 4", "# EOF", 'x{le="a\\n"} -Inf',
        "http_requests_total{} 1 # {} 1",
    ]
)  # fmt: skip


@PROFILE
@given(text=st.lists(METRIC_LINES | TEXTS, max_size=8).map("\n".join))
def test_any_metrics(text: str) -> None:
    """What an app calls metrics is parsed, or counts as none."""
    seen = metrics.parsed(1, 200, text)
    assert not metrics.fallen([seen, seen])
    metrics.grown(seen, seen, range(1), ("counter",), "")
    metrics.told_per_process(seen, ("counter",), {1: bool}, "http")
