"""Is the app healthy? For monitoring: exit status 0 if so, 1 if not, and a line that says why (RST011).

It asks for readiness at the app's own {% if cookiecutter.process_manager in ("kubernetes", "cloud") or (cookiecutter.https_proxy == "traefik" and cookiecutter.process_manager != "compose") %}port{% else %}socket{% endif %}, so what it tells is the app's state, not that of proxy and network.
"""

{% set leads = cookiecutter.process_manager == "swarm" or (cookiecutter.process_manager == "compose" and cookiecutter.https_proxy != "traefik") -%}
{% if cookiecutter.process_manager not in ("supervisor", "systemd", "compose", "swarm") -%}
import os
import socket
import sys

ADDRESS = ("127.0.0.1", int(os.environ.get("PORT") or 8000))
{%- elif cookiecutter.https_proxy == "traefik" and cookiecutter.process_manager != "compose" -%}
import os
import socket
import sys
from pathlib import Path

from dotenv import dotenv_values

VALUES = {**dotenv_values(Path(__file__).parent.parent / ".env"), **os.environ}
ADDRESS = ("127.0.0.1", int(VALUES.get("APP_PORT") or 0))
{%- else -%}
{% if leads -%}
import os
{% endif -%}
import socket
import sys
from pathlib import Path

{% if cookiecutter.https_proxy == "traefik" -%}
# Each container has its own; at the port, another one may answer.
ADDRESS = Path("/tmp/app.sock")  # noqa: S108
{%- else -%}
ADDRESS = Path(__file__).parent.parent / {% if cookiecutter.process_manager in ("compose", "swarm") %}f"var/run/{socket.gethostname()}.sock"{% else %}"var/run/app.sock"{% endif %}
{%- endif %}
{%- endif %}
{%- if cookiecutter.process_manager == "swarm" %}
# Where {{ {"caddy": "deploy/Caddyfile", "haproxy": "deploy/haproxy.cfg"}.get(cookiecutter.https_proxy, "deploy/nginx.conf") }} looks for tasks: at numbered sockets, which 1, 2, 3, 4, 6 or 12 tasks share evenly.
PLACES = range(1, 13)
# Swarm ends a task that is unhealthy. So with the argument "task" it asks for readiness only until the task was ready
# for the first time: afterwards a restart mends nothing that patience does not (RST010).
WAS_READY = Path("/tmp/was-ready")  # noqa: S108
QUESTION = b"live" if sys.argv[1:] == ["task"] and WAS_READY.exists() else b"ready"
REQUEST = b"GET /health/" + QUESTION + b" HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n"
{%- else %}
{%- if leads %}
WAS_READY = Path("/tmp/was-ready")  # noqa: S108
{%- endif %}
{%- if cookiecutter.process_manager in ("supervisor", "systemd") %}
# With a pid as argument it asks whoever answers whether it is that worker, and ready: deploy/reload does so (RST009).
WHO = f"?worker={sys.argv[1]}" if sys.argv[1:] else ""
REQUEST = f"GET /health/ready{WHO} HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n".encode()
{%- else %}
REQUEST = b"GET /health/ready HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n"
{%- endif %}
{%- endif %}
PATIENCE_S = 5


def ask() -> str:
    """Return the answer, headers and body."""
{%- if cookiecutter.process_manager in ("kubernetes", "cloud") or (cookiecutter.https_proxy == "traefik" and cookiecutter.process_manager != "compose") %}
    with socket.create_connection(ADDRESS, PATIENCE_S) as connection:
{%- else %}
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(PATIENCE_S)
        connection.connect(str(ADDRESS))
{%- endif %}
        connection.sendall(REQUEST)
        with connection.makefile(encoding="utf-8") as answer:
            return answer.read()
{%- if leads %}


def lead_proxy_here(name: str) -> None:
    """Let the proxy find this container at a socket of that name, in the place of whoever was there (RST009)."""
    link = ADDRESS.with_suffix(f".{os.getpid()}")
    link.symlink_to(ADDRESS.name)
    link.replace(ADDRESS.with_name(name))
{%- endif %}


try:
    head, _, body = ask().partition("\n\n")
except OSError as error:
    sys.exit(f"unhealthy: the app does not answer: {error}")
if not head.startswith("HTTP/1.1 200"):
    sys.exit(f"unhealthy: {body or 'no answer'}")
{%- if cookiecutter.process_manager == "swarm" %}
if sys.argv[1:] == ["task"] and not WAS_READY.exists():
    slot, tasks = int(os.environ["SLOT"]), int(os.environ["REPLICAS"])
    for place in PLACES[(slot - 1) % tasks :: tasks]:
        lead_proxy_here(f"{place}.sock")
    WAS_READY.touch()
{%- elif leads %}
if not WAS_READY.exists():
    lead_proxy_here("app.sock")
    WAS_READY.touch()
{%- endif %}
sys.stdout.write(f"healthy: {body}\n")
