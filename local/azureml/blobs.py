"""The workspace's own storage account: the part of the Blob API that azure-ai-ml's transfers use.

Accounts other than the workspace's are not here; ``storage.py`` reads those.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote
from xml.sax.saxutils import escape

from local.azureml.blob_store import Blob
from local.azureml.wire import Answer, Call, Evidence, Plane, Route

if TYPE_CHECKING:
    from local.azureml.cloud import Cloud

_XML = '<?xml version="1.0" encoding="utf-8"?>'
_ERRORS = {
    "BlobNotFound": (404, "The specified blob does not exist."),
    "BlobAlreadyExists": (409, "The specified blob already exists."),
    "ConditionNotMet": (412, "The condition specified using HTTP conditional header(s) is not met."),
    "InvalidRange": (416, "The range specified is invalid for the current size of the resource."),
    "AuthenticationFailed": (403, "Server failed to authenticate the request."),
    "InvalidBlockList": (400, "The specified block list is invalid."),
}


def _error(code: str, method: str) -> Answer:
    status, message = _ERRORS[code]
    body = f"{_XML}<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return Answer(
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


def _metadata(call: Call) -> dict[str, str]:
    return {
        name.removeprefix("x-ms-meta-"): value
        for name, value in call.headers.items()
        if name.startswith("x-ms-meta-")
    }


def _put(cloud: Cloud, call: Call) -> Answer:
    name, action = f"{call['container']}/{unquote(call['blob'])}", call.query.get("comp")
    store = cloud.blobs
    if action == "block":
        store.stage(name, call.query["blockid"], call.body)
        return Answer(201)
    if action == "metadata":
        changed = store.set_metadata(name, _metadata(call))
        return Answer(200, headers=_headers(changed)) if changed else _error("BlobNotFound", call.method)
    if call.headers.get("if-none-match") == "*" and store.get(name) is not None:
        return _error("BlobAlreadyExists", call.method)
    data: bytes | None = call.body
    if action == "blocklist":
        found = re.findall(r"<(?:Latest|Uncommitted|Committed)>([^<]+)</", call.body.decode())
        data = store.commit(name, found)
    if data is None:
        return _error("InvalidBlockList", call.method)
    content_type = call.headers.get("x-ms-blob-content-type", "application/octet-stream")
    blob = store.write(name, data, content_type, _metadata(call))
    return Answer(201, headers={**_headers(blob), "Content-MD5": blob.md5})


def _get(cloud: Cloud, call: Call) -> Answer:
    name = f"{call['container']}/{unquote(call['blob'])}"
    blob = cloud.blobs.get(name)
    if blob is None:
        return _error("BlobNotFound", call.method)
    headers = {**_headers(blob), "Content-Type": blob.content_type, "Accept-Ranges": "bytes"}
    if call.method == "HEAD":
        return Answer(200, headers={**headers, "Content-Length": str(blob.size), "Content-MD5": blob.md5})
    data = cloud.blobs.read(name)
    span = call.headers.get("x-ms-range") or call.headers.get("range")
    found = re.fullmatch(r"bytes=(\d+)-(\d*)", span or "")
    if not found:
        return Answer(200, data, headers)
    first = int(found[1])
    last = min(int(found[2] or len(data)), len(data) - 1)
    if first >= len(data):
        return _error("InvalidRange", call.method)
    headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
    return Answer(206, data[first : last + 1], headers)


def _delete(cloud: Cloud, call: Call) -> Answer:
    found = cloud.blobs.delete(f"{call['container']}/{unquote(call['blob'])}")
    return Answer(202) if found else _error("BlobNotFound", call.method)


def _container(cloud: Cloud, call: Call) -> Answer:
    """A listing, or the properties of the container; every container is there."""
    if call.query.get("comp") != "list":
        return Answer(201 if call.method == "PUT" else 200, headers={"ETag": '"0x1"'})
    container, prefix = call["container"], call.query.get("prefix", "")
    entries = []
    for name, blob in cloud.blobs.list(container, prefix):
        metadata = "".join(f"<{key}>{escape(value)}</{key}>" for key, value in blob.metadata.items())
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
    return Answer(200, body.encode(), {"Content-Type": "application/xml"})


def authorize(cloud: Cloud, call: Call) -> Answer | None:
    """Refuses a blob call without a shared access signature of this emulator; None lets it pass."""
    if call.query.get("sig") and cloud.issuer.read(call.query["sig"]) is not None:
        return None
    return _error("AuthenticationFailed", call.method)


def shared_access_signature(cloud: Cloud) -> str:
    """A query string that opens the workspace's account for an hour."""
    expires = int(cloud.clock.now().timestamp()) + 3600
    signature = cloud.issuer.issue({"aud": "storage", "exp": expires})
    until = datetime.fromtimestamp(expires, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return f"?sv=2025-01-05&sig={signature}&se={quote(until)}&srt=co&ss=bf&sp=rcuwdl"


def upload_place(cloud: Cloud, call: Call, name: str) -> dict[str, Any]:
    """Where a client may put the bytes of an asset that is about to be: a container served here."""
    container = f"{call.base}/{name.lower()}"
    return {
        "blobReferenceForConsumption": {
            "blobUri": container,
            "storageAccountArmId": None,
            "credential": {
                "credentialType": "SAS",
                "sasUri": container + shared_access_signature(cloud),
            },
        }
    }


_BLOB, _CONTAINER = "/{container}/{blob*}", "/{container}"
ROUTES = (
    Route("blobs.put", "PUT", _BLOB, _put, Plane.STORAGE),
    Route("blobs.get", "GET", _BLOB, _get, Plane.STORAGE),
    Route("blobs.head", "HEAD", _BLOB, _get, Plane.STORAGE),
    Route("blobs.delete", "DELETE", _BLOB, _delete, Plane.STORAGE, Evidence.DRIVEN),
    Route("blobs.list", "GET", _CONTAINER, _container, Plane.STORAGE, Evidence.DRIVEN),
    Route("containers.put", "PUT", _CONTAINER, _container, Plane.STORAGE, Evidence.DRIVEN),
)
