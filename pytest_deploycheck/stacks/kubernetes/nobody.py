"""What no manifest and no pod of this machine can show, each with the reason."""

from __future__ import annotations

from types import MappingProxyType

NOT_VERIFIED = MappingProxyType(
    {
        "TLS009": "the gateway's controller watches the Secret that cert-manager renews: only a cluster shows it",
        "TLS013": "the Gateway API has no field for the size of a body: set it at the gateway's controller",
        "TLS014": "the Gateway API has no field for slow clients: set it at the gateway's controller",
        "TLS015": "what is answered while no pod is ready is the gateway's controller's: only a cluster shows it",
        "TLS016": "the gateway's controller offers HTTP/2, or not: no field of the manifests says it",
        "RES004": "how many files a container may open is set at the machines, by the container runtime",
    }
)
NOT_APPLICABLE = MappingProxyType(
    {
        "BOOT005": "no terminal starts a pod",
        "RST001": "each pod has one server process (REP001): its death is that of the server, RST002",
        "RES007": "the app writes no file: what it prints goes to the machine's container runtime",
    }
)
