"""The public entry, as all checks of HTTPS ask it."""

from __future__ import annotations

import functools
from urllib.parse import urlsplit

import httpx2

from pytest_deploycheck.check import check as any_check
from pytest_deploycheck.need import Need
from pytest_deploycheck.probes.http import Entry

check = functools.partial(any_check, needs=(Need.PROXY,))  # the public entry is the proxy


def plain(entry: Entry, path: str) -> httpx2.Response | None:
    """GET over plain HTTP; None if nobody listens there."""
    try:
        return entry.get(path, https=False)
    except httpx2.ConnectError:
        return None


def is_public(url: str, entry: Entry) -> bool:
    """Tell whether a URL is https at the public host; the sandbox's own port stands for 443."""
    parts = urlsplit(url)
    ours = (parts.scheme, parts.hostname) == ("https", entry.domain.lower())
    return ours and parts.port in (None, 443, entry.https_port)
