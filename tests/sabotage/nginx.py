"""Broken HTTPS with nginx and certbot, and right ways of another kind."""

from harness import NO_PLACES_FOR_BODIES, Change, behind
from with_certbot import CONF, HOOK, PREPARE, PYPROJECT, with_certbot

nginx = behind("nginx")

NGINX = "deploy/nginx.conf"

REDIRECT = "            return 308 https://$host$request_uri;\n"
TO_APP = "            proxy_pass http://app;\n            # return 308 https://$host$request_uri;\n"
PROTOCOLS = "ssl_protocols TLSv1.2 TLSv1.3;\n    ssl_ciphers "
HSTS = '        add_header Strict-Transport-Security "max-age=31536000" always;\n'
HTTP_SERVER = "        listen [::]:${HTTP_PORT};\n"
FORWARDED_FOR = "proxy_set_header X-Forwarded-For $remote_addr;"
SCHEME = "            proxy_set_header X-Forwarded-Proto $scheme;\n"
HOST = "proxy_set_header Host $host$port;"
SERVERS = "        server unix:var/run/app.sock max_fails=0;\n" * 2
OVER_TCP = Change(file=NGINX, old=SERVERS, new="        server 127.0.0.1:8000 max_fails=0;\n" * 2)
OTHERS_ON_HTTPS = """    server {
        listen ${HTTPS_PORT} ssl http2 default_server;
        listen [::]:${HTTPS_PORT} ssl http2 default_server;
        ssl_reject_handshake on;
        return 421;
    }
"""
OTHERS_ON_HTTP = """    server {
        listen ${HTTP_PORT} default_server;
        listen [::]:${HTTP_PORT} default_server;
        return 421;
    }
"""
RELOAD = "exec supervisorctl -c deploy/supervisord.conf signal HUP proxy"
CHALLENGE = "        location /.well-known/acme-challenge/ {\n            root var/acme;\n        }\n"
HEADER_TIMEOUT = "    client_header_timeout 5s;\n"
BODY = "    client_max_body_size 4m;\n"
FEW_BODIES = "    limit_conn bodies 50;\n"
HTTP2 = "        listen ${HTTPS_PORT} ssl http2;\n        listen [::]:${HTTPS_PORT} ssl http2;\n"
UPGRADE = "            proxy_set_header Upgrade $http_upgrade;\n"
PATHS = "ssl_certificate ../tls/fullchain.pem;\n    ssl_certificate_key ../tls/privkey.pem;"
OF_THE_MACHINE = PATHS.replace("../tls", "/etc/letsencrypt/live/example.com")
HEADERS = "    add_header X-Content-Type-Options"
AS_DEBIAN = """user www-data;
pid /run/nginx.pid;
error_log /var/log/nginx/error.log;
daemon off;

events {
}

http {
    access_log /var/log/nginx/access.log;
    gzip on;
    client_max_body_size 4m;
    client_header_timeout 10;
    limit_conn_zone $binary_remote_addr zone=address:10m;
    include site*.conf;
}
"""
SITE = """
server {
    listen 80;
    server_name notes.example.com;
    return 301 https://notes.example.com$request_uri;
}
server {
    listen 80 default_server;
    return 444;
}
server {
    listen 443 ssl default_server;
    ssl_certificate /etc/ssl/certs/ssl-cert-snakeoil.pem;
    ssl_certificate_key /etc/ssl/private/ssl-cert-snakeoil.key;
    return 444;
}
server {
    listen 443 ssl http2;
    server_name notes.example.com;
    ssl_certificate /etc/letsencrypt/live/example.com/fullchain.pem;
    ssl_certificate_key /etc/letsencrypt/live/example.com/privkey.pem;
    ssl_protocols TLSv1.2 TLSv1.3;
    add_header Strict-Transport-Security "max-age=63072000; includeSubDomains" always;
    limit_conn address 100;
    location / {
        proxy_pass http://unix:var/run/app.sock;
        proxy_http_version 1.1;
        proxy_set_header Host $host;
        proxy_set_header X-Forwarded-For $remote_addr;
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_set_header X-Forwarded-Host "";
        proxy_set_header X-Forwarded-Port "";
        proxy_set_header Forwarded "";
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $http_connection;
    }
}
"""


SABOTAGES = [
    *with_certbot(nginx, over_tcp=OVER_TCP),
    nginx(
        "redirect drops the query",
        NGINX,
        "https://$host$request_uri;\n",
        "https://$host$uri;\n",
        "TLS001",
    ),
    nginx("plain http is served, the redirect is in a comment", NGINX, REDIRECT, TO_APP, "TLS001"),
    nginx(
        "the certificate that nobody trusts is made at each start",
        PREPARE,
        "elif [ ! -e var/tls/fullchain.pem ]; then",
        "else",
        "TLS002",
    ),
    nginx(
        "old versions of TLS",
        NGINX,
        PROTOCOLS,
        "ssl_protocols TLSv1 TLSv1.1 TLSv1.2;\n    ssl_ciphers DEFAULT@SECLEVEL=0:",
        "TLS002",
    ),
    nginx(
        "hsts for a day, a year is only in a comment",
        NGINX,
        HSTS,
        f"        # {HSTS.strip()}\n{HSTS.replace('31536000', '86400')}",
        "TLS003",
    ),
    nginx(
        "hsts is lost where a location has a header of its own",
        NGINX,
        SCHEME,
        f'{SCHEME}            add_header Cache-Control "no-store";\n',
        "TLS003",
    ),
    nginx("hsts on http too", NGINX, HTTP_SERVER, f"{HTTP_SERVER}{HSTS}", "TLS003"),
    nginx(
        "hsts in the server for plain http only",
        NGINX,
        HTTP_SERVER,
        f"{HTTP_SERVER}{HSTS}",
        "TLS003",
        more=(Change(file=NGINX, old=f"{HSTS}    {HEADERS}", new=f"    {HEADERS}"),),
    ),
    nginx("scheme is not passed on", NGINX, SCHEME, SCHEME.replace("$scheme", '""'), "TLS004"),
    nginx("host is not passed on", NGINX, HOST, f"# {HOST}", "TLS004"),
    nginx(
        "host of the inside is passed on", NGINX, HOST, "proxy_set_header Host app.internal:8000;", "TLS004"
    ),
    nginx("client is not passed on", NGINX, FORWARDED_FOR, 'proxy_set_header X-Forwarded-For "";', "TLS005"),
    nginx(
        "proxy appends to what clients say",
        NGINX,
        FORWARDED_FOR,
        "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;",
        "TLS006",
    ),
    nginx(
        "proxy believes what clients say of their scheme",
        NGINX,
        SCHEME,
        SCHEME.replace("$scheme", "$http_x_forwarded_proto"),
        "TLS004",
        "TLS006",
    ),
    nginx(
        "proxy believes clients of whole networks",
        NGINX,
        HSTS,
        f"        set_real_ip_from 127.0.0.0/8;\n        real_ip_header X-Forwarded-For;\n{HSTS}",
        "TLS006",
    ),
    nginx("the only server on https takes any name", NGINX, OTHERS_ON_HTTPS, "", "TLS008"),
    nginx("the first server on http takes any name", NGINX, OTHERS_ON_HTTP, "", "TLS008"),
    nginx(
        "the default server on https leads to the app",
        NGINX,
        "ssl_reject_handshake on;\n        return 421;",
        "location / {\n            proxy_pass http://app;\n        }",
        "TLS008",
    ),
    nginx("renewal hook does nothing", HOOK, RELOAD, f"exec true  # {RELOAD}", "TLS009", "TLS010"),
    nginx("renewal hook restarts the proxy", HOOK, "signal HUP proxy", "restart proxy", "TLS009"),
    nginx("renewal hook signals the app", HOOK, "signal HUP proxy", "signal USR2 app", "TLS009"),
    nginx("renewal hook names no program", HOOK, "signal HUP proxy", "signal HUP nginx", "TLS009"),
    nginx("renewal hook stops nginx", HOOK, "signal HUP proxy", "signal TERM proxy", "TLS009"),
    nginx("no challenge of the certificate's issuer is answered", NGINX, CHALLENGE, "", "TLS010"),
    nginx(
        "the challenge is answered with another folder's files",
        NGINX,
        "root var/acme;",
        "alias var/acme/;",
        "TLS010",
    ),
    nginx("upgrade is lost in the proxy", NGINX, UPGRADE, f"            # {UPGRADE.strip()}\n", "TLS011"),
    nginx(
        "each connection to the app is closed, also those that are upgraded",
        NGINX,
        "Connection $connection_header;",
        "Connection close;",
        "TLS011",
    ),
    nginx(
        "no limit for bodies is set, it is only in a comment",
        NGINX,
        BODY,
        f"    # {BODY.strip()}\n",
        "TLS013",
    ),
    nginx("bodies of any size", NGINX, BODY, BODY.replace("4m", "0"), "TLS013"),
    nginx("a limit far above the declared one", NGINX, BODY, BODY.replace("4m", "4g"), "TLS013"),
    nginx(
        "another limit of bodies in the location of the app",
        NGINX,
        SCHEME,
        f"{SCHEME}            client_max_body_size 64m;\n",
        "TLS013",
    ),
    # nginx's own limit is a minute.
    nginx(
        "no time limit for headers, it is only in a comment",
        NGINX,
        HEADER_TIMEOUT,
        f"    # {HEADER_TIMEOUT.strip()}\n",
        "TLS014",
    ),
    nginx("a time limit of an hour", NGINX, HEADER_TIMEOUT, HEADER_TIMEOUT.replace("5s", "1h"), "TLS014"),
    nginx(
        "one address may send hundreds of bodies",
        NGINX,
        FEW_BODIES,
        f"    # {FEW_BODIES.strip()}\n",
        "TLS014",
    ),
    nginx(
        "hundreds of slow bodies are passed on as they come, and take the places of other requests",
        NGINX,
        FEW_BODIES,
        "    proxy_request_buffering off;\n",
        "TLS014",
        more=(NO_PLACES_FOR_BODIES,),
    ),
    nginx(
        "only http/1.1",
        NGINX,
        HTTP2,
        HTTP2.replace(" http2", ""),
        "TLS016",
        more=(Change(file=NGINX, old=OTHERS_ON_HTTPS, new=OTHERS_ON_HTTPS.replace(" http2", "")),),
    ),
    # Right ways of another kind: nothing may fail.
    nginx(
        "renewal hook sends the signal itself",
        HOOK,
        RELOAD,
        'kill -HUP "$(cat var/run/nginx.pid)"',
        touches=("TLS009", "TLS010"),
    ),
    nginx(
        "certificates of the machine, whose renewal reloads nginx",
        NGINX,
        PATHS,
        OF_THE_MACHINE,
        touches=("TLS002", "TLS008", "TLS009"),
    ),
    nginx(
        "as Debian's package has it: its user and folders, a file for each site, 301",
        NGINX,
        None,
        AS_DEBIAN,
        more=(
            Change(file="deploy/site.conf", old=None, new=SITE),
            Change(file=CONF, old="-c var/run/nginx.conf", new="-c deploy/nginx.conf"),
            Change(file=PYPROJECT, old=f'proxy_config = "{NGINX}"\n', new=""),
        ),
        touches=("TLS001", "TLS002", "TLS003", "TLS005", "TLS006", "TLS008", "TLS011", "TLS013", "TLS016"),
    ),
]
