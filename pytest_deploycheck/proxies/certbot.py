"""certbot: the project's own commands run it; here it asks another ACME server, or none.

certbot reads options from ``$XDG_CONFIG_HOME/letsencrypt/cli.ini``, below those of its command line:
https://eff-certbot.readthedocs.io/en/stable/using.html#configuration-file
"""

from __future__ import annotations

from pytest_deploycheck.proxies.addresses import AppPorts, Listeners
from pytest_deploycheck.proxies.protocol import Acme, Relocated
from pytest_deploycheck.sandbox.certificates import CertificateFiles
from pytest_deploycheck.sandbox.run import ProjectCopy

# Nobody listens there: the public server is never asked for a certificate by a test.
NOWHERE = "https://127.0.0.1:9/directory"
# certbot needs a few seconds for each certificate, and some more on a busy machine.
CERTIFICATES_LIVE_S = 40


def relocated(
    copy: ProjectCopy,
    acme: Acme | None,
    *,
    command: str,
    name: str,
    listeners: Listeners,
    app: AppPorts,
    moved: list[str],
    certificate: CertificateFiles | None,
) -> Relocated:
    """Return a proxy that has its certificates from certbot.

    Args:
        copy: the project's copy.
        acme: whom certbot asks; None for nobody.
        command: what runs the proxy.
        name: its configuration's file, as people call it.
        listeners, app: where it listens now, and where it reaches the app.
        moved: what else was moved, a line each.
        certificate: the files of the test certificate; None if certbot gets one.
    """
    return Relocated(
        command=command,
        http_port=listeners.http_port,
        https_port=listeners.https_port,
        upstream=app.upstreams[0],
        other_upstreams=app.upstreams[1:],
        relocated=[f"{name}: {line}" for line in (*listeners.moved, *moved, *app.moved)],
        certificate=certificate,
        environment=_environment(copy, acme),
        app_ports=app.ports,
        certificates_live_s=CERTIFICATES_LIVE_S,
    )


def _environment(copy: ProjectCopy, acme: Acme | None) -> dict[str, str]:
    """Return the variables that lead the project's certbot to ``acme``, and its own folders into the sandbox."""
    home = copy.root.with_suffix(".config")
    folder = home / "letsencrypt"
    folder.mkdir(parents=True, exist_ok=True)
    options = {
        "server": acme.directory if acme else NOWHERE,
        "config-dir": folder / "config",
        "work-dir": folder / "work",
        "logs-dir": folder / "logs",
    }
    text = "".join(f"{name} = {value}\n" for name, value in options.items())
    (folder / "cli.ini").write_text(text, encoding="utf-8")
    trust = {"REQUESTS_CA_BUNDLE": str(acme.root)} if acme else {}
    return {"XDG_CONFIG_HOME": str(home), **trust}
