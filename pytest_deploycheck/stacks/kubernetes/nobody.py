"""What no manifest can show: the checks that stay without a verdict, or do not apply, each with the reason."""

from __future__ import annotations

from types import MappingProxyType

_TRAFFIC = (
    "no manifest shows it, only requests through the gateway of a cluster: process_manager supervisor tries the same "
    "app behind a proxy of its own"
)
_APP = "it is the app's own, and no pod runs here: the template's answer process_manager supervisor tries the same app"
_DATABASE = (
    "it is the app's and its database's, whoever runs it: the template's answers process_manager supervisor and "
    "database postgresql try the same files"
)
NOT_VERIFIED = MappingProxyType(
    {
        "TLS004": _TRAFFIC,
        "TLS005": _TRAFFIC,
        "TLS006": _TRAFFIC,
        "TLS009": "the gateway's controller watches the Secret that cert-manager renews: only a cluster shows it",
        "TLS011": _TRAFFIC,
        "TLS012": _TRAFFIC,
        "TLS013": "the Gateway API has no field for the size of a body: set it at the gateway's controller",
        "TLS014": "the Gateway API has no field for slow clients: set it at the gateway's controller",
        "TLS015": _TRAFFIC,
        "TLS016": "the gateway's controller offers HTTP/2, or not: no field of the manifests says it",
        "BOOT003": "kubelet runs the previous steps again until they succeed: only a cluster shows it",
        "BOOT006": "the pod's status and `kubectl logs` show it: only a cluster has them",
        "RST005": _APP,
        "RST007": "kubelet ends what is left after terminationGracePeriodSeconds: only a cluster shows it",
        "REP003": _TRAFFIC,
        "REP005": _APP,
        "MEM003": "a pod that leaks is ended at its limit (MEM002): that it is recycled before, no manifest says",
        "MEM004": "a pod that leaks is ended at its limit (MEM002): in step with others or not, no manifest says",
        "MEM005": _APP,
        "MEM006": "`kubectl describe pod` says OOMKilled: only a cluster shows it",
        "PRE003": _DATABASE,
        "PRE006": _DATABASE,
        "PRE007": _DATABASE,
        "PRE008": _DATABASE,
        "RES003": _APP,
        "RES004": "how many files a container may open is set at the machines, by the container runtime",
        "RES006": _APP,
    }
)
NOT_APPLICABLE = MappingProxyType(
    {
        "BOOT005": "no terminal starts a pod",
        "RST001": "each pod has one server process (REP001): its death is that of the server, RST002",
        "RES007": "the app writes no file: what it prints goes to the machine's container runtime",
    }
)
