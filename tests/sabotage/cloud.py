"""Broken projects for platforms: what the app does under the contract, and what platforms' files grant."""

from __future__ import annotations

from functools import partial

from harness import Change, sabotage

ANSWERS = (("process_manager", "cloud"), ("database", "postgresql"))
cloud = partial(sabotage, answers=ANSWERS, touches=("BOOT002",))

CONTRACT, RUN, FLY, RENDER = (
    "deploy/cloud/contract.toml",
    "deploy/cloud/cloud-run.yaml",
    "fly.toml",
    "render.yaml",
)
GUNICORN, SERVE = "deploy/gunicorn.conf.py", "deploy/serve"
APPLICATION, EDGE = "src/notes_api/application.py", "src/notes_api/edge.py"
BODIES = "src/notes_api/bodies.py"
BIND = "bind = f\"0.0.0.0:{os.environ.get('PORT', '8000')}\"\n"
TRUSTED = "    app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=settings.platform_networks)\n"
SERVER = "exec gunicorn -c"
STARTUP = """          startupProbe:
            httpGet: {path: /health/ready, port: 8080}
            periodSeconds: 6
            timeoutSeconds: 6
            failureThreshold: 10
"""
CHECK = """[[http_service.checks]]
method = "GET"
path = "/health/ready"
grace_period = "60s"
interval = "5s"
timeout = "6s"
"""
PLATFORMS = 'cloud-run = "deploy/cloud/cloud-run.yaml"\nfly = "fly.toml"\nrender = "render.yaml"\n'
WANTED = "min_containers = 2\n"
NO_FEWEST = "min_machines_running = 2\n"

# These are seen: the app runs.
SABOTAGES = [
    cloud("cloud: the port is fixed", GUNICORN, BIND, 'bind = "0.0.0.0:8000"\n', "BOOT002"),
    cloud("cloud: a shell stays before the server", SERVE, SERVER, "gunicorn -c", "RST003", "RST008"),
    cloud("cloud: SIGKILL comes at once", CONTRACT, "stop_grace_s = 10\n", "stop_grace_s = 0\n", "RST008"),
    cloud(
        "cloud: three server processes where the contract says one",
        GUNICORN,
        'worker_class = "asgi"\n',
        'worker_class = "asgi"\nworkers = 3\n',
        "REP001",
        "REP002",
    ),
    cloud(
        "cloud: whoever reaches the container is believed",
        APPLICATION,
        TRUSTED,
        TRUSTED.replace("settings.platform_networks", '"*"'),
        "TLS006",
        touches=("https",),
    ),
    cloud(
        "cloud: nobody is believed, not even the platform",
        APPLICATION,
        TRUSTED,
        "",
        "TLS003",
        "TLS004",
        "TLS005",
        touches=("https",),
    ),
    cloud(
        "cloud: no Strict-Transport-Security",
        EDGE,
        '    "Strict-Transport-Security": "max-age=31536000",\n',
        "",
        "TLS003",
        touches=("https",),
    ),
    cloud(
        "cloud: bodies of any size",
        BODIES,
        "LARGEST_BODY = 4 * 1024 * 1024\n",
        "LARGEST_BODY = 4 * 1024 * 1024 * 1024\n",
        "TLS013",
        touches=("https",),
    ),
    cloud(
        "cloud: slow bodies are waited for",
        BODIES,
        "BODY_TIMEOUT = 20.0\n",
        "BODY_TIMEOUT = 3600.0\n",
        "TLS014",
        touches=("https",),
    ),
    cloud(
        "cloud: the app writes beside TMPDIR",
        SERVE,
        "HEARTBEAT_DIR=${TMPDIR:-/tmp}/workers\n",
        "HEARTBEAT_DIR=deploy/workers\n",
        "BOOT002",
    ),
    cloud(
        "cloud: previous steps are not run",
        CONTRACT,
        'previous_steps = "deploy/previous-steps"\n',
        'previous_steps = ""\n',
        "PRE001",
        more=(
            Change(file=RUN, old="              command: [deploy/previous-steps]\n", new=""),
            Change(file=FLY, old='release_command = "deploy/previous-steps"\n', new=""),
            Change(file=RENDER, old="    preDeployCommand: deploy/previous-steps\n", new=""),
        ),
    ),
    cloud(
        "cloud: scale to zero, and longer to stop",
        CONTRACT,
        WANTED,
        "min_containers = 0\n",
        touches=("TLS001", "TLS005", "TLS006", "BOOT001", "RST002"),
        more=(
            Change(file=FLY, old='auto_stop_machines = "off"\n', new='auto_stop_machines = "stop"\n'),
            Change(file=FLY, old=NO_FEWEST, new="min_machines_running = 0\n"),
            Change(file=FLY, old='kill_timeout = "10s"\n', new='kill_timeout = "5m"\n'),
            Change(file=RUN, old='        autoscaling.knative.dev/minScale: "2"\n', new=""),
        ),
    ),
]

# These are read, in a moment.
READ = [
    cloud("read: plain HTTP is answered", FLY, "force_https = true\n", "", "TLS001"),
    cloud(
        "read: everybody is the platform",
        FLY,
        '"10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,169.254.0.0/16,fc00::/7"',
        '"*"',
        "TLS006",
    ),
    cloud(
        "read: a port beside the edge",
        FLY,
        "[[restart]]\n",
        "[[services]]\ninternal_port = 8080\n\n[[restart]]\n",
        "TLS007",
    ),
    cloud("read: a variable is missing", RENDER, "      - {key: LOG_LEVEL, value: INFO}\n", "", "BOOT002"),
    cloud(
        "read: the edge looks elsewhere", FLY, "internal_port = 8080\n", "internal_port = 8000\n", "BOOT002"
    ),
    cloud("read: not a Blueprint", RENDER, "services:\n", "parts:\n", "BOOT002"),
    cloud(
        "read: nobody starts a machine",
        FLY,
        "auto_start_machines = true\n",
        "auto_start_machines = false\n",
        "BOOT001",
        more=(
            Change(file=FLY, old=NO_FEWEST, new="min_machines_running = 0\n"),
            Change(file=RUN, old='        autoscaling.knative.dev/minScale: "2"\n', new=""),
            Change(file=CONTRACT, old=WANTED, new="min_containers = 0\n"),
        ),
    ),
    cloud("read: no health check", RENDER, "    healthCheckPath: /health/ready\n", "", "BOOT007", "RST009"),
    cloud(
        "read: liveness is asked before requests come",
        RUN,
        "path: /health/ready",
        "path: /health/live",
        "BOOT007",
    ),
    cloud("read: no startup probe", RUN, STARTUP, "", "BOOT007", "RST009"),
    cloud("read: no check of a machine", FLY, CHECK, "", "BOOT007", "RST009"),
    cloud("read: fewer containers than promised", FLY, NO_FEWEST, "", "RST002"),
    cloud(
        "read: a clean exit leaves it down", FLY, 'policy = "always"\n', 'policy = "on-failure"\n', "RST003"
    ),
    cloud(
        "read: no restart policy", FLY, '[[restart]]\npolicy = "always"\nprocesses = ["app"]\n', "", "RST003"
    ),
    cloud(
        "read: a slow start is a crash",
        RUN,
        "            failureThreshold: 10\n",
        "            failureThreshold: 2\n",
        "RST006",
    ),
    cloud("read: SIGINT", FLY, 'kill_signal = "SIGTERM"\n', "", "RST008"),
    cloud("read: the platform's own time at a stop", FLY, 'kill_timeout = "10s"\n', "", "RST008"),
    cloud(
        "read: the contract promises more than Cloud Run gives",
        CONTRACT,
        "stop_grace_s = 10\n",
        "stop_grace_s = 30\n",
        "RST008",
    ),
    cloud(
        "read: all machines are replaced at once",
        FLY,
        'strategy = "rolling"\n',
        'strategy = "immediate"\n',
        "RST009",
    ),
    cloud("read: liveness asks the database", RUN, "path: /health/live", "path: /health/ready", "RST010"),
    cloud(
        "read: two server processes",
        RENDER,
        '{key: WEB_CONCURRENCY, value: "1"}',
        '{key: WEB_CONCURRENCY, value: "2"}',
        "REP001",
    ),
    cloud("read: more pools than the database takes", RUN, 'maxScale: "10"', 'maxScale: "100"', "REP007"),
    cloud(
        "read: each release may have all pools",
        RUN,
        "        autoscaling.knative.dev/minScale",
        '        autoscaling.knative.dev/maxScale: "10"\n        autoscaling.knative.dev/minScale',
        "REP007",
        more=(Change(file=RUN, old='    run.googleapis.com/maxScale: "10"\n', new='    a: "b"\n'),),
    ),
    cloud(
        "read: less memory than the app is told", FLY, 'memory = "512mb"\n', 'memory = "256mb"\n', "MEM001"
    ),
    cloud("read: no limit of memory", FLY, 'memory = "512mb"\n', "", "MEM001"),
    cloud(
        "read: nothing runs before a release",
        RENDER,
        "    preDeployCommand: deploy/previous-steps\n",
        "",
        "PRE001",
    ),
    cloud(
        "read: a failure is swallowed",
        FLY,
        'release_command = "deploy/previous-steps"\n',
        'release_command = "deploy/previous-steps || true"\n',
        "PRE001",
        "PRE004",
    ),
    cloud("read: five minutes for a migration", FLY, 'release_command_timeout = "60m"\n', "", "PRE009"),
    cloud("read: one platform only", CONTRACT, PLATFORMS, 'fly = "fly.toml"\n'),
    cloud(
        "read: autoscaling, and a larger machine",
        RENDER,
        "    numInstances: 2\n",
        "    scaling: {minInstances: 2, maxInstances: 12, targetCPUPercent: 70}\n",
        more=(
            Change(file=FLY, old='memory = "512mb"\n', new="memory = 1024\n"),
            Change(file=FLY, old='strategy = "rolling"\n', new='strategy = "bluegreen"\n'),
        ),
    ),
]
