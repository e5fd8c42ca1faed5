"""Images for tests of containers, made of this machine's own files: no registry is asked, and nothing is booted."""

from __future__ import annotations

import io
import os
import pwd
import re
import shutil
import subprocess
import sysconfig
import tarfile
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
WHEELS = REPOSITORY / "build/wheels"
PYTHON = "/usr/bin/python3"
PACKAGES = (
    "base-files",
    "base-passwd",
    "ca-certificates",
    "coreutils",
    "dash",
    "libstdc++6",
    "passwd",
    "python3-venv",
)
BASE_IMAGE = "deploycheck-tests/python"
CADDY_IMAGE = "deploycheck-tests/caddy"
TRAEFIK_IMAGE = "deploycheck-tests/traefik"
NGINX_IMAGE = "deploycheck-tests/nginx"
HAPROXY_IMAGE = "deploycheck-tests/haproxy"
CERTBOT_IMAGE = "deploycheck-tests/certbot"
# What a script of an image of Debian or Alpine can count on.
SCRIPTED = ("base-files", "base-passwd", "coreutils", "dash", "diffutils", "sed")
POSTGRES_IMAGE = "deploycheck-tests/postgres"
POSTGRES_PROGRAMS = Path("/usr/lib/postgresql")
POSTGRES_ENTRYPOINT = Path(__file__).with_name("postgres_entrypoint.sh")
PATH = "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# As caddy:2 has it.
CADDY_FOLDERS = ("ENV XDG_CONFIG_HOME=/config", "ENV XDG_DATA_HOME=/data")
FOLDERS = (
    ("tmp", 0o1777, "root"),
    ("etc", 0o755, "root"),
    ("var/tmp", 0o1777, "root"),
    ("root", 0o700, "root"),
)
POSTGRES_FOLDERS = {"run/postgresql": 0o3777, "var/lib/postgresql": 0o1777}
PIP_CONF = "[global]\nno-index = true\nfind-links = /wheels\ndisable-pip-version-check = true\n"
# What no program reads in a container.
LEFT_OUT = re.compile(
    r"/usr/share/(doc|man|locale|info|lintian|bug)/|/(test|idlelib|__pycache__|bitcode)/|/llvmjit"
)
# Debian's scripts around several servers, and what compiles queries.
NOT_FOR_POSTGRES = re.compile(
    r"perl|postgresql.*-common|libllvm|libz3|locales|ssl-cert|ucf|debconf|init-system"
)
# What installs packages, and what starts services.
NOT_FOR_PROXIES = re.compile(r"perl|debconf|init-system|iproute|ucf")


def make_images(docker: list[str], project: Path) -> None:
    """Give the engine images in the place of ``python:3-slim`` and ``caddy:2``.

    Args:
        docker: the command line that speaks to it.
        project: the image of this one can then be built.

    Raises:
        subprocess.CalledProcessError: there is no Debian here, or packages cannot be downloaded.
    """
    with (project / "pyproject.toml").open("rb") as file:
        download_wheels(tomllib.load(file)["project"]["dependencies"])
    _import(docker, BASE_IMAGE, (*_root(), *_files_of(closure(PACKAGES)), *_wheels()))
    caddy = Path(sysconfig.get_path("scripts")) / "caddy"
    _import(docker, CADDY_IMAGE, (*_root(), ("usr/bin/caddy", caddy)), *CADDY_FOLDERS)


def make_traefik_image(docker: list[str]) -> None:
    """Give the engine an image in the place of ``traefik:3``, which has a shell beside Traefik too.

    Raises:
        subprocess.CalledProcessError: there is no Debian here.
    """
    traefik = Path(sysconfig.get_path("scripts")) / "traefik"
    files = (*_root(), *_files_of(closure(SCRIPTED)), ("usr/local/bin/traefik", traefik))
    _import(docker, TRAEFIK_IMAGE, files, 'ENTRYPOINT ["traefik"]')


def make_nginx_image(docker: list[str]) -> None:
    """Give the engine an image in the place of ``nginx:1``, whose group ``nginx`` has the same number.

    Raises:
        subprocess.CalledProcessError: Debian's package ``nginx`` is not here.
    """
    files = (*_root(), *_files_of(closure((*SCRIPTED, "nginx"), without=NOT_FOR_PROXIES)))
    group = {"etc/group": "root:x:0:\nnginx:x:101:\n"}
    _import(docker, NGINX_IMAGE, files, 'CMD ["nginx", "-g", "daemon off;"]', texts=group)


def make_haproxy_image(docker: list[str]) -> None:
    """Give the engine an image in the place of ``haproxy:3``, with Debian's own version.

    Raises:
        subprocess.CalledProcessError: Debian's package ``haproxy`` is not here.
    """
    files = (*_root(), *_files_of(closure((*SCRIPTED, "haproxy"), without=NOT_FOR_PROXIES)))
    _import(docker, HAPROXY_IMAGE, files, "USER 99:99")


def make_certbot_image(docker: list[str]) -> None:
    """Give the engine an image in the place of ``certbot/certbot``: the same volumes, openssl too.

    Raises:
        subprocess.CalledProcessError: Debian's package ``certbot`` is not here.
    """
    packages = closure((*SCRIPTED, "ca-certificates", "certbot", "openssl"), without=NOT_FOR_PROXIES)
    volumes = "VOLUME /etc/letsencrypt /var/lib/letsencrypt"
    _import(docker, CERTBOT_IMAGE, (*_root(), *_files_of(packages)), volumes, 'ENTRYPOINT ["certbot"]')


def make_postgres_image(docker: list[str]) -> None:
    """Give the engine an image in the place of ``postgres:18``, with Debian's own version.

    The same: ``PGDATA`` in a folder for the version below ``/var/lib/postgresql``, a volume, the user ``postgres``
    also from the start, ``POSTGRES_USER``, ``POSTGRES_DB``, ``POSTGRES_PASSWORD`` and its ``_FILE``,
    ``POSTGRES_HOST_AUTH_METHOD``, ``POSTGRES_INITDB_ARGS``, a server that makes the database and goes again, the socket
    in ``/var/run/postgresql``, ``listen_addresses = '*'``, ``STOPSIGNAL SIGINT``. Not the same: the user's number, only
    ``.sh`` and ``.sql`` in ``/docker-entrypoint-initdb.d``, no ``_FILE`` for other variables, no JIT, the locale
    C.UTF-8.

    Raises:
        subprocess.CalledProcessError: Debian's package ``postgresql`` is not here.
    """
    version = max((int(folder.name) for folder in POSTGRES_PROGRAMS.glob("[0-9]*")), default=0)
    packages = closure(
        (
            "base-files",
            "base-passwd",
            "coreutils",
            "dash",
            "findutils",
            "libc-bin",
            "sed",
            "util-linux",
            f"postgresql-{version}",
        ),
        without=NOT_FOR_POSTGRES,
    )
    entry = ("usr/local/bin/docker-entrypoint.sh", POSTGRES_ENTRYPOINT)
    folders = tuple((name, mode, "postgres") for name, mode in POSTGRES_FOLDERS.items())
    _import(
        docker,
        f"{POSTGRES_IMAGE}-files",
        (*_root(), *_files_of(packages), entry),
        f"{PATH}:{POSTGRES_PROGRAMS}/{version}/bin",
        "ENV LANG=C.UTF-8",
        f"ENV PGDATA=/var/lib/postgresql/{version}/docker",
        "VOLUME /var/lib/postgresql",
        'ENTRYPOINT ["docker-entrypoint.sh"]',
        'CMD ["postgres"]',
        folders=folders,
    )
    # An import cannot say it: SIGTERM would wait until all clients have gone.
    subprocess.run(
        [*docker, "build", "--quiet", f"--tag={POSTGRES_IMAGE}", "-"],
        input=f"FROM {POSTGRES_IMAGE}-files\nSTOPSIGNAL SIGINT\n",
        text=True,
        check=True,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "DOCKER_BUILDKIT": "0"},
    )


def download_wheels(wanted: list[str]) -> None:
    """Download what an image installs, and what those of other projects have installed, if it is not here yet.

    So one base image does for all of them, and no project has to build its own anew after another one.
    """
    marker = WHEELS / "requirements.txt"
    before = marker.read_text(encoding="utf-8").splitlines() if marker.is_file() else []
    wanted = sorted({re.split(r"[^\w.-]", line, maxsplit=1)[0]: line for line in (*before, *wanted)}.values())
    if wanted == before:
        return
    shutil.rmtree(WHEELS, ignore_errors=True)
    WHEELS.mkdir(parents=True)
    environment = WHEELS / "venv"
    subprocess.run([PYTHON, "-m", "venv", environment], check=True)
    pip = [environment / "bin/pip", "-qq", "--disable-pip-version-check", "download"]
    subprocess.run([*pip, "--only-binary=:all:", f"--dest={WHEELS}", *wanted], check=True)
    shutil.rmtree(environment)
    marker.write_text("\n".join(wanted), encoding="utf-8")


def closure(packages: tuple[str, ...], *, without: re.Pattern[str] | None = None) -> set[str]:
    """Return Debian packages with all that they need, as they are installed here, but for those with some names."""
    form = "-f=${binary:Package}\t${Provides}\t${Pre-Depends}, ${Depends}\n"
    listed = subprocess.run(["dpkg-query", "-W", form], check=True, capture_output=True, text=True).stdout
    needs, by_name = {}, {}
    for line in listed.splitlines():
        package, provides, needed = line.split("\t")
        needs[package] = _names(needed)
        for name in (package.partition(":")[0], *_names(provides)):
            by_name.setdefault(name, package)
    found: set[str] = set()
    waiting = [by_name[name] for name in packages]
    while waiting:
        package = waiting.pop()
        if package not in found and not (without and without.search(package)):
            found.add(package)
            waiting += [by_name[name] for name in needs[package] if name in by_name]
    return found


def _names(relations: str) -> list[str]:
    return re.findall(r"(?:^|[,|])\s*([a-z0-9][a-z0-9.+-]+)", relations)


def _root() -> Iterator[tuple[str, Path]]:
    """Yield the folders and files that every image has."""
    for name in ("bin", "sbin", "lib", "lib64", "etc/passwd", "etc/group", "etc/shadow", "etc/gshadow"):
        if (path := Path("/", name)).exists():
            yield name, path
    yield "etc/ssl/certs/ca-certificates.crt", Path("/etc/ssl/certs/ca-certificates.crt")


def _files_of(packages: set[str]) -> Iterator[tuple[str, Path]]:
    listed = subprocess.run(["dpkg", "-L", *packages], check=True, capture_output=True, text=True).stdout
    for line in sorted(set(listed.splitlines())):
        path = Path(line)
        is_file = path.is_absolute() and os.path.lexists(path) and (path.is_symlink() or not path.is_dir())
        if is_file and not LEFT_OUT.search(line):
            # /bin is a link to /usr/bin: what is below must be at its true place.
            yield str((path.parent.resolve() / path.name).relative_to("/")), path
    yield "etc/ld.so.cache", Path("/etc/ld.so.cache")


def _wheels() -> Iterator[tuple[str, Path]]:
    for wheel in sorted(WHEELS.glob("*.whl")):
        yield f"wheels/{wheel.name}", wheel


def size_of_wheels() -> int:
    """Return how many bytes of the base image, and so of each image on it, are there for want of a registry only."""
    return sum(wheel.stat().st_size for _, wheel in _wheels())


def _import(
    docker: list[str],
    name: str,
    files: tuple[tuple[str, Path], ...],
    *more: str,
    folders: tuple[tuple[str, int, str], ...] = (),
    texts: Mapping[str, str] | None = None,
) -> None:
    changes = [f"--change={change}" for change in (PATH, *more)]
    process = subprocess.Popen(
        [*docker, "import", *changes, "-", name], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    assert process.stdin is not None
    with process.stdin, tarfile.open(fileobj=process.stdin, mode="w|") as archive:
        for folder, mode, owner in (*FOLDERS, *folders):
            info = tarfile.TarInfo(folder)
            info.type, info.mode = tarfile.DIRTYPE, mode
            entry = pwd.getpwnam(owner)
            info.uid, info.gid = entry.pw_uid, entry.pw_gid
            archive.addfile(info)
        written = {"etc/pip.conf": PIP_CONF, **(texts or {})}
        for inside, path in dict(files).items():
            if inside not in written:
                archive.add(path if path.is_symlink() else path.resolve(), inside, recursive=False)
        for inside, text in written.items():
            info = tarfile.TarInfo(inside)
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
    if process.wait() != 0:
        raise subprocess.CalledProcessError(process.returncode, process.args)
