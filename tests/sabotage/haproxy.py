"""Broken HTTPS with HAProxy and certbot, and right ways of another kind."""

from harness import NO_PLACES_FOR_BODIES, Change, behind
from with_certbot import CONF, HOOK, PREPARE, with_certbot

haproxy = behind("haproxy")

HAPROXY = "deploy/haproxy.cfg"

ELSEWHERE = "if !{ path_beg /.well-known/acme-challenge/ }\n"
REDIRECT = f'    http-request redirect prefix "https://${{DOMAIN}}" code 308 {ELSEWHERE}'
TO_CERTBOT = "    default_backend certbot\n"
VERSIONS = "ssl-min-ver TLSv1.2 no-tls-tickets\n    ssl-default-bind-ciphers "
HSTS = '    http-after-response set-header Strict-Transport-Security "max-age=31536000"\n'
HTTP_BIND = '    bind "ipv4@:${HTTP_PORT},ipv6@:${HTTP_PORT}" v6only\n'
SCHEME = "    http-request set-header X-Forwarded-Proto https\n"
CLIENT = "    http-request set-header X-Forwarded-For %[src]\n"
OTHER_NAMES = '    http-request return status 421 if !{ req.hdr(host),host_only -i -m str "${DOMAIN}" }\n'
HTTPS_NAMES = f"    # Where other names come later, in Host, they get no answer (TLS008).\n{OTHER_NAMES}"
HTTP_NAMES = f"{HTTP_BIND}{OTHER_NAMES}"
STRICT = " strict-sni"
SERVER = "server app unix@var/run/app.sock"
OVER_TCP = Change(file=HAPROXY, old=SERVER, new="server app 127.0.0.1:8000")
SEND = 'parent.sendall(b"reload\\n")'
RELOAD = """exec python -c '
import socket
parent = socket.socket(socket.AF_UNIX)
parent.connect("var/run/haproxy.sock")
parent.sendall(b"reload\\n")
print(parent.makefile().read())
'
"""
BY_SIGNAL = "exec supervisorctl -c deploy/supervisord.conf signal USR2 proxy\n"
WAIT = "    http-request wait-for-body time 10s if body\n"
FEW_BODIES = (
    "    http-request return status 429 "
    "if { sc_conn_cur(0,bodies) gt 48 } || { sc_conn_cur(1,senders) gt 40 }\n"
)
TOO_LARGE = "    http-request deny deny_status 413 if { req.body_size gt 4194304 }\n"
LIMIT = f"{TOO_LARGE}{WAIT}{TOO_LARGE}"
HEADER_TIMEOUT = "    timeout http-request 5s\n    timeout client 10s\n"
ALPN = "alpn h2,http/1.1"
CERTIFICATE = "crt var/tls/site.pem"
AS_DEBIAN = """global
	log /dev/log	local0
	log /dev/log	local1 notice
	chroot /var/lib/haproxy
	stats socket /run/haproxy/admin.sock mode 660 level admin
	stats timeout 30s
	user haproxy
	group haproxy
	tune.bufsize 8388608

defaults
	mode	http
	log	global
	timeout connect 500
	timeout client  10s
	timeout http-request 10s
	timeout server  50000
	timeout tunnel 1h
	retries 5

listen everything
	bind *:80
	bind *:443 ssl crt /etc/haproxy/certs/ alpn h2,http/1.1 strict-sni ssl-min-ver TLSv1.2
	acl ours req.hdr(host),host_only -i "${DOMAIN}"
	http-request deny unless ours
	redirect scheme https code 301 unless { ssl_fc }
	http-request wait-for-body time 15s
	http-request deny status 413 if { req.body_size gt 4194304 }
	option forwardfor
	http-request del-header X-Forwarded-For
	http-request del-header ^(x-forwarded-host|x-forwarded-port|forwarded|x-real-ip)$ -m reg
	http-request set-header X-Forwarded-Proto https if { ssl_fc }
	http-response set-header Strict-Transport-Security max-age=63072000 if { ssl_fc }
	server one unix@var/run/app.sock check inter 5s
"""


SABOTAGES = [
    *with_certbot(haproxy, over_tcp=OVER_TCP),
    haproxy(
        "redirect drops the query",
        HAPROXY,
        REDIRECT,
        REDIRECT.replace('prefix "https://${DOMAIN}"', "location https://%[req.hdr(host),host_only]%[path]"),
        "TLS001",
    ),
    haproxy(
        "plain http is served, the redirect is in a comment",
        HAPROXY,
        f"{REDIRECT}{TO_CERTBOT}",
        f"    # {REDIRECT.strip()}\n    default_backend app\n",
        "TLS001",
    ),
    haproxy(
        "the certificate that nobody trusts is made at each start",
        PREPARE,
        "elif [ ! -e var/tls/site.pem ]; then",
        "else",
        "TLS002",
        more=(Change(file=HAPROXY, old=STRICT, new=""),),
    ),
    haproxy(
        "old versions of TLS",
        HAPROXY,
        VERSIONS,
        "ssl-min-ver TLSv1.0\n    ssl-default-bind-ciphers DEFAULT@SECLEVEL=0:",
        "TLS002",
    ),
    haproxy(
        "hsts for a day, a year is only in a comment",
        HAPROXY,
        HSTS,
        f"    # {HSTS.strip()}\n{HSTS.replace('31536000', '86400')}",
        "TLS003",
    ),
    haproxy(
        "hsts is taken away by a later line",
        HAPROXY,
        HSTS,
        f"{HSTS}    http-after-response del-header Strict-Transport-Security\n",
        "TLS003",
    ),
    haproxy("hsts on http too", HAPROXY, HTTP_BIND, f"{HTTP_BIND}{HSTS}", "TLS003"),
    haproxy(
        "hsts in the frontend for plain http only",
        HAPROXY,
        HTTP_BIND,
        f"{HTTP_BIND}{HSTS}",
        "TLS003",
        more=(Change(file=HAPROXY, old=f"(TLS003).\n{HSTS}", new="(TLS003).\n"),),
    ),
    haproxy(
        "scheme is not passed on",
        HAPROXY,
        SCHEME,
        "    http-request del-header X-Forwarded-Proto\n",
        "TLS004",
    ),
    haproxy(
        "host of the inside is passed on",
        HAPROXY,
        SCHEME,
        f"{SCHEME}    http-request set-header Host app.internal:8000\n",
        "TLS004",
    ),
    haproxy(
        "client is not passed on", HAPROXY, CLIENT, "    http-request del-header X-Forwarded-For\n", "TLS005"
    ),
    haproxy("proxy appends to what clients say", HAPROXY, CLIENT, "    option forwardfor\n", "TLS006"),
    haproxy(
        "proxy takes what clients say, if they say it",
        HAPROXY,
        CLIENT,
        f"{CLIENT.rstrip()} if !{{ req.hdr(X-Forwarded-For) -m found }}\n",
        "TLS006",
    ),
    haproxy("any name in Host on https", HAPROXY, HTTPS_NAMES, "", "TLS008"),
    haproxy(
        "redirect to whatever name",
        HAPROXY,
        REDIRECT,
        f"    http-request redirect scheme https code 308 {ELSEWHERE}",
        "TLS008",
        more=(Change(file=HAPROXY, old=HTTP_NAMES, new=HTTP_BIND),),
    ),
    haproxy(
        "names are compared in the frontend for plain http only",
        HAPROXY,
        HTTPS_NAMES,
        f"    # {OTHER_NAMES.strip()}\n",
        "TLS008",
        more=(Change(file=HAPROXY, old=STRICT, new=""),),
    ),
    haproxy("renewal hook does nothing", HOOK, RELOAD, "exec true\n", "TLS009", "TLS010"),
    haproxy(
        "renewal hook restarts the proxy", HOOK, RELOAD, BY_SIGNAL.replace("signal USR2", "restart"), "TLS009"
    ),
    haproxy(
        "renewal hook asks the parent for its processes only",
        HOOK,
        SEND,
        SEND.replace("reload", "show proc"),
        "TLS009",
    ),
    haproxy("renewal hook names no program", HOOK, RELOAD, BY_SIGNAL.replace("proxy", "haproxy"), "TLS009"),
    haproxy(
        "the socket that the renewal hook wants is not there",
        CONF,
        " -S unix@var/run/haproxy.sock,mode,600",
        "",
        "TLS009",
    ),
    haproxy("renewal hook forgets the key", HOOK, ' "$RENEWED_LINEAGE/privkey.pem"', "", "TLS009"),
    haproxy(
        "the challenge is redirected, and nobody answers on https",
        HAPROXY,
        REDIRECT,
        f"{REDIRECT.partition(' if ')[0]}\n",
        "TLS010",
    ),
    haproxy(
        "the challenge is led to another port",
        HAPROXY,
        'server certbot "127.0.0.1:${CERTBOT_PORT}"',
        "server certbot 127.0.0.1:8403",
        "TLS010",
    ),
    haproxy(
        "upgrade is lost in the proxy",
        HAPROXY,
        SCHEME,
        f"{SCHEME}    http-request del-header Upgrade\n",
        "TLS011",
    ),
    haproxy(
        "no limit for bodies, it is only in a comment",
        HAPROXY,
        LIMIT,
        f"    # {TOO_LARGE.strip()}\n{WAIT}",
        "TLS013",
    ),
    haproxy("a limit for bodies with a declared length only", HAPROXY, LIMIT, TOO_LARGE, "TLS013"),
    haproxy(
        "a limit far above the declared one", HAPROXY, LIMIT, LIMIT.replace("4194304", "4294967296"), "TLS013"
    ),
    haproxy(
        "a limit that is lower than the declared one",
        HAPROXY,
        LIMIT,
        LIMIT.replace("4194304", "65536"),
        "TLS013",
    ),
    haproxy("less room than a body needs", HAPROXY, "    tune.bufsize 4456448\n", "", "TLS013"),
    haproxy(
        "no time limits for headers, they are only in a comment",
        HAPROXY,
        HEADER_TIMEOUT,
        "    # timeout http-request 5s\n    timeout client 1h\n",
        "TLS014",
    ),
    haproxy(
        "limits of an hour",
        HAPROXY,
        HEADER_TIMEOUT,
        HEADER_TIMEOUT.replace("5s", "1h").replace("10s", "1h"),
        "TLS014",
    ),
    haproxy(
        "hundreds of slow bodies are waited for",
        HAPROXY,
        FEW_BODIES,
        "",
        "TLS014",
        more=(Change(file=HAPROXY, old=WAIT, new=WAIT.replace("10s", "1h")),),
    ),
    haproxy(
        "slow bodies are passed on as they come, and take the places of other requests",
        HAPROXY,
        FEW_BODIES,
        "",
        "TLS013",
        "TLS014",
        more=(Change(file=HAPROXY, old=WAIT, new=f"    # {WAIT.strip()}\n"), NO_PLACES_FOR_BODIES),
    ),
    haproxy("only http/1.1", HAPROXY, ALPN, "alpn http/1.1", "TLS016"),
    # Right ways of another kind: nothing may fail.
    haproxy("renewal hook sends a signal", HOOK, RELOAD, BY_SIGNAL, touches=("TLS009", "TLS010")),
    haproxy(
        "certificates of the machine, whose renewal reloads HAProxy",
        HAPROXY,
        CERTIFICATE,
        "crt /etc/haproxy/site.pem",
        touches=("TLS002", "TLS008", "TLS009"),
    ),
    haproxy(
        "as Debian's package has it: its user and folders, one section for all, 301",
        HAPROXY,
        None,
        AS_DEBIAN,
        touches=(
            "TLS001",
            "TLS002",
            "TLS003",
            "TLS005",
            "TLS006",
            "TLS008",
            "TLS011",
            "TLS013",
            "TLS014",
            "TLS016",
        ),
    ),
]
