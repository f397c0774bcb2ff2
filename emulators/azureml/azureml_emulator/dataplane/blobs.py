"""The workspace's own storage account: the part of the Blob API that azure-ai-ml's transfers use.

Accounts other than the workspace's are not here; ``storage.py`` reads those.
"""

from __future__ import annotations

import base64
import hashlib
import re
from email.utils import format_datetime
from urllib.parse import quote, unquote
from xml.sax.saxutils import escape

from azureml_emulator.core.http import Request, Response
from azureml_emulator.core.routing import Plane, Route
from azureml_emulator.core.state import EmulatorState
from azureml_emulator.storage.blob_store import Blob

_XML = '<?xml version="1.0" encoding="utf-8"?>'
_ERRORS = {
    "BlobNotFound": (404, "The specified blob does not exist."),
    "BlobAlreadyExists": (409, "The specified blob already exists."),
    "ConditionNotMet": (412, "The condition specified using HTTP conditional header(s) is not met."),
    "InvalidRange": (416, "The range specified is invalid for the current size of the resource."),
    "AuthenticationFailed": (403, "Server failed to authenticate the request."),
    "Md5Mismatch": (400, "The MD5 value specified in the request did not match the one of the body."),
    "InvalidBlockList": (400, "The specified block list is invalid."),
    "NotImplemented": (501, "The emulator has block blobs, their blocks and metadata, and plain lists."),
}


def _error(code: str, method: str) -> Response:
    status, message = _ERRORS[code]
    body = f"{_XML}<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return Response(
        status,
        b"" if method == "HEAD" else body.encode(),
        {"x-ms-error-code": code, "Content-Type": "application/xml"},
    )


def _headers(blob: Blob) -> dict[str, str]:
    return {
        "ETag": blob.etag,
        "Last-Modified": format_datetime(blob.modified, usegmt=True),
        "x-ms-blob-type": "BlockBlob",
        "x-ms-request-server-encrypted": "true",
        "x-ms-version": "2025-01-05",
        **{f"x-ms-meta-{key}": value for key, value in blob.metadata.items()},
    }


def _metadata(request: Request) -> dict[str, str]:
    return {
        name.removeprefix("x-ms-meta-"): value
        for name, value in request.headers.items()
        if name.startswith("x-ms-meta-")
    }


def _is_whole(request: Request) -> bool:
    """Whether the body is the one that ``Content-MD5`` was computed from."""
    digest = hashlib.md5(request.body, usedforsecurity=False).digest()
    return request.headers.get("content-md5") in (None, base64.b64encode(digest).decode())


def _put(state: EmulatorState, request: Request) -> Response:
    name, action = f"{request['container']}/{unquote(request['blob'])}", request.query.get("comp")
    store, kind = state.blobs, request.headers.get("x-ms-blob-type", "BlockBlob")
    if action not in (None, "block", "blocklist", "metadata") or kind != "BlockBlob":
        return _error("NotImplemented", request.method)
    if not _is_whole(request):
        return _error("Md5Mismatch", request.method)
    if action == "block":
        store.stage(name, request.query["blockid"], request.body)
        return Response(201)
    if action == "metadata":
        changed = store.set_metadata(name, _metadata(request))
        return Response(200, headers=_headers(changed)) if changed else _error("BlobNotFound", request.method)
    if request.headers.get("if-none-match") == "*" and store.get(name) is not None:
        return _error("BlobAlreadyExists", request.method)
    data: bytes | None = request.body
    if action == "blocklist":
        found = re.findall(r"<(?:Latest|Uncommitted|Committed)>([^<]+)</", request.body.decode())
        data = store.commit(name, found)
    if data is None:
        return _error("InvalidBlockList", request.method)
    content_type = request.headers.get("x-ms-blob-content-type", "application/octet-stream")
    blob = store.write(name, data, content_type, _metadata(request))
    return Response(201, headers={**_headers(blob), "Content-MD5": blob.md5})


def _get(state: EmulatorState, request: Request) -> Response:
    name = f"{request['container']}/{unquote(request['blob'])}"
    blob = state.blobs.get(name)
    if blob is None:
        return _error("BlobNotFound", request.method)
    headers = {**_headers(blob), "Content-Type": blob.content_type, "Accept-Ranges": "bytes"}
    if request.method == "HEAD":
        return Response(200, headers={**headers, "Content-Length": str(blob.size), "Content-MD5": blob.md5})
    data = state.blobs.read(name)
    span = request.headers.get("x-ms-range") or request.headers.get("range")
    found = re.fullmatch(r"bytes=(\d+)-(\d*)", span or "")
    if not found:
        return Response(200, data, headers)
    first = int(found[1])
    last = min(int(found[2] or len(data)), len(data) - 1)
    if first >= len(data):
        return _error("InvalidRange", request.method)
    headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
    return Response(206, data[first : last + 1], headers)


def _delete(state: EmulatorState, request: Request) -> Response:
    found = state.blobs.delete(f"{request['container']}/{unquote(request['blob'])}")
    return Response(202) if found else _error("BlobNotFound", request.method)


def _container(state: EmulatorState, request: Request) -> Response:
    """A listing, or the properties of the container; every container is there."""
    if request.query.get("comp") != "list":
        return Response(201 if request.method == "PUT" else 200, headers={"ETag": '"0x1"'})
    container, prefix = request["container"], request.query.get("prefix", "")
    include = request.query.get("include", "")
    if include not in ("", "metadata"):
        return _error("NotImplemented", request.method)
    entries = []
    for name, blob in state.blobs.list(container, prefix):
        shown = blob.metadata if include else {}
        metadata = "".join(f"<{key}>{escape(value)}</{key}>" for key, value in shown.items())
        entries.append(
            f"<Blob><Name>{escape(name)}</Name><Properties>"
            f"<Last-Modified>{format_datetime(blob.modified, usegmt=True)}</Last-Modified>"
            f"<Etag>{blob.etag.strip(chr(34))}</Etag><Content-Length>{blob.size}</Content-Length>"
            f"<Content-Type>{escape(blob.content_type)}</Content-Type><Content-MD5>{blob.md5}</Content-MD5>"
            f"<BlobType>BlockBlob</BlobType></Properties><Metadata>{metadata}</Metadata></Blob>"
        )
    body = (
        f'{_XML}<EnumerationResults ContainerName="{quote(container)}">'
        f"<Prefix>{escape(prefix)}</Prefix><Blobs>{''.join(entries)}</Blobs><NextMarker/>"
        "</EnumerationResults>"
    )
    return Response(200, body.encode(), {"Content-Type": "application/xml"})


def authorize(state: EmulatorState, request: Request) -> Response | None:
    """Refuses a blob call without a shared access signature of this emulator; None lets it pass."""
    if request.query.get("sig") and state.issuer.read(request.query["sig"]) is not None:
        return None
    return _error("AuthenticationFailed", request.method)


_BLOB, _CONTAINER = "/{container}/{blob*}", "/{container}"
_VERSION = ("x-ms-version",)
_WRITE = (
    *(*_VERSION, "x-ms-blob-type", "x-ms-blob-content-type", "x-ms-meta-*"),
    *("if-none-match", "content-md5"),
)
ROUTES = (
    Route(
        "blobs.put",
        "PUT",
        _BLOB,
        _put,
        Plane.STORAGE,
        query=("comp", "blockid"),
        headers=(
            *_VERSION,
            "x-ms-blob-type",
            "x-ms-blob-content-type",
            "x-ms-meta-*",
            "if-none-match",
            "content-md5",
        ),
    ),
    Route("blobs.get", "GET", _BLOB, _get, Plane.STORAGE, headers=(*_VERSION, "x-ms-range", "range")),
    Route("blobs.head", "HEAD", _BLOB, _get, Plane.STORAGE, headers=_VERSION),
    Route("blobs.delete", "DELETE", _BLOB, _delete, Plane.STORAGE, headers=_VERSION),
    Route(
        "blobs.list",
        "GET",
        _CONTAINER,
        _container,
        Plane.STORAGE,
        query=("restype", "comp", "prefix", "include"),
        headers=_VERSION,
    ),
    Route(
        "containers.put",
        "PUT",
        _CONTAINER,
        _container,
        Plane.STORAGE,
        query=("restype",),
        headers=_VERSION,
    ),
)
