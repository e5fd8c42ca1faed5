"""How the fuzz tests run: quickly and always alike, or longer with ``DEPLOYCHECK_FUZZ=5000`` examples of new seeds."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

EXAMPLES = int(os.environ.get("DEPLOYCHECK_FUZZ", "0"))
PROFILE = settings(
    max_examples=EXAMPLES or 150,
    derandomize=not EXAMPLES,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

# Texts of the kinds that break parsers: quotes, percent signs, line ends, NUL, other alphabets, and nothing.
ODD = st.sampled_from(
    [
        "",
        " ",
        "%",
        "%(",
        "%(here)s",
        "$",
        "$NAME",
        "$NOWHERE",
        "'",
        '"',
        "\n",
        "\0",
        "\\",
        "ä",
        "٣",
        "-1",
        "1e9",
        "/",
    ]
)
TEXTS = ODD | st.text(max_size=12) | st.lists(ODD, max_size=4).map("".join)
