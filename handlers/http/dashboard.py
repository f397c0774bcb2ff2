"""`GET /api/dashboard`: the web page and its files.

The files hold no secrets and need no key. The page's script fetches data from the API with the key that the
user enters.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from handlers.http.responses import Response
from shared.domain.errors import RequestError

FOLDER = Path(__file__).parents[2] / "dashboard"
PAGE = "index.html"

CONTENT_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
"""To anything that is text, the host adds that it is UTF-8."""

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        # No string ever becomes markup or code: innerHTML and its kin throw in browsers that know this.
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ),
)
"""Content Security Policy (https://www.w3.org/TR/CSP3/): this app's own files, and nothing else."""

HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


class Asset(NamedTuple):
    """One file of the page."""

    body: bytes
    content_type: str
    etag: str


def show_dashboard(name: str | None, *, url: str, if_none_match: str | None) -> Response:
    """Serve the page, or one of its files.

    Args:
        name: The file's name; None or empty for the page.
        url: The address that was asked for.
        if_none_match: The request's header; 304 if it has the newest version.

    Raises:
        RequestError: 404 for any name that is not a file of the page.
    """
    if not name and urlsplit(url).path.endswith("/"):
        # The page names its files relative to itself, and so has to be read from one address.
        return Response(308, b"", headers={**HEADERS, "Location": "../dashboard"})
    asset = _assets().get(name or PAGE)
    if asset is None:
        raise RequestError(404, "the dashboard has no file of this name", code="NoSuchFile")
    headers = {**HEADERS, "ETag": asset.etag}
    if if_none_match is not None and asset.etag in if_none_match:
        return Response(304, b"", asset.content_type, headers)
    return Response(200, asset.body, asset.content_type, headers)


@cache
def _assets() -> dict[str, Asset]:
    """Every file, read once; a name that is not a key here leads nowhere, whatever it spells."""
    return {file.name: _asset(file) for file in sorted(FOLDER.iterdir()) if file.suffix in CONTENT_TYPES}


def _asset(file: Path) -> Asset:
    body = file.read_bytes()
    digest = hashlib.sha256(body).hexdigest()[:24]
    return Asset(body, CONTENT_TYPES[file.suffix], f'"{digest}"')
