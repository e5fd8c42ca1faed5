"""``python -m pytest_deploycheck`` is the command ``deploycheck``."""

import sys

from pytest_deploycheck.commands import main

if __name__ == "__main__":
    sys.exit(main())
