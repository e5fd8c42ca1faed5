"""Other people's Traefik: its files are understood and moved, or one line says what is wrong where."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from acme import ACME
from fuzz import PROFILE, TEXTS
from hypothesis import example, given
from hypothesis import strategies as st

from pytest_deploycheck.outcome import NotVerified
from pytest_deploycheck.proxies import traefik
from pytest_deploycheck.proxies.protocol import Acme, Relocated
from pytest_deploycheck.stacks.protocol import StackError

STATIC = """
entryPoints:
  web: { address: ":80" }
  websecure: { address: "0.0.0.0:443", http: { tls: { certResolver: le } } }
providers: { file: { filename: routes.yml } }
certificatesResolvers: { le: { acme: { storage: /srv/acme.json, tlsChallenge: {} } } }
"""
ROUTES = """
http:
  routers: { app: { rule: "Host(`{{ env "DOMAIN" }}`)", service: app } }
  services: { app: { loadBalancer: { servers: [ { url: "http://localhost:8000" } ] } } }
"""
COMMAND = "traefik --configFile=traefik.yml"


@pytest.fixture(autouse=True)
def right(copy: Any) -> None:
    """Begin with a right configuration."""
    (copy.root / "traefik.yml").write_text(STATIC)
    (copy.root / "routes.yml").write_text(ROUTES)


def relocated(copy: Any, command: str = COMMAND, acme: Acme | None = None) -> Relocated:
    """Relocate the copy."""
    return traefik.relocate(command, copy, {"DOMAIN": "example.com"}, domain="example.com", acme=acme)


def written(file: Path) -> Any:
    """Read what was written."""
    return json.loads(file.read_text(encoding="utf-8"))


def test_files_are_rewritten_where_they_are(copy: Any) -> None:
    """What is public or reaches the app is on free ports of loopback; the test certificate is served."""
    moved = relocated(copy)
    static, routes = written(copy.root / "traefik.yml"), written(copy.root / "routes.yml")
    assert moved.command == COMMAND
    assert static["entryPoints"]["web"]["address"] == f"127.0.0.1:{moved.http_port}"
    assert static["entryPoints"]["websecure"]["address"] == f"127.0.0.1:{moved.https_port}"
    assert "certificatesResolvers" not in static
    assert routes["http"]["routers"]["app"]["rule"] == "Host(`example.com`)"
    (server,) = routes["http"]["services"]["app"]["loadBalancer"]["servers"]
    assert server["url"] == f"http://localhost:{moved.app_ports[8000]}"
    assert moved.upstream == f"127.0.0.1:{moved.app_ports[8000]}"
    assert moved.certificate is not None
    assert moved.certificate.renews_itself
    assert routes["tls"]["certificates"] == [
        {"certFile": str(moved.certificate.chain), "keyFile": str(moved.certificate.key)}
    ]


def test_another_acme_server_is_asked(copy: Any) -> None:
    """The project's own challenge and resolver are used; what it stores stays in the sandbox."""
    moved = relocated(copy, acme=ACME)
    issuer = written(copy.root / "traefik.yml")["certificatesResolvers"]["le"]["acme"]
    assert issuer["caServer"] == ACME.directory
    assert issuer["storage"] == str(copy.root.with_suffix(".acme.json"))
    assert issuer["tlsChallenge"] == {}
    assert moved.certificate is None
    assert moved.environment == {"LEGO_CA_CERTIFICATES": "/root.pem"}


def test_a_challenge_of_dns_is_not_tried(copy: Any) -> None:
    """Nobody changes the domain's DNS for a test."""
    file = copy.root / "traefik.yml"
    file.write_text(STATIC.replace("tlsChallenge: {}", "dnsChallenge: { provider: cloudflare }"))
    with pytest.raises(NotVerified, match="dnsChallenge"):
        relocated(copy, acme=ACME)


@pytest.mark.parametrize(
    "names",
    [("/etc/letsencrypt/live/x/fullchain.pem", "/etc/letsencrypt/live/x/privkey.pem"), ("c.pem", "k.pem")],
)
def test_own_certificates_are_replaced(copy: Any, names: tuple[str, str]) -> None:
    """Those of the project where they are, those of the machine by files beside the copy; nobody is asked for one."""
    with (copy.root / "routes.yml").open("a") as file:
        file.write(
            f"tls:\n  stores:\n    default:\n      defaultCertificate: {{certFile: {names[0]}, keyFile: {names[1]}}}\n"
        )
    moved = relocated(copy, acme=ACME)
    assert moved.certificate is not None
    assert not moved.certificate.renews_itself
    inside = copy.root / names[0] if names[0] == "c.pem" else copy.root.with_suffix(".crt")
    assert moved.certificate.chain == inside
    table = written(copy.root / "routes.yml")["tls"]["stores"]["default"]["defaultCertificate"]
    assert table["certFile"] == str(inside)
    assert "certificatesResolvers" not in written(copy.root / "traefik.yml")


def test_no_resolver_and_no_certificate(copy: Any) -> None:
    """Traefik's own certificate, which nobody trusts, is not mended."""
    (copy.root / "traefik.yml").write_text(STATIC.replace("certResolver: le", ""))
    assert relocated(copy).certificate is None
    assert "tls" not in written(copy.root / "routes.yml")


def test_options_and_variables_say_what_a_file_would(copy: Any) -> None:
    """Both forms are written to a file beside the copy, which the command then names."""
    (copy.root / "traefik.yml").unlink()
    options = {
        "entryPoints.web.address": ":80",
        "entrypoints.web-secure.address": ":443",
        "api": "true",
        "api.dashboard": "false",
        "providers.file.filename": "routes.yml",
        "log.filePath": "/var/log/traefik.log",
    }
    command = "nice -n 1 traefik " + " ".join(f"--{name}={value}" for name, value in options.items())
    moved = relocated(copy, command.replace("--api=true", "--api"))
    file = copy.root.with_suffix(".traefik.yml")
    assert moved.command == f"nice -n 1 traefik --configFile={file}"
    static = written(file)
    assert static["entrypoints"]["web-secure"]["address"] == f"127.0.0.1:{moved.https_port}"
    assert static["entrypoints"]["traefik"]["address"].startswith("127.0.0.1:")
    assert static["api"] == {"dashboard": "false"}
    assert static["log"]["filepath"] == str(copy.root.with_suffix(".traefik-log"))
    values = {
        f"TRAEFIK_{name.replace('.', '_').upper()}": value
        for name, value in options.items()
        if "-" not in name
    }
    values["TRAEFIK_ENTRYPOINTS_WEBSECURE_ADDRESS"] = ":443"
    assert traefik.relocate("traefik", copy, values, domain="example.com").https_port


def test_a_folder_outside_the_project(copy: Any) -> None:
    """Its files are read where they are, TOML and folders in it too, and written into the sandbox."""
    folder = copy.root.parent / "etc"
    (folder / "more").mkdir(parents=True)
    (copy.root / "routes.yml").rename(folder / "more/routes.yml")
    (folder / "tls.toml").write_text('[tls.options.default]\nminVersion = "VersionTLS12"\n')
    (folder / "notes.txt").write_text("{{ no template }}")
    (copy.root / "traefik.yml").write_text(STATIC.replace("filename: routes.yml", f"directory: {folder}"))
    relocated(copy)
    target = Path(written(copy.root / "traefik.yml")["providers"]["file"]["directory"])
    assert written(target / "tls.deploycheck.yml")["tls"]["options"]["default"] == {
        "minVersion": "VersionTLS12"
    }
    assert "example.com" in (target / "more/routes.yml").read_text()
    assert "{{" in (folder / "more/routes.yml").read_text()


def test_the_file_that_is_made_at_the_start(copy: Any) -> None:
    """``proxy_config`` is rewritten, so that the start makes Traefik's file of it; values of .env are known."""
    (copy.root / "traefik.yml").rename(copy.root / "source.yml")
    source = (copy.root / "source.yml").read_text().replace(":80", ":${HTTP_PORT}")
    (copy.root / "source.yml").write_text(source)
    copy.run.config = replace(copy.run.config, proxy_config="source.yml")
    moved = traefik.relocate(
        COMMAND, copy, {"DOMAIN": "example.com", "HTTP_PORT": "8080"}, domain="example.com"
    )
    assert moved.command == COMMAND
    assert "source.yml: entry point web :8080 -> 127.0.0.1:" in moved.relocated[0]


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("traefik.yml", "providers:", "providers: [", "traefik.yml:6: "),
        ("traefik.yml", STATIC, "- a", "traefik.yml: must hold settings, not ['a']"),
        (
            "traefik.yml",
            '":80"',
            "here",
            "traefik.yml: entryPoints.web: address must be like :443, not 'here'",
        ),
        (
            "traefik.yml",
            "file: {",
            "docker: {}, file: {",
            "traefik.yml: providers.docker cannot be run here, only",
        ),
        ("traefik.yml", "routes.yml", "other.yml", "other.yml: No such file or directory"),
        ("traefik.yml", "providers:", "others:", "traefik.yml: no providers.file: it leads to no app"),
        ("traefik.yml", "{ tls: { certResolver: le } }", "{}", None),
        (
            "traefik.yml",
            '"0.0.0.0:443", http: { tls: { certResolver: le } }',
            '":8443"',
            "traefik.yml: no entry point has tls",
        ),
        ("routes.yml", 'env "DOMAIN"', ".Domain", "routes.yml:3: {{ .Domain }} cannot be expanded here"),
        (
            "routes.yml",
            "localhost:8000",
            "app:8000",
            "routes.yml: no server leads to the app on this machine, only to http://app",
        ),
        ("routes.yml", "http:\n", "http:\n  a: 1\n  a: 2\n", "routes.yml:4: "),
    ],
)
def test_what_is_wrong_is_told_in_one_line(
    copy: Any, file: str, old: str, new: str, said: str | None
) -> None:
    """With the file, and the line where one is known."""
    text = (copy.root / file).read_text()
    assert text.count(old) == 1
    (copy.root / file).write_text(text.replace(old, new))
    if said is None:
        relocated(copy)
        return
    with pytest.raises(StackError) as caught:
        relocated(copy)
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "command", ["caddy run", "traefik 'a", "traefik --configFile=none.yml", "traefik --a=b"]
)
def test_a_command_that_leads_nowhere(copy: Any, command: str) -> None:
    """No file, no options, no end of a quotation."""
    (copy.root / "traefik.yml").unlink()
    with pytest.raises(StackError):
        relocated(copy, command)


ANY = st.recursive(
    TEXTS
    | st.none()
    | st.integers()
    | st.booleans()
    | st.sampled_from([":80", "routes.yml", "http://127.0.0.1:8000"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)


def objects(**keys: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Objects with some of these keys, or something else in their place."""
    return st.fixed_dictionaries({}, optional=keys) | ANY


TLS = objects(certResolver=ANY | st.just("le"))
STATICS = objects(
    entryPoints=st.dictionaries(
        st.sampled_from(["web", "WebSecure", "traefik"]),
        objects(address=ANY | st.sampled_from([":80", ":443/udp"]), http=objects(tls=TLS)),
    ),
    providers=objects(file=objects(filename=st.just("routes.yml") | ANY, directory=ANY)),
    certificatesResolvers=objects(le=objects(acme=objects(storage=ANY, dnsChallenge=ANY))),
    log=objects(filePath=ANY),
    api=ANY,
)
DYNAMICS = objects(
    http=objects(
        routers=objects(app=objects(entryPoints=ANY, tls=TLS)),
        services=objects(app=objects(loadBalancer=objects(servers=st.lists(objects(url=ANY)) | ANY))),
    ),
    tls=objects(certificates=st.lists(objects(certFile=ANY, keyFile=ANY)) | ANY, stores=ANY),
)
RIGHT_STATIC = {
    "entryPoints": {"web": {"address": ":80"}, "websecure": {"address": ":443"}},
    "providers": {"file": {"filename": "routes.yml"}},
}


@PROFILE
@given(static=STATICS, dynamic=DYNAMICS, acme=st.sampled_from([None, ACME]))
@example(
    static=RIGHT_STATIC, dynamic={"http": {"routers": {"app": {"tls": {}, "entryPoints": 1}}}}, acme=None
)
def test_any_settings(copy: Any, static: object, dynamic: object, acme: Acme | None) -> None:
    """Whatever is set: it is moved, or refused."""
    for settings in (static, RIGHT_STATIC):
        (copy.root / "traefik.yml").write_text(json.dumps(settings))
        (copy.root / "routes.yml").write_text(json.dumps(dynamic))
        with suppress(StackError, NotVerified):
            relocated(copy, acme=acme)


LINES = st.sampled_from(
    [*STATIC.splitlines(), *ROUTES.splitlines(), "a: &a [*a]", "? [b]\n: c", "d: 2020-01-01", "!!x y"]
)


@PROFILE
@given(lines=st.lists(LINES | TEXTS, max_size=8), file=st.sampled_from(["traefik.yml", "routes.yml"]))
@example(lines=["a: &a [*a]"], file="traefik.yml")
@example(lines=["? [b]\n: c"], file="routes.yml")
@example(lines=["!!x y"], file="routes.yml")
@example(lines=["[" * 5000], file="routes.yml")
@example(lines=["a: 2020-99-99"], file="routes.yml")
def test_any_text(copy: Any, lines: list[str], file: str) -> None:
    """Whatever is written in the files, also as TOML."""
    text = "\n".join(lines)
    for suffix in (".yml", ".toml"):
        for name, right in (("traefik", STATIC), ("routes", ROUTES)):
            (copy.root / f"{name}.yml").write_text(right, encoding="utf-8")
        (copy.root / file).with_suffix(suffix).write_text(text, encoding="utf-8")
        if file == "routes.yml":
            (copy.root / "traefik.yml").write_text(STATIC.replace("routes.yml", f"routes{suffix}"))
        with suppress(StackError):
            relocated(copy, f"traefik --configFile=traefik{suffix if file == 'traefik.yml' else '.yml'}")


@PROFILE
@given(content=st.binary(max_size=60))
@example(content=b"\xff")
def test_any_bytes(copy: Any, content: bytes) -> None:
    """Bytes that are no text."""
    (copy.root / "traefik.yml").write_bytes(content)
    with pytest.raises(StackError, match=r"traefik\.yml"):
        relocated(copy)
