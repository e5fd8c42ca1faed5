"""Where in a Compose file a failed check is usually mended: the key of the app's service, and what to write."""

ADVICE = {
    "BOOT001": ("restart", "restart: always, or unless-stopped: no other policy lets the engine start it"),
    "RST002": ("restart", "restart: always, or unless-stopped"),
    "RST003": ("restart", "restart: always: on-failure leaves an app down that exits with status 0"),
    "RST007": ("command", "the exec form of CMD, and `exec` before the server where a script starts it"),
    "RST008": ("stop_grace_period", "stop_grace_period above the server's own graceful timeout"),
    "RST011": ("healthcheck", "a HEALTHCHECK that asks for readiness, and ends with 1 if it is not there"),
    "MEM002": ("mem_limit", "mem_limit for the service, and memswap_limit of the same size"),
    "RES004": ("ulimits", "ulimits: nofile above what the processes hold"),
    "RES005": ("logging", "logging: max-size and max-file for the driver json-file"),
    "PRE001": (
        "depends_on",
        "depends_on: the previous steps, with condition: service_completed_successfully",
    ),
}
