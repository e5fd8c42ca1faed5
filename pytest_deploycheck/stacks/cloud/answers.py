"""Who answers each check: the app on this machine, the platforms' files, or nobody."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial

from pytest_deploycheck import databases
from pytest_deploycheck.config import Config
from pytest_deploycheck.outcome import Blocked, Note
from pytest_deploycheck.stacks.cloud.contract import read_contract
from pytest_deploycheck.stacks.cloud.grants import read_grants
from pytest_deploycheck.stacks.cloud.promises import PROMISES, Case, keep
from pytest_deploycheck.stacks.declared import Declared
from pytest_deploycheck.stacks.keepers import Keepers
from pytest_deploycheck.stacks.protocol import StackError

_EDGE = "the platform's edge does it, and no file says how"
KEEPERS = Keepers(
    here="the app under the contract",
    both="the app's part is seen, the platform's is read",
    files="the platforms' files are read",
    not_verified={
        "TLS002": "certificate and versions of TLS are the platform's edge's: ask it with `openssl s_client`",
        "TLS008": "the platform's edge leads a domain to the app, and knows no others: no file says it",
        "TLS009": "the platform renews and serves the certificate: no file says it",
        "TLS010": "the platform gets the certificate when the domain's DNS records lead to it: no file says it",
        "TLS015": f"an answer while no container runs: {_EDGE}",
        "TLS016": f"HTTP/2: {_EDGE}",
        "RES004": "how many files a container may open is set by the platform: no file says it",
    },
    not_applicable={
        "BOOT005": "no terminal starts a container",
        "RES005": "the app writes no file: what it prints goes to the platform",
        "RES007": "the app writes no file: what it prints goes to the platform",
    },
    read_only=frozenset({"TLS001", "TLS007", "BOOT001", "RST006", "RST009"}),
    seen_in_part=frozenset({"TLS014", "RST002", "RST003", "PRE001", "PRE004", "PRE009"}),
)
# The check that fails where the files cannot be read at all; the others are blocked.
FIRST = "BOOT002"


def declared(config: Config) -> Declared:
    """Return what is read beside, or instead of, what is seen of a project with a contract."""
    read = lru_cache(maxsize=1)(partial(_cases, config))
    answers, besides = KEEPERS.answers(partial(_answer, read))
    return Declared(
        parts={
            "manager": "cloud",
            "proxy": "edge",
            "server": "image",
            "database": databases.find(config).NAME,
        },
        read=[f"{config.manager_config}: each platform's file that it names was read"],
        answers=answers,
        besides=besides,
    )


def _cases(config: Config) -> list[Case] | StackError:
    try:
        contract = read_contract(config.root / config.manager_config, config.manager_config)
        return [
            Case(grants=grants, contract=contract, config=config)
            for grants in read_grants(config.root, contract.platforms)
        ]
    except StackError as error:
        return error


def _answer(read: Callable[[], list[Case] | StackError], check_id: str, note: Note) -> None:
    KEEPERS.must_answer(check_id)
    cases = read()
    if isinstance(cases, StackError):
        if check_id == FIRST:
            raise cases
        raise Blocked(f"the contract, or a platform's file, cannot be read (see {FIRST}): {cases}")
    if check_id in PROMISES:
        note.did(f"read {PROMISES[check_id][0]}, in {', '.join(keep(check_id, cases))}")
