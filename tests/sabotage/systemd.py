"""Broken deployments under systemd, booted for real, and right ways of another kind."""

from __future__ import annotations

from functools import partial

from harness import Change, sabotage

systemd = partial(sabotage, answers=(("process_manager", "systemd"),), touches=("BOOT002",))
with_nginx = partial(
    sabotage, answers=(("process_manager", "systemd"), ("https_proxy", "nginx")), touches=("BOOT002",)
)

APP = "deploy/systemd/notes_api-app.service"
RELOAD = "deploy/systemd/notes_api-reload.service"
STEPS = "deploy/systemd/notes_api-previous-steps.service"
PROXY = "deploy/systemd/notes_api-proxy.service"
COMMON = "deploy/systemd/notes_api-.service.d/common.conf"
JOURNAL = "deploy/systemd/journald@notes_api.conf"
TIMER = "deploy/systemd/notes_api-certificates.timer"
GUARD = "deploy/guard.py"
GUNICORN = "deploy/gunicorn.conf.py"
ENABLE = "deploy/enable"

RESTART = "# Also after a clean exit (RST003).\nRestart=always\n"
INSTALL = "[Install]\nWantedBy=multi-user.target\n"
STOP = "TimeoutStopSec=35\n# The kernel"
LIMITS = "StartLimitIntervalSec=60\nStartLimitBurst=5\n"
ORDER = "Requires=notes_api-previous-steps.service\nAfter=notes_api-previous-steps.service\n"

LAST_LINE = "control_socket_disable = True\n"
OUTLIVES = (
    LAST_LINE
    + "\n\ndef on_exit(server):\n    import subprocess\n\n"
    + '    subprocess.Popen(["sleep", "600"], start_new_session=True)\n'
)

SABOTAGES = [
    systemd("systemd: the app's unit has no install section", APP, INSTALL, "", "BOOT001"),
    systemd(
        "systemd: the units are written, and not enabled",
        ENABLE,
        'enable "$@"',
        'is-enabled "$@" || true',
        "BOOT001",
    ),
    systemd(
        "systemd: a target wants the app that nobody wants",
        APP,
        "WantedBy=multi-user.target",
        "WantedBy=notes_api.target",
        "BOOT001",
    ),
    systemd("systemd: no restart", APP, RESTART, "Restart=no\n", "RST002", "RST003"),
    systemd("systemd: restart after a failure only", APP, RESTART, "Restart=on-failure\n", "RST003"),
    systemd("systemd: restart after a success only", APP, RESTART, "Restart=on-success\n", "RST002"),
    systemd(
        "systemd: one start is the limit", APP, "StartLimitBurst=5", "StartLimitBurst=1", "RST002", "RST003"
    ),
    systemd(
        "systemd: no limit of starts, and no pause",
        APP,
        LIMITS,
        "StartLimitIntervalSec=0\n",
        "RST006",
        more=(Change(file=APP, old="RestartSec=1\n", new="RestartSec=50ms\n"),),
    ),
    systemd("systemd: half a second to stop", APP, STOP, STOP.replace("35", "500ms"), "RST008"),
    systemd(
        "systemd: a release whose code reaches no worker",
        RELOAD,
        "ExecStart=@FOLDER@/deploy/reload\n",
        "ExecStart=@FOLDER@/deploy/previous-steps\n",
        "RST009",
    ),
    systemd(
        "systemd: no memory limit",
        APP,
        "MemoryMax=@MEMORY_LIMIT_MB@M\n",
        "",
        "MEM002",
        more=(Change(file=GUARD, old="    if total > LIMIT_MB:\n", new="    if total > 100 * LIMIT_MB:\n"),),
    ),
    systemd(
        "systemd: a limit that is too small",
        APP,
        "MemoryMax=@MEMORY_LIMIT_MB@M\n",
        "MemoryMax=130M\n",
        "MEM001",
    ),
    systemd("systemd: too few open files", APP, "LimitNOFILE=4096", "LimitNOFILE=128", "RES004"),
    systemd(
        "systemd: the app does not wait for the previous steps",
        APP,
        ORDER,
        "",
        "PRE001",
        "PRE004",
        more=(
            Change(
                file=STEPS,
                old="ExecStart=@FOLDER@/deploy/previous-steps\n",
                new="ExecStart=/bin/sh -c 'sleep 4; exec @FOLDER@/deploy/previous-steps'\n",
            ),
        ),
    ),
    systemd(
        "systemd: previous steps may take a moment only",
        STEPS,
        "TimeoutStartSec=infinity",
        "TimeoutStartSec=7",
        "PRE009",
    ),
    systemd(
        "systemd: previous steps are tried once",
        STEPS,
        "Restart=on-failure\n",
        "",
        more=(),
        touches=("BOOT003",),
    ),
    systemd(
        "systemd: what the server leaves behind goes on",
        GUNICORN,
        LAST_LINE,
        OUTLIVES,
        "RST007",
        more=(Change(file=APP, old="KillMode=mixed", new="KillMode=process"),),
    ),
    with_nginx(
        "systemd: the certificate's timer is not enabled",
        ENABLE,
        " notes_api-certificates.timer\n",
        "\n",
        "TLS010",
    ),
    with_nginx(
        "systemd: the certificate's timer elapses once", TIMER, "OnUnitInactiveSec=12h\n", "", "TLS010"
    ),
    # Right ways of another kind: nothing may fail.
    with_nginx(
        "systemd: the certificate is looked at by the calendar",
        TIMER,
        "OnUnitInactiveSec=12h\n",
        "OnCalendar=*-*-* 00,12:00:00\nRandomizedDelaySec=12h\n",
        touches=("TLS009", "TLS010"),
    ),
    systemd(
        "systemd: as it is generated",
        APP,
        "RestartSec=1\n",
        "RestartSec=1\n",
        touches=("BOOT001", "BOOT004", "RST002", "RST007", "RST009", "PRE001", "RES005"),
    ),
    systemd(
        "systemd: what the server leaves behind is ended with it",
        GUNICORN,
        LAST_LINE,
        OUTLIVES,
        touches=("RST007",),
    ),
    systemd(
        "systemd: the kernel alone keeps the memory limit",
        GUARD,
        "    if total > LIMIT_MB:\n",
        "    if total > 100 * LIMIT_MB:\n",
        touches=("MEM002", "MEM003"),
    ),
    systemd(
        "systemd: Type=exec",
        APP,
        "Type=notify",
        "Type=exec",
        touches=("RST001", "RST002", "RST003", "RST006"),
    ),
    systemd(
        "systemd: previous steps in the app's own unit",
        APP,
        "ExecStart=",
        "ExecStartPre=@FOLDER@/deploy/previous-steps\nExecStart=",
        more=(
            Change(file=STEPS, old="ExecStart=@FOLDER@/deploy/previous-steps\n", new="ExecStart=/bin/true\n"),
        ),
        touches=("PRE001", "PRE002", "PRE005"),
    ),
    systemd(
        "systemd: the proxy waits for the previous steps",
        PROXY,
        "After=network-online.target\n",
        "After=network-online.target notes_api-previous-steps.service\n",
        touches=("BOOT001", "BOOT002", "PRE001"),
    ),
]
