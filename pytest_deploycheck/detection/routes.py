"""Routes that checks ask: health, metrics, and an ordinary one that reads."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pytest_deploycheck.detection.files import ProjectFiles, calls, keyword, literal, name_of
from pytest_deploycheck.detection.finding import Finding

LIVE = re.compile(
    r"/(api/|v1/)*(health/live|health/liveness|healthz/live|livez|live|liveness|healthz|health|healthcheck|health-check|"
    r"ping|status|_health|up|heartbeat)/?"
)
READY = re.compile(r"/(api/|v1/)*(health/ready|health/readiness|healthz/ready|readyz|ready|readiness)/?")
ONLY_LIVE = re.compile(r".*(live|liveness|livez|ping|up|heartbeat)/?")
METRICS = re.compile(r"/(api/|v1/)*metrics/?")
ASK = ("get", "route", "api_route")


def find_routes(files: ProjectFiles) -> list[Finding]:
    """Return the routes that answer GET and take no parameter, each as kind ``route``, in the order of the files."""
    prefixes = dict(_prefixes(files))
    return [
        Finding(kind="route", value=prefixes.get(file, "") + path, file=file, line=line)
        for file in files.python
        for path, line in _paths(files, file)
        if "{" not in path and "<" not in path and "*" not in path
    ]


def settings_of(routes: list[Finding]) -> dict[str, Finding]:
    """Return which of them ``[tool.deploycheck.requests]`` would name, by setting."""
    found: dict[str, Finding] = {}
    special = []
    for setting, pattern in (("ready", READY), ("live", LIVE), ("metrics", METRICS)):
        special += [route for route in routes if pattern.fullmatch(route.value)]
        matching = (route for route in routes if pattern.fullmatch(route.value))
        best = min(
            matching,
            key=lambda route: len(route.value) if setting != "live" else -len(route.value),
            default=None,
        )
        if best:
            found[setting] = best
    ordinary = [route for route in routes if route not in special and route.value]
    if reads := sorted(ordinary, key=lambda route: route.value == "/"):
        found["read"] = next((route for route in reads if route.value == "/"), reads[0])
    return found


def with_defaults(requests: Mapping[str, Any]) -> dict[str, Any]:
    """Return the requests, with another route in the place of one that is not there: readiness, liveness, reading."""
    read = requests.get("read")
    live = requests.get("live") or requests.get("ready") or read or "/"
    return {"live": live, "ready": requests.get("ready") or live, "read": read or live, **requests}


def _prefixes(files: ProjectFiles) -> Iterator[tuple[str, str]]:
    """Yield the file of each router with the prefix under which it is included, where both are written plainly."""
    for file in files.python:
        if "APIRouter(" not in files.text(file):
            continue
        for name, call in calls(files.tree(file)):
            if name == "APIRouter":
                own = literal(keyword(call, "prefix"))
                above = _included_under(files, file)
                yield file, (above or "") + (own if isinstance(own, str) else "")
                break


def _included_under(files: ProjectFiles, file: str) -> str | None:
    """Return the prefix that ``include_router(notes.router, prefix="/notes")`` gives to ``notes.py``."""
    stem = file.rpartition("/")[2].removesuffix(".py")
    for other in files.python:
        if "include_router" not in files.text(other):
            continue
        for name, call in calls(files.tree(other)):
            if name == "include_router" and call.args:
                router = call.args[0]
                owner = name_of(router.value) if isinstance(router, ast.Attribute) else name_of(router)
                if owner in (stem, f"{stem}_router"):
                    prefix = literal(keyword(call, "prefix"))
                    return prefix if isinstance(prefix, str) else None
    return None


def _paths(files: ProjectFiles, file: str) -> Iterator[tuple[str, int]]:
    tree = files.tree(file)
    yield from _decorated(tree)
    for name, call in calls(tree):
        if name == "expose" and "Instrumentator(" in files.text(file):  # prometheus-fastapi-instrumentator
            yield str(literal(keyword(call, "endpoint")) or "/metrics"), call.lineno
        path = literal(call.args[0]) if call.args else None
        if not isinstance(path, str):
            continue
        methods = literal(keyword(call, "methods")) or ["GET"]
        if (name == "Route" or name in ("add_api_route", "add_route")) and "GET" in methods:
            yield path, call.lineno
        elif name == "path" and file.endswith("urls.py"):
            if not any(name_of(getattr(argument, "func", None)) == "include" for argument in call.args):
                yield f"/{path}", call.lineno
        elif name == "mount" and METRICS.fullmatch(path):
            yield f"{path.rstrip('/')}/", call.lineno


def _decorated(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Yield the paths of functions with a decorator such as ``@app.get("/")``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for decorator in node.decorator_list:
                if isinstance(decorator, ast.Call) and name_of(decorator.func) in ASK and decorator.args:
                    path = literal(decorator.args[0])
                    if isinstance(path, str):
                        yield path, node.lineno
