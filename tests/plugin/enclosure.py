"""Run a command where there is no network but loopback, and tell what it tried: ``enclosure.py FILE COMMAND...``.

It has to be started in a network namespace of its own (``unshare --net``), so all sockets and counters in it are the
command's. An attempt to reach another machine finds no route, and the kernel counts it.
"""

from __future__ import annotations

import ipaddress
import json
import shutil
import subprocess
import sys
from pathlib import Path

EACH_S = 0.05
LISTENS = "0A"  # state of a TCP socket in /proc/net/tcp, see man 5 proc
TCP, UDP = ("tcp", "tcp6"), ("udp", "udp6")
NOTHING = {"attempts": 0, "bound": []}


def started_by(seen: Path) -> list[str]:
    """Return the beginning of a command line that is enclosed; what was seen is written into a file.

    Raises:
        OSError: it cannot be done here; the message says why.
    """
    if not shutil.which("unshare") or not shutil.which("ip"):
        raise OSError("apt-get install util-linux iproute2")
    command = ["unshare", "--net", sys.executable, __file__, str(seen)]
    if subprocess.run([*command, "true"], capture_output=True, check=False).returncode:
        raise OSError("a network namespace of its own needs root")
    return command


def attempts() -> int:
    """Return how many packets had no route."""
    names, values = (line.split() for line in Path("/proc/net/snmp").read_text().splitlines()[:2])
    version_6 = dict(line.split() for line in Path("/proc/net/snmp6").read_text().splitlines())
    return int(values[names.index("OutNoRoutes")]) + int(version_6["Ip6OutNoRoutes"])


def bound_elsewhere() -> set[str]:
    """Return the addresses, none of loopback, at which TCP sockets listen or UDP sockets are bound."""
    found = set()
    for table in (*TCP, *UDP):
        for line in Path("/proc/net", table).read_text().splitlines()[1:]:
            local, _, state = line.split()[1:4]
            address, port = local.split(":")
            if (table in UDP or state == LISTENS) and not _decoded(address).is_loopback:
                found.add(f"{table} {_decoded(address)}:{int(port, 16)}")
    return found


def _decoded(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Decode an address of /proc/net: words of 32 bits in the order of the machine."""
    words = [bytes.fromhex(address[start : start + 8]) for start in range(0, len(address), 8)]
    packed = b"".join(word[::-1] if sys.byteorder == "little" else word for word in words)
    found = ipaddress.ip_address(packed)
    return getattr(found, "ipv4_mapped", None) or found


def main() -> int:
    """Run the command; write what was seen into the file."""
    file, *command = sys.argv[1:]
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    seen: set[str] = set()
    # A test that is given up kills this process: the command must not go on without it.
    child = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *command])
    while True:
        try:
            child.wait(timeout=EACH_S)
        except subprocess.TimeoutExpired:
            seen |= bound_elsewhere()
        else:
            break
    Path(file).write_text(json.dumps({"attempts": attempts(), "bound": sorted(seen)}), encoding="utf-8")
    return child.returncode


if __name__ == "__main__":
    sys.exit(main())
