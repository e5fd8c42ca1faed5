"""Broken Compose files with nginx or HAProxy and a container of certbot, and the checks that must catch each."""

from functools import partial

from harness import sabotage as plain

PYPROJECT = "pyproject.toml"
BRING = "deploy/certificates"
LOOK = "deploy/prepare-proxy"
HOOK = "docker compose exec -T proxy deploy/reload-proxy"

nginx = partial(plain, answers=(("https_proxy", "nginx"),))
haproxy = partial(plain, answers=(("https_proxy", "haproxy"),))

SABOTAGES = [
    nginx(
        "nginx: nobody looks for a new certificate",
        LOOK,
        "cmp -s - /tmp/served || deploy/reload-proxy ||",
        "cmp -s - /tmp/served ||",
        "TLS010",
    ),
    nginx(
        "nginx: certbot keeps its certificate to itself",
        BRING,
        "        bring /etc/letsencrypt/live/site\n",
        "",
        "TLS010",
    ),
    nginx(
        "nginx: renewal hook restarts the container",
        PYPROJECT,
        HOOK,
        "docker compose restart proxy",
        "TLS009",
    ),
    nginx(
        "nginx: renewal hook sends the signal itself",
        PYPROJECT,
        HOOK,
        "docker compose kill -s HUP proxy",
        touches=("TLS009", "TLS010"),
    ),
    haproxy(
        "haproxy: certbot answers at another port than the one that HAProxy asks at",
        BRING,
        '--http-01-port "$CERTBOT_PORT"',
        "--http-01-port 8403",
        "TLS010",
    ),
    haproxy(
        "haproxy: renewal hook restarts the container",
        PYPROJECT,
        HOOK,
        "docker compose restart proxy",
        "TLS009",
    ),
    haproxy(
        "haproxy: renewal hook sends the signal itself",
        PYPROJECT,
        HOOK,
        "docker compose kill -s USR2 proxy",
        touches=("TLS009", "TLS010"),
    ),
]
