"""What stands for a platform's edge, or a cluster's gateway: Caddy, which ends TLS and adds X-Forwarded-*."""

from __future__ import annotations

from pathlib import Path

from pytest_deploycheck.sandbox.run import ProjectCopy

# It keeps what a client has written into X-Forwarded-For and adds the client's address behind it, as most platforms do:
# the harder case for the app. Only the scheme is the edge's own word. No limit, no header of an answer: these are the
# app's part.
CADDYFILE = """
{{
	auto_https disable_redirects
	skip_install_trust
}}
https://{domain} {{
{routes}
}}
http://{domain} {{
	redir https://{{host}}{{uri}} 308
}}
"""
# To the app, behind what a route does before.
TO_APP = """	reverse_proxy 127.0.0.1:{port} {{
		trusted_proxies 127.0.0.0/8
		header_up X-Forwarded-Proto {{scheme}}
		lb_try_duration 4s
		lb_try_interval 100ms
		transport http {{
			keepalive off
		}}
	}}"""


def caddyfile(domain: str, port: int, routes: str = "{to_app}") -> str:
    """Return the configuration of an edge for a domain; ``{to_app}`` in the routes leads to the app's port."""
    to_app = TO_APP.format(port=port)
    return CADDYFILE.format(domain=domain, routes=routes.replace("{to_app}", to_app))


def edge_command(copy: ProjectCopy, text: str) -> str:
    """Write the edge's configuration beside the copy; return the command that runs it, not relocated yet."""
    file = Path(f"{copy.root.with_suffix('.edge')}/Caddyfile")
    file.parent.mkdir(exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return f"caddy run --config {file} --adapter caddyfile"
