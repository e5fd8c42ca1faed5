"""The routes of a Gateway, as the Caddy that stands for it has them."""

from __future__ import annotations

from typing import Any

from pytest_deploycheck.stacks.kubernetes.edge import filters, listeners, routes
from pytest_deploycheck.stacks.kubernetes.manifests import Manifests, at


def routes_for_caddy(found: Manifests) -> str:
    """Return the blocks of a Caddyfile; ``{to_app}`` is where one leads to the app.

    The longest path wins, as the Gateway API has it. Where there is no Gateway, all paths lead to the app.
    """
    rules = [rule for _, listener in listeners(found, "HTTPS") for _, rule in routes(found, listener["name"])]
    by_path = {
        str(at(match, "path.value", "/")): rule for rule in rules for match in rule.get("matches") or [{}]
    }
    if not by_path:
        return "{to_app}"
    blocks = [
        _block(number, path, by_path[path])
        for number, path in enumerate(sorted(by_path, key=len, reverse=True))
    ]
    return "\n".join(blocks)


def _block(number: int, path: str, rule: dict[str, Any]) -> str:
    prefix = path.rstrip("/")
    lines = [f"\t@route{number} path {prefix or '/'} {prefix}/*", f"\thandle @route{number} {{"]
    for item in filters(rule, "ResponseHeaderModifier", "responseHeaderModifier"):
        headers = (*item.get("set", ()), *item.get("add", ()))
        lines += [f"\theader {header['name']} `{header['value']}`" for header in headers]
    rewrites = [at(item, "path.replacePrefixMatch") for item in filters(rule, "URLRewrite", "urlRewrite")]
    if prefix and "/" in rewrites:
        lines.append(f"\turi strip_prefix {prefix}")
    # Without a backend the Gateway API has 500: https://gateway-api.sigs.k8s.io/reference/spec/#httprouterule
    lines += ["{to_app}" if rule.get("backendRefs") else "\trespond 500", "\t}"]
    return "\n".join(lines)
