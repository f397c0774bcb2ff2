"""The workspace's own storage account.

Block blobs in memory or a folder, and the part of the Blob API that azure-ai-ml's transfers use.

Accounts other than the workspace's are not here; ``storage.py`` reads those.
"""

from __future__ import annotations

import base64
import hashlib
import re
import threading
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote
from xml.sax.saxutils import escape

import msgspec

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


class Blob(msgspec.Struct):
    """A blob without its bytes."""

    size: int
    md5: str
    etag: str
    modified: datetime
    content_type: str
    metadata: dict[str, str]


class BlobStore:
    """Blobs by ``container/name``. Thread-safe."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._lock = threading.RLock()
        self._blobs: dict[str, Blob] = {}
        self._bytes: dict[str, bytes] = {}
        self._blocks: dict[str, dict[str, bytes]] = {}
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            for path in folder.glob("*.json"):
                name, blob = msgspec.json.decode(path.read_bytes(), type=tuple[str, Blob])
                self._blobs[name] = blob

    def get(self, name: str) -> Blob | None:
        """The blob of that name, without its bytes."""
        with self._lock:
            return self._blobs.get(name)

    def read(self, name: str) -> bytes:
        """The bytes of a blob.

        Raises:
            FileNotFoundError: There is none of that name.
        """
        with self._lock:
            if name not in self._blobs:
                raise FileNotFoundError(name)
            if self._folder is None:
                return self._bytes[name]
            return (self._folder / f"{_file(name)}.blob").read_bytes()

    def write(
        self,
        name: str,
        data: bytes,
        content_type: str = "application/octet-stream",
        metadata: dict[str, str] | None = None,
    ) -> Blob:
        """Keeps a blob, in place of any older one."""
        digest = hashlib.md5(data, usedforsecurity=False).digest()
        blob = Blob(
            size=len(data),
            md5=base64.b64encode(digest).decode(),
            etag="",
            modified=datetime.now(UTC),
            content_type=content_type,
            metadata=metadata or {},
        )
        with self._lock:
            if self._folder is None:
                self._bytes[name] = data
            else:
                (self._folder / f"{_file(name)}.blob").write_bytes(data)
            self._keep(name, blob)
        return blob

    def set_metadata(self, name: str, metadata: dict[str, str]) -> Blob | None:
        """Replaces a blob's metadata; None when there is no such blob."""
        with self._lock:
            blob = self._blobs.get(name)
            if blob is not None:
                blob.metadata = metadata
                self._keep(name, blob)
            return blob

    def stage(self, name: str, block_id: str, data: bytes) -> None:
        """Keeps a block until its list is committed."""
        with self._lock:
            self._blocks.setdefault(name, {})[block_id] = data

    def commit(self, name: str, block_ids: list[str]) -> bytes | None:
        """Joins staged blocks; None when one was never staged."""
        with self._lock:
            blocks = self._blocks.pop(name, {})
            if any(block_id not in blocks for block_id in block_ids):
                return None
            return b"".join(blocks[block_id] for block_id in block_ids)

    def list(self, container: str, prefix: str) -> list[tuple[str, Blob]]:
        """Names inside the container, in order, with their blobs."""
        start = f"{container}/{prefix}"
        with self._lock:
            return sorted(
                (name.removeprefix(f"{container}/"), blob)
                for name, blob in self._blobs.items()
                if name.startswith(start)
            )

    def delete(self, name: str) -> bool:
        """Forgets a blob; False when there was none."""
        with self._lock:
            self._bytes.pop(name, None)
            if self._folder is not None:
                for suffix in ("blob", "json"):
                    (self._folder / f"{_file(name)}.{suffix}").unlink(missing_ok=True)
            return self._blobs.pop(name, None) is not None

    def clear(self) -> None:
        """Forgets all blobs."""
        with self._lock:
            for name in list(self._blobs):
                self.delete(name)
            self._blocks.clear()

    def _keep(self, name: str, blob: Blob) -> None:
        blob.modified = datetime.now(UTC)
        blob.etag = f'"0x{int(blob.modified.timestamp() * 1e7):X}"'
        self._blobs[name] = blob
        if self._folder is not None:
            (self._folder / f"{_file(name)}.json").write_bytes(msgspec.json.encode((name, blob)))


def _file(name: str) -> str:
    """A file name for a blob name of up to 1,024 characters, slashes and all."""
    return hashlib.sha256(name.encode()).hexdigest()


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


_BLOB, _CONTAINER = "/{container}/{blob*}", "/{container}"
ROUTES = (
    Route("blobs.put", "PUT", _BLOB, _put, Plane.STORAGE),
    Route("blobs.get", "GET", _BLOB, _get, Plane.STORAGE),
    Route("blobs.head", "HEAD", _BLOB, _get, Plane.STORAGE),
    Route("blobs.delete", "DELETE", _BLOB, _delete, Plane.STORAGE, Evidence.DRIVEN),
    Route("blobs.list", "GET", _CONTAINER, _container, Plane.STORAGE, Evidence.DRIVEN),
    Route("containers.head", "HEAD", _CONTAINER, _container, Plane.STORAGE, Evidence.DRIVEN),
    Route("containers.put", "PUT", _CONTAINER, _container, Plane.STORAGE, Evidence.CHOSEN),
)
