"""certbot: the project's own commands run it; here it asks another ACME server, or none.

certbot reads options from ``$XDG_CONFIG_HOME/letsencrypt/cli.ini``, below those of its command line:
https://eff-certbot.readthedocs.io/en/stable/using.html#configuration-file
"""

from __future__ import annotations

from pytest_deploycheck.proxies.protocol import Acme
from pytest_deploycheck.sandbox.run import ProjectCopy

# Nobody listens there: the public server is never asked for a certificate by a test.
NOWHERE = "https://127.0.0.1:9/directory"
# certbot needs a few seconds for each certificate, and some more on a busy machine.
CERTIFICATES_LIVE_S = 40


def environment(copy: ProjectCopy, acme: Acme | None) -> dict[str, str]:
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
