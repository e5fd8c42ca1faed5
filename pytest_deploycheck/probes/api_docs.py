"""The interactive documentation, as a browser reads it: the page, the schema that it names, its servers."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urljoin, urlsplit

from pytest_deploycheck.probes.http import Entry

PAGE = "/docs"
# Swagger UI is given the schema's address as `url: '...'`, Redoc and others as `spec-url="..."`.
SCHEMA_ADDRESS = re.compile(r"""(?:\burl\s*:|spec-url\s*=)\s*(["'])(?P<url>.+?)\1""")


@dataclass(frozen=True, kw_only=True)
class ApiDocs:
    """What a browser finds.

    Attributes:
        status: of the page.
        schema_url: where the page says that the schema is; None if it names none.
        schema_status: of the schema; None if it was not asked for, because it is not at this site.
        servers: the schema's ``servers``, as absolute addresses.
        operations: the absolute addresses at which "Try it out" sends the GET requests without parameters, by path.
    """

    status: int
    schema_url: str | None = None
    schema_status: int | None = None
    servers: tuple[str, ...] = ()
    operations: dict[str, str] | None = None


def read_docs(entry: Entry) -> ApiDocs:
    """Load the page and the schema; no script runs."""
    page = entry.get(PAGE)
    found = SCHEMA_ADDRESS.search(page.text)
    if not page.is_success or not found:
        return ApiDocs(status=page.status_code)
    url = urljoin(f"https://{entry.domain}{entry.prefix}{PAGE}", found["url"])
    target = urlsplit(url)
    if (target.scheme, target.hostname) != ("https", entry.domain.lower()):
        return ApiDocs(status=page.status_code, schema_url=url)
    schema = replace(entry, prefix="").get(f"{target.path}?{target.query}".rstrip("?"))
    document = _json(schema.text)
    servers = tuple(
        urljoin(url, str(server.get("url", "/"))) for server in document.get("servers") or [{"url": "/"}]
    )
    return ApiDocs(
        status=page.status_code,
        schema_url=url,
        schema_status=schema.status_code,
        servers=servers,
        operations={
            path: f"{servers[0].rstrip('/')}{path}"
            for path, methods in document.get("paths", {}).items()
            if "get" in methods and "{" not in path
        },
    )


def _json(text: str) -> dict[str, Any]:
    """Return a JSON object; an empty one for anything else."""
    try:
        document = json.loads(text)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
