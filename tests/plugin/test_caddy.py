"""Caddy's configuration in the sandbox."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pytest_deploycheck.proxies import caddy
from pytest_deploycheck.reader import load
from pytest_deploycheck.sandbox.run import ProjectCopy, Run


def test_what_caddy_was_asked_once_fits_each_copy(baked: Callable[..., Path]) -> None:
    """Copies with the same Caddyfile have sockets of their own, and one with another file has what that says."""
    config = load(baked())
    run = Run(config)

    def socket_of(copy: ProjectCopy) -> Path:
        command = "caddy run --config deploy/Caddyfile --adapter caddyfile"
        return Path(caddy.relocate(command, copy, config.env, domain=config.domain).upstream)

    try:
        first, second, other = [run.copy() for _ in range(3)]
        for copy, name in (first, "app"), (second, "app"), (other, "other"):
            file = copy.root / "deploy/Caddyfile"
            usual = file.read_text()
            file.write_text(usual.replace("unix/var/run/app.sock", f"unix/{{$XDG_RUNTIME_DIR}}/{name}.sock"))
            assert file.read_text() != usual
        expected = [first.runtime / "app.sock", second.runtime / "app.sock", other.runtime / "other.sock"]
        assert [socket_of(copy) for copy in (first, second, other)] == expected
    finally:
        run.close()
