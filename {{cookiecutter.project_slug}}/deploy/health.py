"""Is the app healthy? For monitoring: exit status 0 if so, 1 if not, and a line that says why (RST011).

It asks for readiness at the app's own socket, so what it tells is the app's state, not that of proxy and network.
"""

import socket
import sys
from pathlib import Path

ADDRESS = Path(__file__).parent.parent / "var/run/app.sock"
REQUEST = b"GET /health/ready HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n"
PATIENCE_S = 5


def ask() -> str:
    """Return the answer, headers and body."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(PATIENCE_S)
        connection.connect(str(ADDRESS))
        connection.sendall(REQUEST)
        with connection.makefile(encoding="utf-8") as answer:
            return answer.read()


try:
    head, _, body = ask().partition("\n\n")
except OSError as error:
    sys.exit(f"unhealthy: the app does not answer: {error}")
if not head.startswith("HTTP/1.1 200"):
    sys.exit(f"unhealthy: {body or 'no answer'}")
sys.stdout.write(f"healthy: {body}\n")
