"""Broken HTTPS, and right ways of another kind."""

from harness import NO_PLACES_FOR_BODIES, Change, sabotage

CADDY = "deploy/Caddyfile"
GUNICORN = "deploy/gunicorn.conf.py"
CONF = "deploy/supervisord.conf"
START = "deploy/start"
APP = "src/notes_api/application.py"
MAIN = "src/notes_api/main.py"
LAST_LINE = "app = create_app(settings)\n"

REDIRECT = "redir @domain https://{host}{uri} 308"
HSTS = 'Strict-Transport-Security "max-age=31536000"'
PROXY = "reverse_proxy unix/var/run/app.sock {"
TRUST = 'app.add_middleware(ProxyHeadersMiddleware, trusted_hosts="*")'
OPEN_FOLDER = Change(file=START, old="umask 077", new="umask 022")
BIND = 'bind = "unix:var/run/app.sock"'
OVER_TCP = Change(file=CADDY, old=PROXY, new="reverse_proxy 127.0.0.1:8000 {")
TRUST_LOOPBACK = Change(file=APP, old=TRUST, new=TRUST.replace("*", "127.0.0.1"))
HOOK = "deploy/reload-proxy"
RELOAD = "exec supervisorctl -c deploy/supervisord.conf signal USR1 proxy"
RELOAD_BY_PID = 'kill -USR1 "$(supervisorctl -c deploy/supervisord.conf pid proxy)"'
PREFIX = (("path_prefix", "/api"),)
TITLE = '        title="Notes API",\n'
NO_CHALLENGES = (
    "\ttls {\n\t\tissuer acme {\n\t\t\tdisable_http_challenge\n\t\t\tdisable_tlsalpn_challenge\n\t\t}\n\t}\n"
)
BODY_LIMIT = "\t\tmax_size 4MiB\n"
SUPERVISED_UVICORN = '--root-path "%(ENV_PATH_PREFIX)s"'
NO_WEBSOCKETS = """

class PlainOnly:
    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        else:
            await self.app(scope, receive, send)


app.add_middleware(PlainOnly)
"""
DOCS_AT_ROOT = """
from fastapi.openapi.docs import get_swagger_ui_html


@app.get("/docs", include_in_schema=False)
def docs():
    return get_swagger_ui_html(openapi_url="/openapi.json", title="Notes")
"""
HTTP_SITE = (
    "# Plain HTTP only leads to HTTPS (TLS001), and only for this domain (TLS008).\n"
    "http:// {\n"
    "\tlog\n"
    "\t@domain host {$DOMAIN}\n"
    f"\t{REDIRECT}\n"
    "\trespond 421\n"
    "}\n"
)


SABOTAGES = [
    sabotage("redirect drops the query", CADDY, "{host}{uri} 308", "{host}{path} 308", "TLS001"),
    sabotage(
        "plain http is served, the redirect is only in a comment",
        CADDY,
        f"\t{REDIRECT}",
        f"\t# {REDIRECT}\n\treverse_proxy @domain unix/var/run/app.sock",
        "TLS001",
    ),
    sabotage(
        "certificate that nobody trusts", CADDY, "\theader {\n", "\ttls internal\n\theader {\n", "TLS002"
    ),
    sabotage("all certificates are local", CADDY, "\tskip_install_trust\n", "\tlocal_certs\n", "TLS002"),
    sabotage(
        "hsts for a day, a year is only in a comment",
        CADDY,
        f"\t\t{HSTS}\n",
        f'\t\t# {HSTS}\n\t\tStrict-Transport-Security "max-age=86400"\n',
        "TLS003",
    ),
    sabotage(
        "hsts is switched off by a later line",
        CADDY,
        "\t\t-Server\n",
        '\t\t-Server\n\t\tStrict-Transport-Security "max-age=0"\n',
        "TLS003",
    ),
    sabotage("hsts on http too", CADDY, "\t@domain host", f"\theader {HSTS}\n\t@domain host", "TLS003"),
    sabotage(
        "hsts in the wrong block",
        CADDY,
        f"\t\t{HSTS}\n",
        "",
        "TLS003",
        more=(Change(file=CADDY, old="\t@domain host", new=f"\theader {HSTS}\n\t@domain host"),),
    ),
    sabotage(
        "scheme is not passed on", CADDY, PROXY, f"{PROXY}\n\t\t\theader_up -X-Forwarded-Proto", "TLS004"
    ),
    sabotage(
        "host is not passed on", CADDY, PROXY, f"{PROXY}\n\t\t\theader_up Host app.internal:8000", "TLS004"
    ),
    sabotage("client is not passed on", CADDY, PROXY, f"{PROXY}\n\t\t\theader_up -X-Forwarded-For", "TLS005"),
    # Gunicorn takes X-Forwarded-Proto by itself, Uvicorn was told not to.
    sabotage("proxy is trusted only in a comment", APP, TRUST, f"# {TRUST}", "TLS005"),
    sabotage(
        "proxy is trusted only in a comment, uvicorn",
        APP,
        TRUST,
        f"# {TRUST}",
        "TLS004",
        "TLS005",
        server="uvicorn",
    ),
    sabotage(
        "proxy appends to what clients say",
        CADDY,
        "strict_sni_host on",
        "trusted_proxies static private_ranges\n\t\tstrict_sni_host on",
        "TLS006",
    ),
    sabotage("socket for everybody", GUNICORN, "umask = 0o077", "umask = 0", "TLS007", more=(OPEN_FOLDER,)),
    sabotage(
        "socket for everybody, uvicorn",
        CONF,
        "socket_mode=0600",
        "socket_mode=0666",
        "TLS007",
        server="uvicorn",
        more=(OPEN_FOLDER,),
    ),
    sabotage(
        "app on all addresses",
        GUNICORN,
        BIND,
        'bind = "0.0.0.0:8000"',
        "TLS007",
        more=(OVER_TCP, TRUST_LOOPBACK),
    ),
    sabotage(
        "app on all addresses too, beside its socket",
        GUNICORN,
        BIND,
        'bind = ["unix:var/run/app.sock", "0.0.0.0:0"]',
        "TLS007",
    ),
    sabotage(
        "app on loopback believes everybody",
        GUNICORN,
        BIND,
        'bind = "127.0.0.1:8000"',
        "TLS006",
        more=(OVER_TCP,),
    ),
    sabotage("no catch-all on http", CADDY, "\trespond 421\n", "", "TLS008"),
    sabotage("no catch-all on https", CADDY, "\t\tstrict_sni_host on\n", "", "TLS008"),
    sabotage("redirect to whatever name", CADDY, REDIRECT, "redir https://{host}{uri} 308", "TLS008"),
    sabotage(
        "proxy waits a minute for the app", CADDY, "lb_try_duration 4s", "lb_try_duration 60s", "TLS015"
    ),
    sabotage(
        "no challenge of the certificate's issuer is answered",
        CADDY,
        "\theader {\n",
        f"{NO_CHALLENGES}\theader {{\n",
        "TLS010",
    ),
    sabotage(
        "certificates are switched off, the option that was meant is in a comment",
        CADDY,
        "\tauto_https disable_redirects\n",
        "\t# auto_https disable_redirects\n\tauto_https off\n",
        "TLS010",
    ),
    sabotage(
        "nobody looks in time when certificates expire",
        CADDY,
        "\tskip_install_trust\n",
        "\tskip_install_trust\n\trenew_interval 10000h\n",
        "TLS010",
    ),
    sabotage(
        "a certificate that somebody must bring",
        CADDY,
        "\theader {\n",
        "\ttls var/site.crt var/site.key\n\theader {\n",
        "TLS010",
    ),
    sabotage(
        "upgrade is lost in the proxy",
        CADDY,
        "\theader {\n",
        "\trequest_header -Upgrade\n\theader {\n",
        "TLS011",
    ),
    sabotage("websockets are denied by a middleware", MAIN, LAST_LINE, LAST_LINE + NO_WEBSOCKETS, "TLS011"),
    sabotage(
        "server without websockets, the option is in a comment",
        CONF,
        SUPERVISED_UVICORN,
        f"--ws none {SUPERVISED_UVICORN}\n    ; --ws auto",
        "TLS011",
        server="uvicorn",
    ),
    sabotage(
        "docs send requests to the developer's machine",
        APP,
        TITLE,
        f'{TITLE}        servers=[{{"url": "http://127.0.0.1:8000"}}],\n',
        "TLS012",
    ),
    sabotage(
        "docs send requests past the prefix",
        APP,
        TITLE,
        f"{TITLE}        root_path_in_servers=False,\n",
        "TLS012",
        answers=PREFIX,
    ),
    sabotage(
        "docs ask for their schema past the prefix",
        APP,
        TITLE,
        f"{TITLE}        root_path_in_servers=False,\n        docs_url=None,\n",
        "TLS012",
        server="uvicorn",
        answers=PREFIX,
        more=(Change(file=MAIN, old=LAST_LINE, new=LAST_LINE + DOCS_AT_ROOT),),
    ),
    sabotage(
        "no limit for bodies, it is only in a comment",
        CADDY,
        BODY_LIMIT,
        f"\t\t# {BODY_LIMIT.strip()}\n",
        "TLS013",
    ),
    sabotage("a limit far above the declared one", CADDY, BODY_LIMIT, "\t\tmax_size 4GiB\n", "TLS013"),
    sabotage(
        "a limit that is lower than the declared one",
        CADDY,
        BODY_LIMIT,
        "\t\tmax_size 64KiB\n",
        "TLS013",
    ),
    sabotage(
        "a limit of bodies for one address only",
        CADDY,
        "\trequest_body {\n",
        "\trequest_body /notes {\n",
        "TLS013",
    ),
    sabotage("only http/1.1", CADDY, "strict_sni_host on", "strict_sni_host on\n\t\tprotocols h1", "TLS016"),
    sabotage(
        "no http/2 in the handshake",
        CADDY,
        "\theader {\n",
        "\ttls {\n\t\talpn http/1.1\n\t}\n\theader {\n",
        "TLS016",
    ),
    sabotage("renewal hook does nothing", HOOK, RELOAD, f"exec true  # {RELOAD}", "TLS009"),
    sabotage("renewal hook restarts the proxy", HOOK, "signal USR1 proxy", "restart proxy", "TLS009"),
    sabotage("renewal hook signals the app", HOOK, "signal USR1 proxy", "signal USR1 app", "TLS009"),
    sabotage("renewal hook names no program", HOOK, "signal USR1 proxy", "signal USR1 caddy", "TLS009"),
    sabotage("renewal hook is not there", "pyproject.toml", HOOK, "deploy/renewed", "TLS009"),
    sabotage(
        "own certificate and no renewal hook",
        "pyproject.toml",
        f'renewal_hook = "{HOOK}"',
        "",
        "TLS009",
        more=(Change(file=CADDY, old="\theader {\n", new="\ttls cert.pem key.pem\n\theader {\n"),),
    ),
    sabotage(
        "no time limits, they are only in a comment",
        CADDY,
        "read_header 5s\n\t\t\tread_body 10s",
        "# read_header 5s\n\t\t\t# read_body 10s",
        "TLS014",
    ),
    # Caddy's own limit for a header is a minute, whatever read_body says.
    sabotage("one time limit, for bodies only", CADDY, "\t\t\tread_header 5s\n", "", "TLS014"),
    sabotage(
        "slow bodies are passed on as they come, and take the places of other requests",
        CADDY,
        "\t\t\trequest_buffers 16KiB\n",
        "",
        "TLS014",
        more=(NO_PLACES_FOR_BODIES,),
    ),
    sabotage("slow bodies are waited for", CADDY, "\t\t\tread_body_idle -1s\n", "", "TLS014"),
    sabotage(
        "limits of an hour",
        CADDY,
        "read_header 5s\n\t\t\tread_body 10s",
        "read_header 1h\n\t\t\tread_body 1h",
        "TLS014",
    ),
    # Right ways of another kind: nothing may fail.
    sabotage(
        "renewal hook sends the signal itself", HOOK, RELOAD, RELOAD_BY_PID, touches=("TLS002", "TLS009")
    ),
    sabotage("no renewal hook, the proxy renews itself", "pyproject.toml", f'renewal_hook = "{HOOK}"\n', ""),
    sabotage(
        "own certificate and a renewal hook",
        CADDY,
        "\theader {\n",
        "\ttls cert.pem key.pem\n\theader {\n",
        touches=("TLS002", "TLS008", "TLS009"),
    ),
    sabotage(
        "longer time limits",
        CADDY,
        "read_header 5s\n\t\t\tread_body 10s",
        "read_header 15s\n\t\t\tread_body 25s",
    ),
    sabotage(
        "no docs for the public", APP, TITLE, f"{TITLE}        docs_url=None,\n        openapi_url=None,\n"
    ),
    sabotage("docs below a prefix", APP, TITLE, f'{TITLE}        summary="x",\n', answers=PREFIX),
    sabotage(
        "docs below a prefix, uvicorn",
        APP,
        TITLE,
        f'{TITLE}        summary="x",\n',
        server="uvicorn",
        answers=PREFIX,
    ),
    sabotage(
        "a lower limit, declared too",
        CADDY,
        BODY_LIMIT,
        "\t\tmax_size 1MiB\n",
        more=(Change(file="pyproject.toml", old="max_body_mb = 4", new="max_body_mb = 1"),),
    ),
    sabotage(
        "the limit is not declared",
        "pyproject.toml",
        "max_body_mb = 4\n",
        "",
    ),
    sabotage("http/2 without http/3", CADDY, "strict_sni_host on", "strict_sni_host on\n\t\tprotocols h1 h2"),
    sabotage("redirect by 301", CADDY, "{host}{uri} 308", "{host}{uri} 301"),
    sabotage(
        "redirect by 307 to the domain by name", CADDY, REDIRECT, "redir @domain https://{$DOMAIN}{uri} 307"
    ),
    sabotage(
        "plain http is closed, tls internal only in a comment",
        CADDY,
        HTTP_SITE,
        "",
        more=(Change(file=CADDY, old="\theader {\n", new="\t# tls internal\n\theader {\n"),),
    ),
    sabotage("open socket in a private folder", GUNICORN, "umask = 0o077", "umask = 0"),
    sabotage("tcp on loopback", GUNICORN, BIND, 'bind = "127.0.0.1:8000"', more=(OVER_TCP, TRUST_LOOPBACK)),
    sabotage(
        "tcp on loopback, uvicorn",
        CONF,
        "socket=unix://%(here)s/../var/run/app.sock",
        "socket=tcp://localhost:8000",
        server="uvicorn",
        more=(
            OVER_TCP,
            TRUST_LOOPBACK,
            Change(file=CONF, old="socket_mode=0600\n", new=""),
        ),
    ),
]
