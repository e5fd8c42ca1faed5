"""The probe inside the project's own Python processes, in the sandbox only.

Python imports ``sitecustomize`` at start, here because the sandbox puts this folder on PYTHONPATH. The project's files
stay as they are: the probe waits until Starlette or Django, and Alembic, are imported, and then

- answers requests below ``/.deploycheck/`` in the app's router, so beneath all of the app's middleware;
- writes the answering process into a header of each response;
- writes events (lifespan, first request, migrations) as JSON lines to ``$DEPLOYCHECK_EVENTS``; with ``log`` to what the
  container prints;
- lets the app listen, and be asked, on the sandbox's port where the proxy reaches it by TCP;
- lets imports of the project come from the sandbox's copy, where an editable install points to the original.

Only the standard library, and nothing of the plugin: the project's environment need not have it.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import sys
import time
from collections.abc import Callable, MutableMapping
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from deploycheck_mark import (  # type: ignore[import-not-found]  # it is on sys.path there
    DEATH_SIGNAL,
    DISK_SIGNAL,
    EVENT,
    EXIT_SIGNAL,
    HANG_SIGNAL,
    LOG,
    MARK,
    PID_HEADER,
    TIDY_SIGNAL,
    own_pid,
)

Scope = MutableMapping[str, Any]

EVENTS = os.environ.get("DEPLOYCHECK_EVENTS", "")
OWN_ERRORS = "_deploycheck_own_errors"
GATE = os.environ.get("DEPLOYCHECK_GATE", "")
GATE_PATIENCE_S = 60.0
ONCE: dict[str, list[str]] = {}
for pair in filter(None, os.environ.get("DEPLOYCHECK_ONCE", "").split(",")):
    ONCE.setdefault(pair.partition(":")[0], []).append(pair.partition(":")[2])
LOOPBACK = os.environ.get("DEPLOYCHECK_LOOPBACK", "")
PORTS = dict(pair.split("=") for pair in os.environ.get("DEPLOYCHECK_PORTS", "").split(":") if pair)


def record(name: str, **data: object) -> None:
    """Append one event. A single write to a file opened for appending is not mixed with others'."""
    in_log = EVENTS == LOG
    t = time.time() if in_log else time.monotonic()  # machines share no other clock
    line = json.dumps({"t": t, "pid": own_pid(), "name": name, **data}) + "\n"
    path = "/proc/1/fd/1" if in_log else EVENTS
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, f"{EVENT if in_log else ''}{line}".encode())
    finally:
        os.close(file)


def use_the_copy() -> None:
    """Point what leads to the original project (sys.path, editable finders) to the sandbox's copy."""
    for pair in filter(None, os.environ.get("DEPLOYCHECK_MOVED", "").split(":")):
        original, copy = pair.split("=")

        def moved(path: str, original: str = original, copy: str = copy) -> str:
            inside = path == original or path.startswith(original + os.sep)
            # The virtual environment, often a folder of the project, is not copied: it is used as it is.
            return (
                copy + path[len(original) :] if inside and not path.startswith(sys.prefix + os.sep) else path
            )

        sys.path[:] = [moved(path) for path in sys.path]
        for finder in sys.meta_path:
            mapping = getattr(sys.modules.get(getattr(finder, "__module__", "")), "MAPPING", None)
            if isinstance(mapping, dict):  # setuptools' finder for editable installs
                mapping.update({name: moved(path) for name, path in mapping.items()})


class AfterImport:
    """An import hook: applies a patch to a module as soon as it has been imported."""

    def __init__(self, patches: dict[str, Callable[[ModuleType], None]]) -> None:
        self.patches = patches

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        patch = self.patches.pop(
            name, None
        )  # popped first: find_spec below asks all finders, so this one too
        if patch is None:
            return None
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                # What the module itself calls while it is imported is not wrapped yet.
                sys.setprofile(watch_calls(name, name) if name in ONCE else None)
                try:
                    execute(module)
                finally:
                    sys.setprofile(None)
                patch(module)

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


seen: set[str] = set()


def first(name: str, **data: object) -> None:
    """Record what happens for the first time in this process."""
    if name not in seen:
        seen.add(name)
        record(name, **data)


def watch_routers(module: ModuleType) -> None:
    """Wrap ``Router.__call__`` of starlette.routing; FastAPI's router inherits it."""
    module.Router.__call__ = watched(module.Router.__call__)


def watched(original: Any, *, has_lifespan: bool = True) -> Any:
    """Wrap the ``__call__`` of an ASGI app's class; one without a lifespan serves as soon as it is asked for one."""

    async def call(self: Any, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            if not has_lifespan:
                first("worker")

            async def watched_send(message: Scope) -> None:
                record(message["type"])
                if message["type"] == "lifespan.startup.complete":
                    first("worker")
                await send(message)

            await original(self, scope, receive, watched_send)
            return
        if MARK in scope.get("path", "") and scope["path"] not in self.__dict__.get(OWN_ERRORS, ()):
            from deploycheck_actions import answer  # type: ignore[import-not-found]  # not before it is needed

            first("worker")
            await answer(scope, receive, send)
            return
        first("worker")
        first("request", path=scope.get("path"))
        await original(self, scope, receive, signed(send))

    return call


def watch_django(module: ModuleType) -> None:
    """Wrap Django's ASGI app, which has its middleware inside, and no lifespan."""
    handler = module.ASGIHandler
    made, resolve = handler.__init__, handler.resolve_request

    def init(self: Any) -> None:
        made(self)
        setattr(self, OWN_ERRORS, (f"{MARK}raise",))

    def resolve_request(self: Any, request: Any) -> Any:
        if request.path == f"{MARK}raise":
            raise RuntimeError("raised by deploycheck")  # in a view, as it were: Django makes the answer
        return resolve(self, request)

    handler.__init__, handler.resolve_request = init, resolve_request
    handler.__call__ = watched(handler.__call__, has_lifespan=False)


def signed(send: Any) -> Any:
    """Wrap ``send``: a response says which process made it, once, also where an app is mounted in an app."""
    name = PID_HEADER.encode()

    async def send_signed(message: Scope) -> None:
        if message["type"] == "http.response.start" and name not in dict(message.get("headers", ())):
            headers = [*message.get("headers", ()), (name, str(own_pid()).encode())]
            message = {**message, "headers": headers}
        await send(message)

    return send_signed


def tidy(*_: object) -> None:
    """Free what nobody refers to any more, and give free memory back: what is left is what the app holds."""
    import ctypes
    import gc

    gc.collect()
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):  # glibc has it, musl has not
        trim(0)
    record("tidy")


def read(path: str) -> str:
    """Return the text of a file."""
    with open(path, encoding="utf-8") as file:
        return file.read()


exchanged: dict[int, int] = {}


def fill_disk(*_: object) -> None:
    """Exchange what is open for writing in the folders that are named in a file for ``/dev/full``, or give it back."""
    while exchanged:
        fd, real = exchanged.popitem()
        os.dup2(real, fd, inheritable=os.get_inheritable(fd))
        os.close(real)
    order = os.path.splitext(EVENTS)[0] + ".full"
    folders = read(order).split("\n") if os.path.exists(order) else []
    full = os.open("/dev/full", os.O_WRONLY)
    for name in os.listdir("/proc/self/fd") if folders else []:
        link, fd = f"/proc/self/fd/{name}", int(name)
        if os.path.dirname(os.path.realpath(link)) in folders and os.path.isfile(link):
            flags = int(read(f"/proc/self/fdinfo/{name}").split("flags:")[1].split()[0], 8)
            if flags & os.O_ACCMODE == os.O_WRONLY:
                exchanged[fd] = os.dup(fd)
                os.dup2(full, fd, inheritable=os.get_inheritable(fd))
    os.close(full)
    record("disk", exchanged=len(exchanged))


def moved_port(port: object) -> Any:
    """Return the sandbox's port for one at which the proxy reaches the app in production."""
    return int(PORTS[str(port)]) if str(port) in PORTS else port


def moved_listener(host: Any, port: Any) -> tuple[Any, Any]:
    """Return where to listen. Without a proxy that is a loopback address; ``*`` stands for a port that is not known."""
    if "*" in PORTS and port:
        port = int(PORTS["*"])
    elif str(port) not in PORTS:
        return host, port
    else:
        port = moved_port(port)
    return LOOPBACK or host, port


def move_sockets(module: ModuleType) -> None:
    """Move the ports of sockets; the address, which decides who can connect, stays.

    A socket that connects to this machine is the project's own question to the app, such as its health check.
    """
    original_bind, original_connect = module.socket.bind, module.socket.connect

    def bind(self: Any, address: Any) -> None:
        if isinstance(address, tuple):
            host, port = moved_listener(*address[:2])
            if (
                ":" in address[0] and host == LOOPBACK
            ):  # a socket for both takes its IPv4 part only where it may
                host = f"::ffff:{host}"
                self.setsockopt(module.IPPROTO_IPV6, module.IPV6_V6ONLY, 0)
            address = (host, port, *address[2:])
        original_bind(self, address)

    def connect(self: Any, address: Any) -> None:
        if isinstance(address, tuple) and address[0] in ("127.0.0.1", "::1", "localhost"):
            address = (address[0], moved_port(address[1]), *address[2:])
        original_connect(self, address)

    module.socket.bind, module.socket.connect = bind, connect


def move_servers(module: ModuleType) -> None:
    """Move the ports of uvloop's servers, which are bound in C."""
    original = module.Loop.create_server

    async def create_server(self: Any, factory: Any, host: Any = None, port: Any = None, **more: Any) -> Any:
        return await original(self, factory, *moved_listener(host, port), **more)

    module.Loop.create_server = create_server


def watch_upgrades(module: ModuleType) -> None:
    """Record each run of ``alembic upgrade``, however it is started."""
    enter, leave = module.EnvironmentContext.__enter__, module.EnvironmentContext.__exit__

    def is_upgrade(context: Any) -> bool:
        return getattr(context.context_opts.get("fn"), "__name__", "") == "upgrade"

    def watched_enter(self: Any) -> object:
        if is_upgrade(self):
            record("upgrade.begin")
        return enter(self)

    def watched_exit(self: Any, kind: object, error: object, trace: object) -> object:
        if is_upgrade(self):
            record("upgrade.end", ok=kind is None)
        return leave(self, kind, error, trace)

    module.EnvironmentContext.__enter__, module.EnvironmentContext.__exit__ = watched_enter, watched_exit


def watch_revisions(module: ModuleType) -> None:
    """Record each revision that is applied; one that is only noted ("stamp") is not."""
    original = module.MigrationContext.__init__

    def applied(step: Any, **_: Any) -> None:
        if not step.is_stamp:
            record("revision", id=step.up_revision_id, up=step.is_upgrade)

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        self.on_version_apply_callbacks = (*self.on_version_apply_callbacks, applied)
        if GATE and getattr(self._migrations_fn, "__name__", "") == "upgrade":
            self._migrations_fn = behind_the_gate(self._migrations_fn)

    module.MigrationContext.__init__ = init


def behind_the_gate(plan: Callable[..., Any]) -> Callable[..., Any]:
    """Hold an upgrade where it has read the database's revision and plans what to do, until a file exists."""

    def wait_and_plan(*args: Any) -> Any:
        record("gate")
        end = time.monotonic() + GATE_PATIENCE_S
        while not os.path.exists(GATE) and time.monotonic() < end:
            time.sleep(0.02)
        return plan(*args)

    return wait_and_plan


def watch_reloaders(module: ModuleType) -> None:
    """Record each reloader that is made: Gunicorn's is a thread in a worker, Uvicorn's the parent process."""
    reloader = getattr(module, "ReloaderBase", None) or module.BaseReload
    original = reloader.__init__

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        record("reloader")
        original(self, *args, **kwargs)

    reloader.__init__ = init


def count_calls(module: ModuleType) -> None:
    """Record each call of those functions of a module that must be called once in a deployment."""
    for name in ONCE[module.__name__]:
        if callable(original := getattr(module, name, None)):
            setattr(module, name, counted(f"{module.__name__}:{name}", original))


def counted(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a function, or a coroutine function: each call is recorded."""
    import functools
    import inspect

    @functools.wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        record("once", function=name)
        return original(*args, **kwargs)

    @functools.wraps(original)
    async def call_async(*args: Any, **kwargs: Any) -> Any:
        record("once", function=name)
        return await original(*args, **kwargs)

    return call_async if inspect.iscoroutinefunction(original) else call


def watch_calls(module: str, name: str) -> Callable[[Any, str, Any], None]:
    """Return a profile function that records calls of those functions in a module which runs under some name."""
    seen = []  # a coroutine's frame is entered again after each await

    def profile(frame: Any, event: str, _: object) -> None:
        function = frame.f_code.co_name
        if (
            event == "call"
            and function in ONCE[module]
            and frame.f_globals["__name__"] == name
            and frame not in seen
        ):
            seen.append(frame)
            record("once", function=f"{module}:{function}")

    return profile


def break_module(_: ModuleType) -> None:
    """Let the import of a module fail, as if it needed one that is not installed."""
    raise ModuleNotFoundError("No module named 'deploycheck_missing'", name="deploycheck_missing")


def load_the_next_sitecustomize() -> None:
    """Run the ``sitecustomize`` that this one hides, if the environment has one."""
    for folder in sys.path:
        file = os.path.join(folder, "sitecustomize.py")
        if os.path.isfile(file) and not os.path.samefile(file, __file__):
            spec = importlib.util.spec_from_file_location("sitecustomize", file)
            if spec is not None and spec.loader is not None:
                spec.loader.exec_module(importlib.util.module_from_spec(spec))
            return


if EVENTS:
    use_the_copy()
    sys.meta_path.insert(
        0,
        AfterImport(
            {
                "starlette.routing": watch_routers,
                "django.core.handlers.asgi": watch_django,
                "alembic.runtime.environment": watch_upgrades,
                "alembic.runtime.migration": watch_revisions,
                "gunicorn.reloader": watch_reloaders,
                "uvicorn.supervisors.basereload": watch_reloaders,
                **dict.fromkeys(ONCE, count_calls),
                os.environ.get("DEPLOYCHECK_BREAK", ""): break_module,
                **({"socket": move_sockets, "uvloop": move_servers} if PORTS else {}),
            }
        ),
    )
    # A server that exits with status 0: no server offers that on request, so the probe does.
    signal.signal(EXIT_SIGNAL, lambda *_: os._exit(0))
    signal.signal(DEATH_SIGNAL, lambda *_: os._exit(128 + signal.SIGKILL))
    signal.signal(HANG_SIGNAL, lambda *_: time.sleep(GATE_PATIENCE_S))
    signal.signal(TIDY_SIGNAL, tidy)
    signal.signal(DISK_SIGNAL, fill_disk)
    load_the_next_sitecustomize()
    # python -m MODULE: it is run, not imported.
    main = "".join(sys.orig_argv[sys.orig_argv.index("-m") + 1 :][:1]) if "-m" in sys.orig_argv else ""
    if main in ONCE:
        sys.setprofile(watch_calls(main, "__main__"))
