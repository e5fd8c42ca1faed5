"""The files that nginx writes, and as whom: none of them outside of the sandbox.

https://nginx.org/en/docs/ngx_core_module.html
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pytest_deploycheck.sandbox.run import ProjectCopy

Directive = dict[str, Any]
# What nginx writes, and the block in which it does so at a place that it was built with, if the file names none.
_WRITTEN = {
    "error_log": "main",
    "pid": "main",
    "access_log": "http",
    "client_body_temp_path": "http",
    "proxy_temp_path": "http",
    "fastcgi_temp_path": "http",
    "scgi_temp_path": "http",
    "uwsgi_temp_path": "http",
    "lock_file": "",
    "proxy_cache_path": "",
}


def walk(block: list[Directive]) -> Iterator[Directive]:
    """Yield all directives of a block and of those in it."""
    for item in block:
        yield item
        yield from walk(item.get("block") or [])


def keep_inside(main: list[Directive], http: list[Directive], prefix: Path, copy: ProjectCopy) -> list[str]:
    """Let nginx write nowhere else, as the user who runs the checks; return what was moved.

    Args:
        main: all directives of the file.
        http: those of its http block.
        prefix: where its relative paths begin.
        copy: the project's copy.
    """
    outside = copy.outside
    outside.mkdir(exist_ok=True)
    moved = [
        *(line for item in walk(main) if (line := _moved(item, outside, prefix, copy))),
        *_as_who_runs_the_checks(main),
    ]
    found = {item["directive"] for item in (*main, *http)}
    for name, place in _WRITTEN.items():
        if place and name not in found:
            (main if place == "main" else http).insert(0, _directive(name, str(outside / f"nginx-{name}")))
    return moved


def _moved(item: Directive, outside: Path, prefix: Path, copy: ProjectCopy) -> str:
    """Lead a directive that names a file outside of the project to one in the sandbox; say so."""
    name, args = item["directive"], item["args"]
    if name not in _WRITTEN or not args or not args[0].startswith("/"):
        return ""
    path = args[0]
    if (prefix / path).is_relative_to(copy.root) or path.startswith("/dev/"):
        return ""
    target = outside / path.lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    args[0] = str(target)
    return f"{name} {path} -> the sandbox"


def _as_who_runs_the_checks(main: list[Directive]) -> list[str]:
    """Take another user's name away; root must name itself, or nginx's workers would be nobody."""
    users = [item for item in main if item["directive"] == "user"]
    for item in users:
        main.remove(item)
    if os.geteuid() == 0:
        main.insert(0, _directive("user", "root"))
    return [f"user {' '.join(item['args'])} -> the user who runs the checks" for item in users]


def _directive(name: str, *args: str) -> Directive:
    return {"directive": name, "line": 0, "args": list(args)}
