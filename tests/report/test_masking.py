"""Secrets are named, and their values are nowhere."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest

from pytest_deploycheck.config import Config
from pytest_deploycheck.masking import all_masked, masked
from pytest_deploycheck.report.log_excerpts import last_lines, telling_lines


def config(secret: str, *, database_url: str | None = None) -> Config:
    """Make settings with one secret."""
    return Config(
        root=Path("/x"),
        project="x",
        env={"API_TOKEN": secret},
        settings={},
        domain="example.com",
        manager_config="x",
        secrets=("API_TOKEN",),
        database_url=database_url,
    )


@pytest.mark.parametrize(
    "secret", ["s3cret-token_with-hyphens", "pa ss/wörd+'\"&%", "tab\there", "back\\slash"]
)
def test_every_spelling_is_masked(secret: str) -> None:
    """As it is, in a URL, in JSON, and as Python writes it."""
    spellings = (
        secret,
        quote(secret, safe=""),
        json.dumps(secret),
        json.dumps(secret, ensure_ascii=False),
        repr(secret),
    )
    for spelling in spellings:
        assert masked(f"a {spelling} b", config(secret)).strip("ab \"'") == "<API_TOKEN>"


def test_lines_and_cut_lines_of_a_long_secret_are_masked() -> None:
    """A log shows a key line by line, and may cut a passphrase at a space."""
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBg\nkqhkiG9w0BAQEF\n-----END KEY-----"
    assert "kqhkiG9w0BAQEF" not in masked("12:00 kqhkiG9w0BAQEF", config(key))
    assert masked("said: correct horse …", config("correct horse battery staple")) == "said: <API_TOKEN> …"


def test_a_password_of_the_database_is_masked() -> None:
    """It is a secret though its setting is not declared as one; in ordinary words only where it is long."""
    url = "postgresql+psycopg://notes:hunter%2F2-long@db/notes"
    said = masked(f"cannot connect: {url}, password hunter/2-long", config("x" * 20, database_url=url))
    assert said == "cannot connect: postgresql+psycopg://notes:<PASSWORD>@db/notes, password <PASSWORD>"
    short = "postgresql://notes:notes@db/notes"
    assert (
        masked(f"notes: {short}", config("x" * 20, database_url=short))
        == "notes: postgresql://notes:<PASSWORD>@db/notes"
    )


def test_nothing_is_masked_where_nothing_is_secret() -> None:
    """An empty or tiny value would be found everywhere."""
    for secret in ("", "abc"):
        assert masked("abc abc", config(secret)) == "abc abc"


def test_all_texts_of_a_json_value_are_masked() -> None:
    """Also in lists, and where they are keys."""
    value = {"a s3cret": ["s3cret", {"b": "x s3cret"}], "n": 1, "none": None, "yes": True}
    assert all_masked(value, config("s3cret")) == {
        "a <API_TOKEN>": ["<API_TOKEN>", {"b": "x <API_TOKEN>"}],
        "n": 1,
        "none": None,
        "yes": True,
    }


def test_excerpts_are_masked_before_they_are_cut(tmp_path: Path) -> None:
    """A secret at the place where a long line is cut leaves no part of itself."""
    secret = "abcdefghijklmnopqrstuvwxyz0123456789"
    root = tmp_path / "1"
    log = root / "var" / "app.log"
    log.parent.mkdir(parents=True)
    log.write_text("\n".join("x" * (400 - cut) + secret for cut in range(10)))
    (tmp_path / "1.log").write_text(f"started in {root}/var\n")
    stack: Any = SimpleNamespace(
        copy=SimpleNamespace(root=root, log_file=tmp_path / "1.log"),
        config=config(secret),
        log_files=lambda: [tmp_path / "1.log", log, tmp_path / "gone.log"],
    )
    excerpts = last_lines(stack)
    assert excerpts["what the start command printed"] == ["started in var"]
    assert len(excerpts["var/app.log"]) == 10
    assert not [line for line in excerpts["var/app.log"] if "abc" in line]
    assert max(map(len, excerpts["var/app.log"])) <= 400


def test_what_tells_of_processes_comes_before_requests() -> None:
    """Between a hundred requests the line that tells of a kill is found; where nothing tells, the last lines are."""
    requests = [
        f'{{"level": "info", "message": "GET /notes 200", "number": {number}}}' for number in range(50)
    ]
    kill = "[ERROR] Worker (pid:7) was sent SIGKILL! Perhaps out of memory?"
    assert telling_lines([*requests, kill, *requests], config("x" * 20)) == [kill]
    assert telling_lines(requests, config("x" * 20)) == requests[-12:]


def test_the_first_lines_tell_what_was_done() -> None:
    """Where a crowd of lines tells of trouble, the first ones stay, which are of the act, and the last ones."""
    lines = [f"[INFO] Worker exiting (pid: {number})" for number in range(100)]
    assert telling_lines(lines, config("x" * 20)) == [*lines[:6], *lines[-6:]]
    assert telling_lines(["GET /?q=signs"] * 20 + ["was sent SIGKILL!"], config("x" * 20)) == [
        "was sent SIGKILL!"
    ]
