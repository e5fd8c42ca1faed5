"""Everything public: Gateway and HTTPRoutes, or an Ingress, and who gets the certificate."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pytest_deploycheck.config import Config
from pytest_deploycheck.outcome import Blocked, NotVerified
from pytest_deploycheck.stacks.kubernetes.manifests import Manifests, Object, at, named, selects
from pytest_deploycheck.stacks.kubernetes.promise import promises

HSTS_MIN_S = 180 * 86400
ISSUERS = {"cert-manager.io/issuer": "Issuer", "cert-manager.io/cluster-issuer": "ClusterIssuer"}
PROMISES, promise = promises()


def listeners(found: Manifests, protocol: str) -> Iterator[tuple[Object, dict[str, Any]]]:
    """Yield each listener of a Gateway that speaks HTTP or HTTPS, with its Gateway."""
    for gateway in found.of_kind("Gateway"):
        for listener in at(gateway, "spec.listeners", ()):
            if listener.get("protocol") == protocol:
                yield gateway, listener


def routes(found: Manifests, listener: str) -> Iterator[tuple[Object, dict[str, Any]]]:
    """Yield each rule of the HTTPRoutes at a listener, with its route. A route that names none is at all of them."""
    for route in found.of_kind("HTTPRoute"):
        sections = {parent.get("sectionName") for parent in at(route, "spec.parentRefs", ())}
        if sections & {listener, None}:
            for rule in at(route, "spec.rules", ()):
                yield route, rule


def filters(rule: dict[str, Any], kind: str, field: str) -> list[dict[str, Any]]:
    """Return the filters of a kind that a rule has."""
    return [item.get(field, {}) for item in rule.get("filters") or () if item.get("type") == kind]


def only_gateways(found: Manifests, what: str) -> None:
    """Give no verdict where there is no Gateway: no field says it, the controller of an Ingress decides.

    Raises:
        NotVerified: so it is.
    """
    if not found.of_kind("Gateway"):
        raise NotVerified(f"{what} is declared by a Gateway and its HTTPRoutes only, and there is none")


@promise("TLS001", "Gateway: listeners; HTTPRoute: RequestRedirect")
def plain_http_redirects(found: Manifests, _: Config) -> None:
    """Everything that comes to a plain listener is sent to https."""
    only_gateways(found, "the redirect")
    for _gateway, listener in listeners(found, "HTTP"):
        for route, rule in routes(found, listener["name"]):
            schemes = [item.get("scheme") for item in filters(rule, "RequestRedirect", "requestRedirect")]
            assert "https" in schemes, (
                f"{named(route)}: a rule at the listener {listener['name']} answers plain HTTP: "
                "a filter RequestRedirect with scheme https, or sectionName: https in its parentRefs"
            )


@promise("TLS002", "Gateway: listeners[].tls; Ingress: spec.tls")
def https_has_a_certificate(found: Manifests, config: Config) -> None:
    """The domain is served over HTTPS; which versions of TLS, its controller decides."""
    assert config.domain in certified(found), (
        f"no listener with protocol HTTPS and a certificate serves {config.domain}: {', '.join(found.kinds())}"
    )
    raise NotVerified(
        "a certificate is declared; whether old TLS is refused is set at the gateway's controller"
    )


def certified(found: Manifests) -> dict[str, Object]:
    """Return the hosts that have a certificate, each with the object that says so."""
    of_gateways = {
        listener.get("hostname", ""): gateway
        for gateway, listener in listeners(found, "HTTPS")
        if at(listener, "tls.certificateRefs")
    }
    of_ingresses = {
        host: ingress
        for ingress in found.of_kind("Ingress")
        for tls in at(ingress, "spec.tls", ())
        if tls.get("secretName")
        for host in tls.get("hosts") or ()
    }
    return of_gateways | of_ingresses


@promise("TLS003", "HTTPRoute: ResponseHeaderModifier")
def browsers_stay_on_https(found: Manifests, _: Config) -> None:
    """Each rule that leads to the app adds the header."""
    only_gateways(found, "Strict-Transport-Security")
    for _gateway, listener in listeners(found, "HTTPS"):
        for route, rule in routes(found, listener["name"]):
            if rule.get("backendRefs"):
                age = hsts(rule)
                assert age >= HSTS_MIN_S, (
                    f"{named(route)}: Strict-Transport-Security with max-age={age}: "
                    f"a filter ResponseHeaderModifier that sets at least {HSTS_MIN_S}"
                )


def hsts(rule: dict[str, Any]) -> int:
    """Return for how long browsers are told to stay on HTTPS, in seconds; 0 where they are not told."""
    for item in filters(rule, "ResponseHeaderModifier", "responseHeaderModifier"):
        for header in (*item.get("set", ()), *item.get("add", ())):
            if header.get("name", "").lower() == "strict-transport-security":
                age = re.search(r"max-age=(\d+)", header.get("value", ""))
                return int(age[1]) if age else 0
    return 0


@promise("TLS007", "Service: type; NetworkPolicy: podSelector, ingress")
def nothing_goes_round(found: Manifests, _: Config) -> None:
    """The pods are reached in the cluster only, and there by named others only."""
    for service in found.of_kind("Service"):
        if selects(at(service, "spec.selector", {}), found.labels):
            kind = at(service, "spec.type", "ClusterIP")
            assert kind == "ClusterIP", (
                f"{named(service)}: type {kind} opens the app to the world beside the gateway: ClusterIP"
            )
    assert not at(found.pod, "hostNetwork", default=False), "hostNetwork: the app listens at the machine"
    guards = [
        rules
        for policy in found.of_kind("NetworkPolicy")
        if selects(at(policy, "spec.podSelector.matchLabels", {}), found.labels)
        or at(policy, "spec.podSelector") == {}
        if "Ingress" in at(policy, "spec.policyTypes", ["Ingress"])
        for rules in [at(policy, "spec.ingress", ())]
    ]
    assert guards, (
        f"no NetworkPolicy selects the pods of {named(found.app)}: every pod of the cluster reaches them"
    )
    assert all(rule.get("from") for rules in guards for rule in rules), (
        "NetworkPolicy: an ingress rule without `from` lets every pod in: name the gateway's namespace"
    )


@promise("TLS008", "Gateway: listeners[].hostname; HTTPRoute: hostnames; Ingress: rules[].host")
def foreign_hosts_are_refused(found: Manifests, config: Config) -> None:
    """Whoever asks for another host gets to no route."""
    for route in found.of_kind("HTTPRoute"):
        hosts = set(at(route, "spec.hostnames", ()))
        assert hosts == {config.domain}, (
            f"{named(route)}: hostnames {sorted(hosts) or '(any)'}: only {config.domain}"
        )
    for ingress in found.of_kind("Ingress"):
        hosts = {rule.get("host", "(any)") for rule in at(ingress, "spec.rules", ())}
        assert hosts == {config.domain}, f"{named(ingress)}: hosts {sorted(hosts)}: only {config.domain}"


@promise("TLS013", "HTTPRoute: filters; Ingress: whether its controller may hold bodies back", alone=False)
@promise("TLS014", "HTTPRoute: filters; Ingress: whether its controller may hold bodies back", alone=False)
def bodies_come_as_they_are(found: Manifests, _: Config) -> None:
    """The Gateway API has no field for bodies, so they get to the app, unless something of the controller's own helps.

    Raises:
        NotVerified: it may.
    """
    rules = [rule for route in found.of_kind("HTTPRoute") for rule in at(route, "spec.rules", ())]
    kinds = {item.get("type") for rule in rules for item in rule.get("filters") or ()}
    if found.of_kind("Ingress") or "ExtensionRef" in kinds:
        raise NotVerified(
            "the controller of an Ingress, or a filter ExtensionRef, may hold bodies back: no field says it"
        )


@promise("TLS010", "Gateway or Ingress: cert-manager's annotation; Issuer: spec.acme")
def certificates_come_by_themselves(found: Manifests, config: Config) -> None:
    """cert-manager is asked, and the issuer that it is to ask is there."""
    edge = certified(found).get(config.domain)
    if edge is None:
        raise Blocked(f"nothing serves {config.domain} with a certificate (see TLS002)")
    notes = at(edge, "metadata.annotations", {})
    asked = {kind: notes[name] for name, kind in ISSUERS.items() if name in notes}
    assert asked, f"{named(edge)}: no annotation {' or '.join(ISSUERS)}: nobody gets or renews a certificate"
    for kind, name in asked.items():
        there = [thing for thing in found.of_kind(kind) if at(thing, "metadata.name") == name]
        assert there or kind == "ClusterIssuer", f"{named(edge)} asks the {kind} {name}, which is not there"
        for issuer in there:
            assert at(issuer, "spec.acme.solvers"), f"{named(issuer)}: no solver: it can prove no domain"
