"""Broken HTTPS with Traefik, and right ways of another kind."""

from harness import NO_PLACES_FOR_BODIES, Change, behind

traefik = behind("traefik")

STATIC = "deploy/traefik.yml"
ROUTES = "deploy/traefik-routes.yml"
CONF = "deploy/supervisord.conf"
GUNICORN = "deploy/gunicorn.conf.py"
APP = "src/notes_api/application.py"
PYPROJECT = "pyproject.toml"
HOOK = "deploy/reload-proxy"

OWN_HOST = 'Host(`{{ env "DOMAIN" }}`)'
OWN_PATHS = """ && PathPrefix(`{{ env "PATH_PREFIX" }}/`)
        && !PathPrefix(`{{ env "PATH_PREFIX" }}/metrics`)
"""
HTTP_RULE = 'rule: Host(`{{ env "DOMAIN" }}`)\n'
REDIRECT = "      redirectScheme:\n        scheme: https\n        permanent: true\n"
REDIRECT_BY_PATTERN = (
    '      redirectRegex:\n        regex: "^http://([^/:]+)(?::[0-9]+)?(/[^?]*).*"\n'
    '        replacement: "https://${1}${2}"\n'
)
TO_HTTPS = "      middlewares: [https]\n      service: noop@internal\n"
TO_APP = "      # middlewares: [https]\n      service: app\n"
HSTS = "        stsSeconds: 31536000\n"
HSTS_ELSEWHERE = f"    sts:\n      headers:\n{HSTS}        forceSTSHeader: true\n"
TO_HTTPS_WITH_HSTS = TO_HTTPS.replace("[https]", "[sts, https]")
FORWARDED = '          Forwarded: ""\n'
RESOLVER = "certResolver: letsencrypt"
TLS = '      tls: &tls { {{ if ne (env "DOMAIN") "localhost" }}certResolver: letsencrypt{{ end }} }\n'
# With sniStrict there would be no handshake at all where no certificate fits the name.
FOR_ANY_NAME = Change(
    file=ROUTES, old='sniStrict: {{ ne (env "DOMAIN") "localhost" }}', new="sniStrict: false"
)
OPTIONS = "tls:\n  options:\n"
OWN_CERTIFICATE = (
    "tls:\n  certificates:\n    - { certFile: var/site.crt, keyFile: var/site.key }\n  options:\n"
)
BODY = "        maxRequestBodyBytes: 4194304\n"
TIMEOUT = "        readTimeout: 10s\n"
ALIASES = "      aliasHeadersStrategy: delete\n"
SERVICE = "        serversTransport: app\n"
TRUST = 'app.add_middleware(ProxyHeadersMiddleware, trusted_hosts="127.0.0.1")'
BIND = "bind = f\"127.0.0.1:{os.environ['APP_PORT']}\""
CHALLENGE = "      httpChallenge:\n        entryPoint: web\n"
RELOAD = "exec supervisorctl -c deploy/supervisord.conf signal HUP proxy"
RUN = "command=traefik --configFile=var/run/traefik.yml\n"
AS_OPTIONS = """command=nice -n 1 traefik
    --entryPoints.web.address=:%(ENV_HTTP_PORT)s
    --entryPoints.websecure.address=:%(ENV_HTTPS_PORT)s --entryPoints.websecure.http.aliasHeadersStrategy=delete
    --entryPoints.web.transport.respondingTimeouts.readTimeout=15
    --entryPoints.websecure.transport.respondingTimeouts.readTimeout=15
    --providers.file.filename=deploy/traefik-routes.yml
    --certificatesResolvers.letsencrypt.acme.storage=/var/lib/traefik/acme.json
    --certificatesResolvers.letsencrypt.acme.tlsChallenge --accessLog --log.filePath=/var/log/traefik.log
"""
IN_TOML = """
[entryPoints.web]
address = ":80"

[entryPoints.websecure]
address = ":443"

[entryPoints.websecure.http.tls]
certResolver = "le"

[entryPoints.websecure.transport.respondingTimeouts]
readTimeout = "10s"

[providers.file]
filename = "deploy/routes.toml"

[certificatesResolvers.le.acme]
storage = "var/traefik/acme.json"

[certificatesResolvers.le.acme.httpChallenge]
entryPoint = "web"
"""
ROUTES_IN_TOML = """
[http.routers.app]
entryPoints = ["websecure"]
rule = "Host(`{{ env "DOMAIN" }}`)"
middlewares = ["hsts"]
service = "app"

[http.routers.plain]
entryPoints = ["web"]
rule = "Host(`{{ env "DOMAIN" }}`)"
middlewares = ["tls"]
service = "app"

[http.middlewares.tls.redirectScheme]
scheme = "https"

[http.middlewares.hsts.headers]
stsSeconds = 63072000

[[http.services.app.loadBalancer.servers]]
url = "http://localhost:8000/"
"""


SABOTAGES = [
    traefik("redirect drops the query", ROUTES, REDIRECT, REDIRECT_BY_PATTERN, "TLS001"),
    traefik("plain http is served, the redirect is in a comment", ROUTES, TO_HTTPS, TO_APP, "TLS001"),
    traefik(
        "certificate that nobody trusts", ROUTES, TLS, "      tls: &tls {}\n", "TLS002", more=(FOR_ANY_NAME,)
    ),
    traefik(
        "a resolver that is not there",
        ROUTES,
        RESOLVER,
        "certResolver: lets-encrypt",
        "TLS002",
        more=(FOR_ANY_NAME,),
    ),
    traefik(
        "old versions of TLS",
        ROUTES,
        "VersionTLS12\n      cipherSuites:\n",
        "VersionTLS10\n      cipherSuites:\n        - TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA\n",
        "TLS002",
    ),
    traefik(
        "hsts for a day, a year is only in a comment",
        ROUTES,
        HSTS,
        f"        # {HSTS.strip()}\n        stsSeconds: 86400\n",
        "TLS003",
    ),
    traefik("hsts is switched off", ROUTES, HSTS, "        stsSeconds: 0\n", "TLS003"),
    traefik(
        "hsts on http too",
        ROUTES,
        TO_HTTPS,
        TO_HTTPS_WITH_HSTS,
        "TLS003",
        more=(
            Change(
                file=ROUTES,
                old="  middlewares:\n    https:\n",
                new=f"  middlewares:\n{HSTS_ELSEWHERE}    https:\n",
            ),
        ),
    ),
    traefik(
        "hsts of a middleware that only plain http has",
        ROUTES,
        HSTS,
        "",
        "TLS003",
        more=(
            Change(file=ROUTES, old=TO_HTTPS, new=TO_HTTPS_WITH_HSTS),
            Change(
                file=ROUTES,
                old="  middlewares:\n    https:\n",
                new=f"  middlewares:\n{HSTS_ELSEWHERE}    https:\n",
            ),
        ),
    ),
    traefik(
        "scheme is not passed on",
        ROUTES,
        FORWARDED,
        f'{FORWARDED}          X-Forwarded-Proto: ""\n',
        "TLS004",
    ),
    traefik("host is not passed on", ROUTES, SERVICE, f"{SERVICE}        passHostHeader: false\n", "TLS004"),
    traefik(
        "client is not passed on",
        STATIC,
        "    transport: *patience\n",
        "    transport: *patience\n    forwardedHeaders:\n      notAppendXForwardedFor: true\n",
        "TLS005",
    ),
    traefik("proxy is trusted only in a comment", APP, TRUST, f"# {TRUST}", "TLS005"),
    traefik(
        "proxy is trusted only in a comment, uvicorn",
        APP,
        TRUST,
        f"# {TRUST}",
        "TLS004",
        "TLS005",
        server="uvicorn",
    ),
    traefik(
        "proxy believes what clients say",
        STATIC,
        "    transport: *patience\n",
        "    transport: *patience\n    forwardedHeaders:\n      insecure: true\n",
        "TLS006",
    ),
    traefik("app believes everybody", APP, TRUST, TRUST.replace("127.0.0.1", "*"), "TLS006"),
    traefik("app on all addresses", GUNICORN, BIND, BIND.replace("127.0.0.1", "0.0.0.0"), "TLS007"),
    traefik(
        "app on all addresses, uvicorn",
        CONF,
        "socket=tcp://127.0.0.1:",
        "socket=tcp://0.0.0.0:",
        "TLS007",
        server="uvicorn",
    ),
    traefik(
        "any name on https",
        ROUTES,
        f"{OWN_HOST}{OWN_PATHS}",
        f"({OWN_HOST} || PathPrefix(`/`)){OWN_PATHS}",
        "TLS008",
    ),
    traefik("redirect to whatever name", ROUTES, HTTP_RULE, "rule: PathPrefix(`/`)\n", "TLS008"),
    traefik(
        "redirect of the entry point, which takes any name",
        STATIC,
        '    address: ":${HTTP_PORT}"\n',
        '    address: ":${HTTP_PORT}"\n    http: { redirections: { entryPoint: { to: websecure } } }\n',
        "TLS008",
    ),
    traefik("renewal hook does nothing", HOOK, RELOAD, f"exec true  # {RELOAD}", "TLS009"),
    traefik("renewal hook restarts the proxy", HOOK, "signal HUP proxy", "restart proxy", "TLS009"),
    traefik("renewal hook signals the app", HOOK, "signal HUP proxy", "signal HUP app", "TLS009"),
    traefik("renewal hook names no program", HOOK, "signal HUP proxy", "signal HUP traefik", "TLS009"),
    traefik("renewal hook is not there", PYPROJECT, f'"{HOOK}"', '"deploy/renewed"', "TLS009"),
    traefik("no challenge of the certificate's issuer is answered", STATIC, CHALLENGE, "", "TLS010"),
    traefik(
        "the challenge is answered where nobody asks",
        STATIC,
        "entryPoint: web\n",
        "entryPoint: websecure\n",
        "TLS010",
    ),
    traefik(
        "certificates are kept in a folder that is not there",
        STATIC,
        "var/traefik/acme.json",
        "var/certificates/acme.json",
        "TLS010",
    ),
    traefik(
        "the certificate is asked for another name",
        ROUTES,
        RESOLVER,
        f"{RESOLVER}, domains: [main: other.example.com]",
        "TLS010",
    ),
    traefik(
        "upgrade is lost in the proxy", ROUTES, FORWARDED, f'{FORWARDED}          Upgrade: ""\n', "TLS011"
    ),
    traefik(
        "no limit for bodies, it is only in a comment", ROUTES, BODY, f"        # {BODY.strip()}\n", "TLS013"
    ),
    traefik(
        "a limit far above the declared one", ROUTES, BODY, BODY.replace("4194304", "4294967296"), "TLS013"
    ),
    traefik(
        "a limit that is lower than the declared one",
        ROUTES,
        BODY,
        BODY.replace("4194304", "65536"),
        "TLS013",
    ),
    # Traefik's own limit is a minute.
    traefik(
        "no time limits, they are only in a comment",
        STATIC,
        TIMEOUT,
        f"        # {TIMEOUT.strip()}\n",
        "TLS014",
    ),
    traefik("limits of an hour", STATIC, TIMEOUT, "        readTimeout: 1h\n", "TLS014"),
    traefik(
        "slow bodies are passed on as they come, and take the places of other requests",
        ROUTES,
        "middlewares: [headers, sender, senders, body, retry]",
        "middlewares: [headers, retry]",
        "TLS013",
        "TLS014",
        more=(NO_PLACES_FOR_BODIES,),
    ),
    traefik("proxy waits a minute for the app", ROUTES, "attempts: 30", "attempts: 400", "TLS015"),
    traefik(
        "no http/2 in the handshake",
        ROUTES,
        "      minVersion: VersionTLS12\n",
        "      minVersion: VersionTLS12\n      alpnProtocols: [http/1.1, acme-tls/1]\n",
        "TLS016",
    ),
    # Right ways of another kind: nothing may fail.
    traefik("below a prefix", APP, TRUST, f"{TRUST}  # so", prefix="/api"),
    traefik(
        "below a prefix, uvicorn",
        APP,
        TRUST,
        f"{TRUST}  # so",
        server="uvicorn",
        prefix="/api",
        touches=("TLS004", "TLS006", "TLS011", "TLS012", "TLS013", "TLS015", "RST002", "RST011"),
    ),
    traefik(
        "own certificate and a renewal hook",
        ROUTES,
        OPTIONS,
        OWN_CERTIFICATE,
        touches=("TLS002", "TLS008", "TLS009"),
    ),
    traefik(
        "renewal hook touches the file that Traefik watches",
        HOOK,
        RELOAD,
        f"exec touch {ROUTES}",
        touches=("TLS009",),
    ),
    traefik(
        "all settings as options of the command",
        CONF,
        RUN,
        AS_OPTIONS,
        more=(Change(file=PYPROJECT, old=f'proxy_config = "{STATIC}"\n', new=""),),
        touches=("TLS001", "TLS002", "TLS006", "TLS007", "TLS009", "TLS014", "RST002"),
    ),
    traefik(
        "files in toml, one where traefik looks by itself, and the app by another name of this machine",
        "traefik.toml",
        None,
        IN_TOML,
        server="uvicorn",
        more=(
            Change(file="deploy/routes.toml", old=None, new=ROUTES_IN_TOML),
            Change(file=PYPROJECT, old=f'proxy_config = "{STATIC}"\n', new=""),
            Change(file=CONF, old=RUN, new="command=traefik\n"),
        ),
        touches=("TLS001", "TLS002", "TLS003", "TLS005", "TLS006", "TLS008", "TLS009"),
    ),
]
