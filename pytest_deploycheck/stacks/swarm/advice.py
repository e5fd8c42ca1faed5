"""Where in a stack file a failed check is usually mended: the key of the app's service, and what to write."""

ADVICE = {
    "BOOT001": ("restart_policy", "restart_policy: {condition: any}: no other one lets the engine start it"),
    "RST002": ("restart_policy", "restart_policy: {condition: any}"),
    "RST003": (
        "restart_policy",
        "restart_policy: {condition: any}: on-failure leaves an app down that exits with 0",
    ),
    "RST006": ("restart_policy", "restart_policy: a delay of some seconds"),
    "RST007": ("command", "`exec` before the server where a script starts it"),
    "RST008": ("stop_grace_period", "stop_grace_period above the server's own graceful timeout"),
    "RST009": (
        "update_config",
        "update_config: {order: start-first}, and a healthcheck that asks for readiness",
    ),
    "RST010": (
        "healthcheck",
        "a healthcheck that asks for life once the task was ready: Swarm ends what is unhealthy",
    ),
    "RST011": ("healthcheck", "a healthcheck that ends with 1 if the app does not answer"),
    "MEM002": ("limits", "deploy: {resources: {limits: {memory: …}}}"),
    "RES004": ("ulimits", "ulimits: nofile above what the processes hold"),
    "RES005": ("logging", "logging: max-size and max-file for the driver json-file"),
    "PRE004": ("update_config", "update_config: {order: start-first, failure_action: rollback}"),
    "PRE009": ("healthcheck", "healthcheck: a start_period that is longer than any migration"),
}
