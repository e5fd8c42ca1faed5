"""Broken Compose files with Traefik as their proxy, and the checks that must catch each; right ones, too."""

from functools import partial

from harness import Change
from harness import sabotage as plain

FILE = "compose.yaml"
GUNICORN = "deploy/gunicorn.conf.py"
UVICORN = "deploy/server.py"
PREPARED = """    # It puts the values of .env into deploy/traefik.yml first.
    entrypoint: [deploy/prepare-proxy]
    command: [traefik, --configFile=var/run/traefik.yml]
"""
AS_OPTIONS = """    command:
      - traefik
      - --entryPoints.web.address=:${HTTP_PORT}
      - --entryPoints.websecure.address=:${HTTPS_PORT}
      - --entryPoints.websecure.http.aliasHeadersStrategy=delete
      - --entryPoints.web.transport.respondingTimeouts.readTimeout=15
      - --entryPoints.websecure.transport.respondingTimeouts.readTimeout=15
      - --providers.file.filename=deploy/traefik-routes.yml
      - --certificatesResolvers.letsencrypt.acme.storage=/app/var/traefik/acme.json
      - --certificatesResolvers.letsencrypt.acme.httpChallenge.entryPoint=web
      - --accessLog
"""

sabotage = partial(plain, answers=(("https_proxy", "traefik"),))

SABOTAGES = [
    sabotage(
        "traefik: the app at each address of the machine",
        GUNICORN,
        'create_server(("127.0.0.1", ',
        'create_server(("0.0.0.0", ',
        "TLS007",
    ),
    # The new container cannot listen where the old one does.
    sabotage("traefik: a port for one container alone", GUNICORN, ", reuse_port=True", "", "RST009"),
    sabotage(
        "traefik and uvicorn: a port for one container alone",
        UVICORN,
        ", reuse_port=True",
        "",
        "RST009",
        server="uvicorn",
    ),
    sabotage(
        "traefik: its settings as options of its command",
        FILE,
        PREPARED,
        AS_OPTIONS,
        touches=("BOOT002", "TLS001", "TLS002", "TLS010", "TLS014"),
        more=(Change(file="pyproject.toml", old='proxy_config = "deploy/traefik.yml"\n', new=""),),
    ),
]
