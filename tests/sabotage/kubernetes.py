"""Broken projects for Kubernetes: what a pod of them does, and what manifests say."""

# ruff: noqa: E501  (lines of the template)

from __future__ import annotations

from functools import partial

from harness import Change, Sabotage, sabotage
from postgresql import ENV, LOCK

ANSWERS = (("process_manager", "kubernetes"), ("database", "postgresql"))
BASE = "deploy/kubernetes/base"
GUNICORN, APPLICATION = "deploy/gunicorn.conf.py", "src/notes_api/application.py"
BIND = "bind = f\"0.0.0.0:{os.environ.get('PORT', '8000')}\"\n"
SERVE, HEALTH = "deploy/serve", "src/notes_api/health.py"
ALIVE = """async def live() -> dict[str, str]:
    \"\"\"Say that the process answers, whatever the database does.\"\"\"
    return {"status": "alive"}
"""
ASKS_DATABASE = """async def live(request: Request, response: Response) -> dict[str, str]:
    \"\"\"Say what readiness says.\"\"\"
    return await ready(request, response)
"""
NOT_READY = "    response.status_code = status.HTTP_503_SERVICE_UNAVAILABLE\n"
TRUSTED = "    app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=settings.cluster_networks)\n"
BODIES = "src/notes_api/bodies.py"
OVERLOAD = "    app.add_middleware(OverloadMiddleware)\n"
OBSERVED = "    app.add_middleware(ObservationMiddleware)\n"
DEPLOYMENT, SCALING = f"{BASE}/deployment.yaml", f"{BASE}/scaling.yaml"
SERVICE, GATEWAY = f"{BASE}/service.yaml", f"{BASE}/gateway.yaml"
CONFIG, BASE_LIST = f"{BASE}/config.env", f"{BASE}/kustomization.yaml"
PRODUCTION = "deploy/kubernetes/overlays/production/kustomization.yaml"

ASKS = "          {}Probe:\n            httpGet:\n              path: {}\n              port: http\n"
LIVE = ASKS.format("liveness", "/health/live").removeprefix("  ".ljust(10))
READY = ASKS.format("readiness", "/health/ready").removeprefix("  ".ljust(10))
LIVE_TIMES = (
    "            periodSeconds: 4\n            timeoutSeconds: 2\n            failureThreshold: 6\n"
    "            # Who hangs cannot finish anything, so it is not waited for as long as at a stop.\n"
    "            terminationGracePeriodSeconds: 4\n"
)
READY_TIMES = (
    "            periodSeconds: 2\n            # Longer than the wait for a connection of the database.\n"
    "            timeoutSeconds: 6\n            failureThreshold: 2\n"
)
STARTUP = (
    ASKS.format("startup", "/health/live")
    + "            periodSeconds: 2\n            failureThreshold: 30\n"
)
PRESTOP = '            preStop:\n              exec:\n                command: [sleep, "8"]\n'
LIFECYCLE = "          lifecycle:\n            # While all gateways hear that this pod goes, it still answers (RST009).\n"
LIMITS = (
    "            limits:\n"
    "              # At this limit the kernel ends the process, and kubelet starts it again (MEM002). As much is reserved, so\n"
    "              # that a machine never promises more than it has (MEM001). No limit for the CPU: it would only slow it down.\n"
    "              memory: 512Mi\n"
)
REQUESTS = "            requests:\n              cpu: 250m\n              memory: 512Mi\n"
SPREAD = "      topologySpreadConstraints:\n"
STEPS = "          command: [deploy/previous-steps]\n"
APP = "        - name: app\n"
HSTS = "                value: max-age=31536000\n"
JOB = """apiVersion: batch/v1
kind: Job
metadata:
  name: previous-steps
spec:
  template:
    spec:
      restartPolicy: Never
      containers:
        - name: previous-steps
          image: notes-api
          command: [deploy/previous-steps]
"""
INGRESS = """apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: notes-api
  annotations:
    cert-manager.io/cluster-issuer: letsencrypt
spec:
  ingressClassName: traefik
  tls:
    - hosts: [notes.example.com]
      secretName: notes-api-tls
  rules:
    - host: notes.example.com
      http:
        paths:
          - {path: /, pathType: Prefix, backend: {service: {name: notes-api, port: {name: http}}}}
"""
JOB_FILE, INGRESS_FILE = f"{BASE}/job.yaml", f"{BASE}/ingress.yaml"
WITH_JOB = (
    Change(file=JOB_FILE, old=None, new=JOB),
    Change(file=BASE_LIST, old="  - deployment.yaml\n", new="  - deployment.yaml\n  - job.yaml\n"),
)
NO_STEPS = Change(file=DEPLOYMENT, old=STEPS, new="          command: [/bin/true]\n")


def broken(
    name: str, file: str, old: str | None, new: str, *caught_by: str, more: tuple[Change, ...] = ()
) -> Sabotage:
    """Return a record with one change, or with more."""
    return Sabotage(
        id=name, changes=(Change(file=file, old=old, new=new), *more), caught_by=frozenset(caught_by)
    )


pod = partial(sabotage, answers=ANSWERS, touches=("BOOT002",))


def several(name: str, *changes: Change, caught_by: tuple[str, ...] = ()) -> Sabotage:
    """Return a record of some changes."""
    return Sabotage(id=name, changes=changes, caught_by=frozenset(caught_by))


# These are seen: a pod runs.
SABOTAGES = [
    pod(
        "kubernetes: the server listens at another port", GUNICORN, BIND, 'bind = "0.0.0.0:9000"\n', "BOOT002"
    ),
    pod(
        "kubernetes: the Service leads to another port",
        SERVICE,
        "      targetPort: http\n",
        "      targetPort: 9000\n",
        "BOOT002",
    ),
    pod(
        "kubernetes: the app writes beside TMPDIR",
        "deploy/serve",
        "HEARTBEAT_DIR=${TMPDIR:-/tmp}/workers\n",
        "HEARTBEAT_DIR=deploy/workers\n",
        "BOOT002",
    ),
    pod(
        "kubernetes: whoever reaches the pod is believed",
        APPLICATION,
        TRUSTED,
        TRUSTED.replace("settings.cluster_networks", '"*"'),
        "TLS006",
        touches=("TLS004", "TLS005", "TLS006"),
    ),
    pod(
        "kubernetes: nobody is believed, not even the gateway",
        CONFIG,
        "CLUSTER_NETWORKS=10.0.0.0/8,",
        "CLUSTER_NETWORKS=203.0.113.7\nUNUSED=",
        "TLS004",
        "TLS005",
        touches=("TLS004", "TLS005", "TLS006"),
    ),
    pod(
        "kubernetes: bodies of any size",
        BODIES,
        "LARGEST_BODY = 4 * 1024 * 1024\n",
        "LARGEST_BODY = 4 * 1024 * 1024 * 1024\n",
        "TLS013",
        touches=("TLS004", "TLS014"),
    ),
    pod(
        "kubernetes: slow bodies are waited for",
        BODIES,
        "BODY_TIMEOUT = 20.0\n",
        "BODY_TIMEOUT = 3600.0\n",
        "TLS014",
        touches=("TLS013",),
    ),
    pod(
        "kubernetes: a body that still comes takes a place among the requests in progress",
        APPLICATION,
        OVERLOAD,
        "",
        "TLS014",
        touches=("TLS013", "RES006"),
        more=(
            Change(file=APPLICATION, old=OBSERVED, new=OVERLOAD + OBSERVED),
            # It would have places of its own for them.
            Change(
                file="src/notes_api/overload.py",
                old="on_its_way = has_body(scope)",
                new="on_its_way = False",
            ),
        ),
    ),
    pod(
        "kubernetes: a shell stays before the server",
        SERVE,
        "exec gunicorn -c",
        "gunicorn -c",
        "RST008",
    ),
    pod(
        "kubernetes: a grace of 1 s",
        DEPLOYMENT,
        "      terminationGracePeriodSeconds: 40\n",
        "      terminationGracePeriodSeconds: 1\n",
        "RST008",
    ),
    pod(
        "kubernetes: no preStop", DEPLOYMENT, LIFECYCLE + PRESTOP, "", "RST009", touches=("BOOT002", "RST008")
    ),
    # The manifests ask for liveness; what answers there asks the database.
    pod("kubernetes: what answers for liveness asks the database", HEALTH, ALIVE, ASKS_DATABASE, "RST010"),
    pod(
        "kubernetes: what answers for readiness cannot say no",
        HEALTH,
        NOT_READY,
        "",
        "BOOT007",
        "RST011",
    ),
    pod(
        "kubernetes: pods take the previous steps without a lock",
        ENV,
        LOCK,
        "    # lock(connection)\n",
        "PRE003",
    ),
    # All files agree on it: only a running pod shows that the app needs more.
    pod(
        "kubernetes: a limit that is too small",
        DEPLOYMENT,
        LIMITS,
        LIMITS.replace("512", "112"),
        "MEM001",
        more=(
            Change(file=DEPLOYMENT, old=REQUESTS, new=REQUESTS.replace("512", "112")),
            Change(file=CONFIG, old="MEMORY_LIMIT_MB=512", new="MEMORY_LIMIT_MB=112"),
            Change(file=".env", old="MEMORY_LIMIT_MB=512", new="MEMORY_LIMIT_MB=112"),
        ),
    ),
    pod(
        "kubernetes: a server that takes more, and more pods",
        CONFIG,
        "DATABASE_POOLS=13\n",
        "DATABASE_POOLS=50\n",
        touches=("BOOT002", "REP007"),
        more=(
            Change(file=SCALING, old="maxReplicas: 10", new="maxReplicas: 40"),
            Change(file="pyproject.toml", old="max_connections = 100", new="max_connections = 300"),
        ),
    ),
    pod(
        "kubernetes: preStop without a command",
        DEPLOYMENT,
        PRESTOP,
        "            preStop:\n              sleep:\n                seconds: 8\n",
        touches=("BOOT002", "TLS005", "RST005", "RST007", "RST008"),
    ),
]

# These are read by all checks, in a moment.
READ = [
    # Everything public.
    broken(
        "no redirect",
        GATEWAY,
        "            scheme: https\n            port: 443\n",
        "            hostname: www.example.com\n",
        "TLS001",
    ),
    broken("the app's route is at all listeners", GATEWAY, "      sectionName: https\n", "", "TLS001"),
    broken(
        "Gateway without a certificate",
        GATEWAY,
        "      tls:\n        mode: Terminate\n        certificateRefs:\n          - name: notes-api-tls\n",
        "",
        "TLS002",
    ),
    broken("HSTS for an hour", GATEWAY, HSTS, "                value: max-age=3600\n", "TLS003"),
    broken(
        "another header in the place of HSTS",
        GATEWAY,
        "name: Strict-Transport-Security",
        "name: X-Frame-Options",
        "TLS003",
    ),
    broken("NodePort", SERVICE, "spec:\n  selector:\n", "spec:\n  type: NodePort\n  selector:\n", "TLS007"),
    broken(
        "no NetworkPolicy",
        SERVICE,
        "kind: NetworkPolicy\nmetadata:\n  name: notes-api\nspec:\n  podSelector:\n    matchLabels:\n      app.kubernetes.io/name: notes-api\n",
        "kind: NetworkPolicy\nmetadata:\n  name: notes-api\nspec:\n  podSelector:\n    matchLabels:\n      app: another\n",
        "TLS007",
    ),
    broken(
        "NetworkPolicy for what goes out only",
        SERVICE,
        "policyTypes: [Ingress, Egress]",
        "policyTypes: [Egress]",
        "TLS007",
    ),
    broken(
        "NetworkPolicy lets all in",
        SERVICE,
        "  ingress:\n    - from:\n",
        "  ingress:\n    - ports:\n        - port: http\n    - from:\n",
        "TLS007",
    ),
    broken(
        "any host",
        GATEWAY,
        "      sectionName: https\n  hostnames: [notes.example.com]\n",
        "      sectionName: https\n",
        "TLS008",
    ),
    broken(
        "nobody is asked for a certificate",
        GATEWAY,
        "    cert-manager.io/issuer: letsencrypt\n",
        "    note: none\n",
        "TLS010",
    ),
    broken(
        "another issuer is asked",
        GATEWAY,
        "cert-manager.io/issuer: letsencrypt",
        "cert-manager.io/issuer: le",
        "TLS010",
    ),
    broken(
        "the issuer proves no domain", GATEWAY, "    solvers:\n", "    solvers: []\n    others:\n", "TLS010"
    ),
    # Running on startup.
    broken(
        "as root",
        DEPLOYMENT,
        "        runAsNonRoot: true\n        runAsUser: 10001\n",
        "        runAsUser: 0\n",
        "BOOT001",
    ),
    broken(
        "all capabilities",
        DEPLOYMENT,
        "              drop: [ALL]\n",
        "              drop: [NET_RAW]\n",
        "BOOT001",
    ),
    broken(
        "rights may grow",
        DEPLOYMENT,
        "allowPrivilegeEscalation: false",
        "allowPrivilegeEscalation: true",
        "BOOT001",
    ),
    broken(
        "paused", DEPLOYMENT, "spec:\n  # No replicas", "spec:\n  paused: true\n  # No replicas", "BOOT001"
    ),
    broken("a setting is missing", CONFIG, "LOG_LEVEL=INFO\n", "", "BOOT002"),
    broken(
        "a secret is missing",
        DEPLOYMENT,
        "            - &token\n              name: API_TOKEN\n",
        "            - &token\n              name: TOKEN\n",
        "BOOT002",
    ),
    broken("a file is missing", BASE_LIST, "  - service.yaml\n", "  - services.yaml\n", "BOOT002"),
    broken("no YAML", SERVICE, "spec:\n  selector:\n", "spec: {\n  selector:\n", "BOOT002"),
    broken("nothing serves", DEPLOYMENT, "kind: Deployment\n", "kind: ReplicaSet\n", "BOOT002"),
    broken(
        "a volume that stays",
        DEPLOYMENT,
        "          emptyDir:\n            sizeLimit: 64Mi\n",
        "          persistentVolumeClaim:\n            claimName: tmp\n",
        "BOOT004",
    ),
    broken("readiness asks for liveness", DEPLOYMENT, READY, READY.replace("ready\n", "live\n"), "BOOT007"),
    broken("reloader", DEPLOYMENT, APP, f"{APP}          args: [deploy/serve, --reload]\n", "BOOT008"),
    broken("development", CONFIG, "ENVIRONMENT=production", "ENVIRONMENT=development", "BOOT008"),
    # Restarts.
    broken("one pod", SCALING, "minReplicas: 2", "minReplicas: 1", "RST002"),
    broken(
        "all pods on one machine",
        DEPLOYMENT,
        SPREAD,
        "      topologySpreadConstraints: []\n      unknown:\n",
        "RST002",
    ),
    broken(
        "only failures are restarted",
        DEPLOYMENT,
        "      automountServiceAccountToken: false\n",
        "      automountServiceAccountToken: false\n      restartPolicy: OnFailure\n",
        "RST003",
    ),
    broken("no liveness", DEPLOYMENT, LIVE + LIVE_TIMES, "", "RST004"),
    broken(
        "liveness is patient",
        DEPLOYMENT,
        LIVE_TIMES,
        LIVE_TIMES.replace("periodSeconds: 4", "periodSeconds: 20"),
        "RST004",
    ),
    broken(
        "who hangs gets its whole grace",
        DEPLOYMENT,
        LIVE_TIMES,
        LIVE_TIMES.replace("            terminationGracePeriodSeconds: 4\n", ""),
        "RST004",
    ),
    broken("no startup probe", DEPLOYMENT, STARTUP, "", "RST006"),
    broken("a short startup probe", DEPLOYMENT, "failureThreshold: 30", "failureThreshold: 3", "RST006"),
    broken(
        "a grace of 1 s",
        DEPLOYMENT,
        "      terminationGracePeriodSeconds: 40\n",
        "      terminationGracePeriodSeconds: 1\n",
        "RST008",
    ),
    broken("preStop takes the grace", DEPLOYMENT, '[sleep, "8"]', '[sleep, "38"]', "RST008"),
    broken("no preStop", DEPLOYMENT, LIFECYCLE + PRESTOP, "", "RST009"),
    broken("preStop that does not wait", DEPLOYMENT, '[sleep, "8"]', "[/bin/true]", "RST009"),
    broken("all old pods at once", DEPLOYMENT, "maxUnavailable: 0", "maxUnavailable: 100%", "RST009"),
    broken("tag latest", PRODUCTION, "newTag: 0.1.0", "newTag: latest", "RST009"),
    broken("no tag", PRODUCTION, "    newTag: 0.1.0\n", "", "RST009"),
    broken(
        "no PodDisruptionBudget",
        SCALING,
        "  selector:\n    matchLabels:\n      app.kubernetes.io/name: notes-api\n",
        "  selector:\n    matchLabels:\n      app: another\n",
        "RST009",
    ),
    broken(
        "Recreate",
        DEPLOYMENT,
        "    type: RollingUpdate\n    rollingUpdate:\n      maxUnavailable: 0\n      maxSurge: 25%\n",
        "    type: Recreate\n",
        "RST009",
        "PRE004",
    ),
    broken("liveness asks the database", DEPLOYMENT, LIVE, LIVE.replace("live\n", "ready\n"), "RST010"),
    broken("no readiness", DEPLOYMENT, READY + READY_TIMES, "# none\n", "BOOT007", "RST009", "RST011"),
    broken(
        "readiness is an open port",
        DEPLOYMENT,
        READY,
        "readinessProbe:\n            tcpSocket:\n              port: http\n",
        "BOOT007",
        "RST011",
    ),
    broken(
        "readiness that cannot fail",
        DEPLOYMENT,
        READY,
        "readinessProbe:\n            exec:\n              command: [sh, -c, python deploy/health.py || true]\n",
        "BOOT007",
        "RST011",
    ),
    # Replication.
    broken("two processes in a pod", CONFIG, "WEB_CONCURRENCY=1", "WEB_CONCURRENCY=2", "REP001"),
    broken(
        "four processes on a quarter of a CPU",
        CONFIG,
        "WEB_CONCURRENCY=1",
        "WEB_CONCURRENCY=4",
        "REP001",
        "REP006",
    ),
    several(
        "four processes in each pod, as promised",
        Change(file=CONFIG, old="WEB_CONCURRENCY=1", new="WEB_CONCURRENCY=4"),
        Change(file=".env", old="WEB_CONCURRENCY=1", new="WEB_CONCURRENCY=4"),
        caught_by=("REP006",),
    ),
    broken(
        "replicas beside the autoscaler",
        DEPLOYMENT,
        "spec:\n  # No replicas",
        "spec:\n  replicas: 2\n  # No replicas",
        "REP002",
    ),
    broken(
        "SQLite in each pod",
        DEPLOYMENT,
        "            - &database\n              name: DATABASE_URL\n              valueFrom:\n                secretKeyRef:\n                  name: notes-api\n                  key: DATABASE_URL\n",
        "            - &database\n              name: DATABASE_URL\n              value: sqlite+aiosqlite:////tmp/notes.db\n",
        "REP004",
    ),
    broken("more pods than the database takes", SCALING, "maxReplicas: 10", "maxReplicas: 20", "REP007"),
    broken(
        "larger pools than the database takes",
        CONFIG,
        "DATABASE_CONNECTIONS=5",
        "DATABASE_CONNECTIONS=10",
        "REP007",
    ),
    # Memory.
    several(
        "too little memory",
        Change(file=DEPLOYMENT, old=REQUESTS, new=REQUESTS.replace("512", "128")),
        Change(file=DEPLOYMENT, old=LIMITS, new=LIMITS.replace("512", "128")),
        caught_by=("MEM001",),
    ),
    broken(
        "less is reserved than it may take", DEPLOYMENT, REQUESTS, REQUESTS.replace("512Mi", "64Mi"), "MEM001"
    ),
    broken("no limit", DEPLOYMENT, LIMITS, "", "MEM002"),
    # Previous steps.
    several("no previous steps", NO_STEPS, caught_by=("PRE001",)),
    several("two runners", *WITH_JOB, caught_by=("PRE002",)),
    broken(
        "a failure does not count",
        DEPLOYMENT,
        STEPS,
        "          command: [sh, -c, deploy/previous-steps || true]\n",
        "PRE004",
    ),
    broken(
        "the server's container runs them",
        DEPLOYMENT,
        APP,
        f"{APP}          command: [sh, -c, deploy/previous-steps && exec deploy/serve]\n",
        "PRE005",
        "PRE009",
        more=(NO_STEPS,),
    ),
    several(
        "a Job with a deadline",
        NO_STEPS,
        Change(
            file=JOB_FILE,
            old=None,
            new=JOB.replace("spec:\n  template", "spec:\n  activeDeadlineSeconds: 60\n  template"),
        ),
        WITH_JOB[1],
        caught_by=("PRE009",),
    ),
    several(
        "a Job that no pod waits for",
        NO_STEPS,
        *WITH_JOB,
        Change(file=DEPLOYMENT, old=READY, new=READY.replace("ready\n", "live\n")),
        caught_by=("PRE001", "BOOT007"),
    ),
    # Resources.
    broken(
        "nobody collects metrics",
        DEPLOYMENT,
        'prometheus.io/scrape: "true"',
        'prometheus.io/scrape: "false"',
        "RES001",
    ),
    broken(
        "metrics of another path",
        DEPLOYMENT,
        "prometheus.io/path: /metrics",
        "prometheus.io/path: /stats",
        "RES001",
    ),
    broken("no requests", DEPLOYMENT, REQUESTS, "", "RES002"),
    broken(
        "more pods when it is too late",
        SCALING,
        "averageUtilization: 70",
        "averageUtilization: 100",
        "RES002",
    ),
    broken(
        "writable root", DEPLOYMENT, "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false", "RES005"
    ),
    broken(
        "a folder without a bound",
        DEPLOYMENT,
        "          emptyDir:\n            sizeLimit: 64Mi\n",
        "          emptyDir: {}\n",
        "RES005",
    ),
    # Other right ways.
    several("a Job instead of init containers", NO_STEPS, *WITH_JOB),
    broken(
        "preStop by kubelet itself",
        DEPLOYMENT,
        PRESTOP,
        "            preStop:\n              sleep:\n                seconds: 8\n",
    ),
    broken("an image by its digest", PRODUCTION, "    newTag: 0.1.0\n", f"    digest: sha256:{'0' * 64}\n"),
    several(
        "an Ingress",
        Change(file=INGRESS_FILE, old=None, new=INGRESS),
        Change(file=BASE_LIST, old="  - gateway.yaml\n", new="  - ingress.yaml\n"),
    ),
    broken(
        "a ClusterIssuer of others",
        GATEWAY,
        "cert-manager.io/issuer: letsencrypt",
        "cert-manager.io/cluster-issuer: all",
    ),
    broken(
        "a fixed number of pods",
        DEPLOYMENT,
        "spec:\n  # No replicas",
        "spec:\n  replicas: 3\n  # No replicas",
        more=(Change(file=SCALING, old="kind: HorizontalPodAutoscaler\n", new="kind: Unknown\n"),),
    ),
    broken(
        "anti-affinity",
        DEPLOYMENT,
        SPREAD,
        "      affinity:\n        podAntiAffinity:\n          requiredDuringSchedulingIgnoredDuringExecution: []\n      unknown:\n",
    ),
    broken("a limit above the reserve", DEPLOYMENT, LIMITS, LIMITS.replace("512Mi", "1Gi")),
    broken("one pod may go at a release", DEPLOYMENT, "maxUnavailable: 0", "maxUnavailable: 1"),
    broken(
        "HSTS with subdomains",
        GATEWAY,
        HSTS,
        "                value: max-age=63072000; includeSubDomains; preload\n",
    ),
    broken(
        "settings from a Secret",
        DEPLOYMENT,
        "            - configMapRef:\n                name: notes-api\n",
        "            - configMapRef:\n                name: notes-api\n            - secretRef:\n                name: more\n",
    ),
]
