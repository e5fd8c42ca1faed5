"""What can be broken alike with each proxy that has certbot beside it and reaches the app through a socket."""

from collections.abc import Callable

from harness import Change, Sabotage

CONF = "deploy/supervisord.conf"
GUNICORN = "deploy/gunicorn.conf.py"
APP = "src/notes_api/application.py"
PYPROJECT = "pyproject.toml"
PREPARE = "deploy/prepare-proxy"
HOOK = "deploy/reload-proxy"
CERTIFICATES = "deploy/certificates"

TRUST = 'app.add_middleware(ProxyHeadersMiddleware, trusted_hosts="*")'
TRUST_LOOPBACK = Change(file=APP, old=TRUST, new=TRUST.replace("*", "127.0.0.1"))
BIND = 'bind = "unix:var/run/app.sock"'
LOOPBACK = 'bind = "127.0.0.1:8000"'
UNCHANGED = ("Later each time", "Later each time now")
OVER_TCP = ("TLS004", "TLS005", "TLS006", "TLS007", "TLS015", "RST002")
BELOW_A_PREFIX = ("TLS004", "TLS006", "TLS011", "TLS012", "TLS013", "TLS015", "RST002", "RST011")


def with_certbot(record: Callable[..., Sabotage], *, over_tcp: Change) -> list[Sabotage]:
    """Return the records of one proxy.

    Args:
        record: makes them.
        over_tcp: lets the proxy reach the app at 127.0.0.1:8000.
    """
    trusted = (over_tcp, TRUST_LOOPBACK)
    return [
        record("proxy is trusted only in a comment", APP, TRUST, f"# {TRUST}", "TLS005"),
        record(
            "proxy is trusted only in a comment, uvicorn",
            APP,
            TRUST,
            f"# {TRUST}",
            "TLS004",
            "TLS005",
            server="uvicorn",
        ),
        record("app on loopback believes everybody", GUNICORN, BIND, LOOPBACK, "TLS006", more=(over_tcp,)),
        record("app on all addresses", GUNICORN, BIND, 'bind = "0.0.0.0:8000"', "TLS007", more=trusted),
        record("renewal hook is not there", PYPROJECT, f'"{HOOK}"', '"deploy/renewed"', "TLS009"),
        record(
            "nobody tells the proxy of a renewal", CERTIFICATES, f" {HOOK} && echo", " true && echo", "TLS010"
        ),
        record(
            "the certificate is asked for once",
            CERTIFICATES,
            "        sleep $HALF_A_DAY",
            "        exec tail -f /dev/null",
            "TLS010",
        ),
        record(
            "the certificate is asked for another name",
            CERTIFICATES,
            '--domain "$DOMAIN"',
            '--domain "www.$DOMAIN"',
            "TLS010",
        ),
        # Right ways of another kind: nothing may fail.
        record("tcp on loopback", GUNICORN, BIND, LOOPBACK, more=trusted, touches=OVER_TCP),
        record("below a prefix", CERTIFICATES, *UNCHANGED, prefix="/api"),
        record(
            "below a prefix, uvicorn",
            CERTIFICATES,
            *UNCHANGED,
            server="uvicorn",
            prefix="/api",
            touches=BELOW_A_PREFIX,
        ),
    ]
