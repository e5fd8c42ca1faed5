"""How a certificate gets from the container of certbot to that of the proxy: their scripts, with other programs."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import bake_into

DEADLINE_S = 20.0
SHELLS = [shell for shell in ("dash", "busybox") if shutil.which(shell)]
# Gets a certificate once it may, and then another one each time.
CERTBOT = """#!/bin/sh
[ -e may ] || exit 1
echo call >> calls
echo "key $(wc -l < calls)" > live/privkey.pem
echo "chain $(wc -l < calls)" > live/fullchain.pem
"""
# Has got one, and it is not time for the next.
CONTENT_CERTBOT = "#!/bin/sh\nexit 0\n"
# Is the proxy, once it runs; as the first process of a container it would get the signal.
PROXY = "#!/bin/sh\necho started >> started\nexec sleep 60\n"
SERVED = {"nginx": "var/tls/fullchain.pem", "haproxy": "var/tls/site.pem"}


@pytest.fixture(scope="module", params=["nginx", "haproxy"])
def project(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a project for containers whose scripts look for certificates in itself, and wait a moment only."""
    folder = tmp_path_factory.mktemp("handover") / "projects"
    made = bake_into(folder, process_manager="compose", https_proxy=request.param)
    for name, old, new in (
        ("certificates", "/etc/letsencrypt/live/site", "live"),
        ("certificates", "/tmp", "var"),
        ("certificates", "FIRST_RETRY=120", "FIRST_RETRY=1"),
        ("certificates", "HALF_A_DAY=43200", "HALF_A_DAY=1"),
        ("prepare-proxy", "/tmp", "var"),
        ("prepare-proxy", "sleep 2", "sleep 0.1"),
        ("prepare-proxy", "sleep 60", "sleep 0.1"),
    ):
        script = made / "deploy" / name
        text = script.read_text(encoding="utf-8")
        assert old in text, name
        script.write_text(text.replace(old, new), encoding="utf-8")
    said = f"#!/bin/sh\necho read >> said\n[ ! -e broken ] && cksum {SERVED[request.param]} > var/served\n"
    for name, text in (("reload-proxy", said), ("write-nginx-conf", "#!/bin/sh\n")):
        (made / "deploy" / name).write_text(text)
        (made / "deploy" / name).chmod(0o755)
    return made


@pytest.fixture
def here(project: Path, tmp_path: Path) -> Path:
    """Give a test a copy of its own, with stand-ins for the programs."""
    copy = tmp_path / "project"
    shutil.copytree(project, copy)
    for folder in ("live", "var/tls", "var/acme", "programs"):
        (copy / folder).mkdir(parents=True)
    for name, text in (("certbot", CERTBOT), ("proxy", PROXY)):
        (copy / "programs" / name).write_text(text)
        (copy / "programs" / name).chmod(0o755)
    return copy


@contextmanager
def running(here: Path, shell: str, *command: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a script in a session of its own, which is ended with all that is in it."""
    words = ["busybox", "sh"] if shell == "busybox" else [shell]
    path = f"{here / 'programs'}:{os.environ['PATH']}"
    values = {"PATH": path, "DOMAIN": "notes.example.com", "CERTBOT_PORT": "8402"}
    process = subprocess.Popen([*words, *command], cwd=here, env=values, start_new_session=True)
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_until(seen: Callable[[], bool]) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + DEADLINE_S
    while not seen():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def served(here: Path) -> Path:
    """Return the file that the proxy reads."""
    proxy = "nginx" if (here / "deploy/nginx.conf").exists() else "haproxy"
    return here / SERVED[proxy]


@pytest.mark.parametrize("shell", SHELLS)
def test_certificates_are_brought_to_the_proxy(here: Path, shell: str) -> None:
    """At first one that nobody trusts, then each that certbot has got, with its key; told to stop, it stops at once."""
    file = served(here)
    with running(here, shell, "deploy/certificates") as process:
        wait_until(file.exists)
        assert "BEGIN CERTIFICATE" in file.read_text()
        (here / "may").touch()
        wait_until(lambda: "chain 2" in file.read_text())
        assert "key" in (file.with_name("privkey.pem") if file.name != "site.pem" else file).read_text()
        assert all(path.stat().st_mode & 0o077 == 0 for path in file.parent.iterdir())
        process.terminate()
        assert process.wait(timeout=DEADLINE_S) == 0


@pytest.mark.parametrize("shell", SHELLS)
def test_the_proxy_waits_for_a_certificate_and_looks_for_others(here: Path, shell: str) -> None:
    """It starts when there is one, and reads each other one once; after a mistake it tries again."""
    file, said = served(here), here / "said"
    with running(here, shell, "deploy/prepare-proxy", "proxy") as process:
        time.sleep(0.5)
        assert not (here / "started").exists()
        file.write_text("first")
        wait_until((here / "started").exists)
        time.sleep(0.5)
        assert not said.exists()
        (here / "broken").touch()
        file.write_text("second")
        wait_until(lambda: said.exists() and said.read_text().count("read") > 1)
        first = (here / "var/served").read_text()
        (here / "broken").unlink()
        wait_until(lambda: (here / "var/served").read_text() not in ("", first))
        tries = said.read_text().count("read")
        time.sleep(0.5)
        assert said.read_text().count("read") == tries
        assert (here / "started").read_text() == "started\n"
        assert process.poll() is None


@pytest.mark.parametrize("proxy", ["nginx", "haproxy"])
def test_on_a_machine_it_is_brought_until_that_succeeds(proxy: str, tmp_path: Path) -> None:
    """After a mistake in the proxy's configuration it is tried again, and once is enough."""
    made = bake_into(tmp_path / "projects", process_manager="systemd", https_proxy=proxy)
    lineage, said = made / "var/letsencrypt/live/site", made / "said"
    for folder in (lineage, made / "var/tls", made / ".venv/bin"):
        folder.mkdir(parents=True)
    (lineage / "fullchain.pem").write_text("chain")
    told = '#!/bin/sh\necho "$RENEWED_LINEAGE" >> said\n[ ! -e broken ]\n'
    for script, text in ((".venv/bin/certbot", CONTENT_CERTBOT), ("deploy/reload-proxy", told)):
        (made / script).write_text(text)
        (made / script).chmod(0o755)

    def run() -> int:
        values = {"PATH": os.environ["PATH"], "DOMAIN": "notes.example.com", "CERTBOT_PORT": "8402"}
        return subprocess.run([made / "deploy/certificates"], env=values, check=False).returncode

    (made / "broken").touch()
    assert run() != 0
    (made / "broken").unlink()
    assert [run(), run()] == [0, 0]
    assert said.read_text().splitlines() == [str(lineage)] * 2
    (lineage / "fullchain.pem").write_text("the next chain")
    assert run() == 0
    assert len(said.read_text().splitlines()) == 3
