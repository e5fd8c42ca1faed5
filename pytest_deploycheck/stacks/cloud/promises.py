"""What each platform's file must grant, for the checks that need it."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from pytest_deploycheck.config import Config
from pytest_deploycheck.outcome import NotVerified
from pytest_deploycheck.stacks.cloud.contract import Contract
from pytest_deploycheck.stacks.cloud.grants import Grants

# A migration that rewrites a large table takes minutes.
LONG_MIGRATION_S = 1800
# What PostgreSQL keeps for superusers: superuser_reserved_connections.
RESERVED = 3


@dataclass(frozen=True, kw_only=True)
class Case:
    """One platform of a project.

    Attributes:
        grants: what its file says.
        contract: what it must say.
        config: the project's settings.
    """

    grants: Grants
    contract: Contract
    config: Config


T = TypeVar("T")
Promise = Callable[[Case], None]
PROMISES: dict[str, tuple[str, Promise]] = {}


def promise(check_id: str, reads: str) -> Callable[[Promise], Promise]:
    """Make a function what is read for a check; it raises AssertionError, which begins with the file's name."""

    def add(keep: Promise) -> Promise:
        PROMISES[check_id] = reads, keep
        return keep

    return add


@promise("TLS001", "whether plain HTTP is redirected: force_https of Fly.io")
def plain_http_redirects(case: Case) -> None:
    """Plain HTTP leads to HTTPS."""
    assert said(case.grants.redirects), "no force_https: plain HTTP is answered: force_https = true"


@promise("TLS006", "the variable that names the platform's networks")
def nobody_else_is_believed(case: Case) -> None:
    """X-Forwarded-* counts from some networks only."""
    name = case.contract.networks_variable
    value = case.grants.environment.get(name) or ""
    wide = [word for word in value.split(",") if word.strip() in ("*", "0.0.0.0/0", "::/0")]
    assert not wide, f"{name} {wide[0]}: whoever reaches the container is believed: the platform's networks"


@promise("TLS007", "ports beside the edge: [[services]] of Fly.io")
def nothing_goes_round(case: Case) -> None:
    """The edge is the only way in."""
    assert not said(case.grants.beside_the_edge), "[[services]] opens ports of its own: only [http_service]"


@promise("BOOT001", "the number of containers, and who starts them, of Fly.io")
def containers_come_by_themselves(case: Case) -> None:
    """Nobody types a command after a machine has failed."""
    assert said(case.grants.starts_itself), "no machine runs and none is started: auto_start_machines = true"


@promise("BOOT002", "the variables, and the port")
def settings_are_there(case: Case) -> None:
    """Each value that a deployment of this project has is given, and the edge looks where the app listens."""
    given = case.grants.environment
    secrets = {*case.config.secrets, case.config.settings.get("database_url", "")}
    missing = sorted(set(case.config.env) - given.keys() - secrets)
    assert not missing, f"{', '.join(missing)} of {case.config.env_file} is not among the variables"
    port = given.get(case.contract.port_variable)
    if case.grants.port is not None:
        assert port == str(case.grants.port), (
            f"the edge looks at port {case.grants.port}, and {case.contract.port_variable} is {port or 'not set'}"
        )


@promise("BOOT007", "the path of the check before requests come")
def readiness_is_asked(case: Case) -> None:
    """Who is not ready gets no requests."""
    ready = case.config.requests.ready
    assert case.grants.ready == ready, (
        f"{case.grants.ready or 'nothing'} is asked before it gets requests: {ready}"
    )


@promise("RST002", "the number of containers")
def others_serve_meanwhile(case: Case) -> None:
    """As many as the contract says."""
    wanted = case.contract.min_containers
    assert case.grants.fewest >= wanted, (
        f"{case.grants.fewest} containers at least, and the contract says {wanted}"
    )


@promise("RST003", "the restart policy, of Fly.io")
def clean_exits_are_restarted(case: Case) -> None:
    """Whatever the exit status."""
    assert said(case.grants.restarts), '[[restart]] policy is not "always": a clean exit leaves it down'


@promise("RST006", "how long a start may take")
def slow_starts_are_no_crashes(case: Case) -> None:
    """The platform does not end again and again what still starts."""
    patience_s, wanted = said(case.grants.start_s), case.contract.start_s
    assert patience_s >= wanted, (
        f"it is ended after {patience_s:.0f} s of a start, and start_s of the contract is {wanted}"
    )


@promise("RST008", "signal and time at a stop")
def requests_may_finish(case: Case) -> None:
    """At least the contract's time, after a signal that the server takes for a stop."""
    grants, wanted = case.grants, case.contract.stop_grace_s
    assert grants.stop_signal == "SIGTERM", (
        f"{grants.stop_signal} is sent at a stop, which ends requests: SIGTERM"
    )
    assert grants.stop_grace_s >= wanted, (
        f"SIGKILL comes after {grants.stop_grace_s:.0f} s, and stop_grace_s of the contract is {wanted}"
    )


@promise("RST009", "how a release replaces containers")
def releases_drop_nobody(case: Case) -> None:
    """The old one goes when the new one is ready."""
    assert case.grants.one_after_the_other, "a new release replaces the old one before it is ready"


@promise("RST010", "the path of the liveness probe")
def liveness_leaves_the_database_alone(case: Case) -> None:
    """Without a database all containers would be restarted, which does not bring it back."""
    live = case.config.requests.live
    assert case.grants.live in ("", live), f"{case.grants.live} is asked for liveness: {live}"


@promise("REP001", "the variable of workers")
def one_process_in_each(case: Case) -> None:
    """Containers are counted, so each has one server process."""
    name = case.config.settings.get("workers", "WEB_CONCURRENCY")
    here, wanted = case.grants.environment.get(name), case.contract.processes
    assert here == str(wanted), f"{name} is {here}, and processes of the contract is {wanted}"


@promise("REP007", "the most containers, and the pool of each")
def the_database_takes_all_pools(case: Case) -> None:
    """All containers have their pool."""
    name, limit = "DATABASE_CONNECTIONS", case.config.max_connections
    if name not in case.grants.environment or limit is None:
        return
    pool = number(name, case.grants.environment[name])
    most = max(case.grants.most or case.contract.max_containers, case.grants.fewest)
    assert most * pool <= limit - RESERVED, (
        f"{most} containers x {name} {pool} = {most * pool}, and the server takes {limit - RESERVED}"
    )


@promise("MEM001", "the limit of memory, and the variable with it")
def memory_is_what_is_promised(case: Case) -> None:
    """The container has what the app is told that it has."""
    name = case.config.settings.get("memory_limit_mb", "MEMORY_LIMIT_MB")
    told, has = case.grants.environment.get(name), case.grants.memory_mb
    assert has is not None, "no limit of memory is set"
    assert number(name, told or "0") <= has, f"{name} is {told}, and the container has {has} MiB"


@promise("PRE001", "what runs before a release")
def the_schema_is_first(case: Case) -> None:
    """The platform runs the previous steps."""
    wanted = case.contract.previous_steps
    assert case.grants.steps == wanted, (
        f"{case.grants.steps or 'nothing'} runs before a release: {wanted or 'nothing'}"
    )


@promise("PRE004", "what runs before a release")
def failed_steps_stop_it(case: Case) -> None:
    """Their exit status counts."""
    assert not re.search(r"\|\||;", case.grants.steps), f"{case.grants.steps!r} goes on after a failure"


@promise("PRE009", "how long it may run")
def long_migrations_may_end(case: Case) -> None:
    """No time limit ends a long one."""
    limit_s = said(case.grants.steps_s)
    assert limit_s >= LONG_MIGRATION_S, (
        f"the previous steps are ended after {limit_s:.0f} s: at least {LONG_MIGRATION_S}"
    )


def number(name: str, value: str | None) -> int:
    """Return the number that a variable holds."""
    assert value is not None and re.fullmatch(r"[0-9]{1,9}", value), f"{name} is {value!r:.40}, no number"  # noqa: PT018
    return int(value)


def said(value: T | None) -> T:
    """Return what a file says.

    Raises:
        LookupError: it has no word for it.
    """
    if value is None:
        raise LookupError
    return value


def keep(check_id: str, cases: list[Case]) -> list[str]:
    """Look whether all platforms' files keep a promise; return those that have words for it.

    Raises:
        AssertionError: one breaks it; the message names the file.
        NotVerified: no file has words for it.
    """
    read = []
    for case in cases:
        with contextlib.suppress(LookupError):
            try:
                PROMISES[check_id][1](case)
            except AssertionError as broken:
                raise AssertionError(f"{case.grants.file}: {broken}") from None
            read.append(case.grants.file)
    if not read:
        files = (
            ", ".join(case.grants.file for case in cases) or "no file: [platforms] of the contract is empty"
        )
        raise NotVerified(f"it is the platform's, and no file says it; read: {files}")
    return read
