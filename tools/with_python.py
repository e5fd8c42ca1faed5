"""Run another script with Python 3.11 or newer: `python3 tools/with_python.py SCRIPT [ARGUMENT...]`.

This file alone has to be understood by older Pythons, so that they can say what is wrong in one line.
"""

import os
import shutil
import subprocess
import sys

OLDEST = (3, 11)
NEWEST_KNOWN = (3, 15)


def is_suitable(python: str) -> bool:
    """Tell whether this program starts and is new enough; a pyenv shim may exist and still not start."""
    code = f"import sys; sys.exit(sys.version_info < {OLDEST})"
    try:
        return (
            subprocess.call([python, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) == 0
        )
    except OSError:
        return False


def find_python() -> "str | None":
    """Return this interpreter where it is new enough, else the newest suitable one on the PATH."""
    if sys.version_info[:2] >= OLDEST:
        return sys.executable
    for minor in range(NEWEST_KNOWN[1], OLDEST[1] - 1, -1):
        python = shutil.which(f"python3.{minor}")
        if python and is_suitable(python):
            return python
    return None


def main() -> None:
    """Replace this process by the script."""
    python = find_python()
    if python is None:
        version = "{}.{}.{}".format(*sys.version_info[:3])
        sys.exit(
            f"error: Python 3.11 or newer is needed; {sys.executable} is {version}. Install one"
            " (Debian 12 or later: apt install python3 python3-venv; macOS: brew install python;"
            " others: https://www.python.org/downloads/) or name one: make PYTHON=/path/to/python3.12"
        )
    os.execv(python, [python] + sys.argv[1:])  # noqa: RUF005, S606


if __name__ == "__main__":
    main()
