"""Where the workspace's own blobs are kept: in memory, or in a folder."""

from __future__ import annotations

import base64
import hashlib
import threading
from datetime import UTC, datetime
from pathlib import Path

import msgspec


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
