"""Which changes of a blob Event Grid tells of, judged from one listing to the next.

| operation                                                       | `BlobCreated` |
|-----------------------------------------------------------------|---------------|
| Put Blob, Put Block List, Copy Blob; creating an append blob    | yes           |
| Append Block, Put Page, Set Blob Metadata, Set Blob Properties, | no            |
| Set Blob Tier, Set Blob Tags, leases                            |               |

Source: https://learn.microsoft.com/azure/event-grid/event-schema-blob-storage. Azurite raises no events, and
what an operation was is not to be seen afterwards: an overwritten blob has another time of creation, size or
MD5, or at least no other metadata and properties than before.
"""

import json
from pathlib import Path
from typing import Any

from azure.storage.blob import BlobProperties

Facts = dict[str, Any]


def facts_of(blob: BlobProperties) -> Facts:
    """What has to be remembered of a version to judge the next one."""
    content = blob.content_settings
    return {
        "etag": str(blob.etag),
        "created": blob.creation_time.isoformat(),
        "size": blob.size,
        "md5": bytes(content.content_md5).hex() if content.content_md5 else None,
        "properties": [
            dict(blob.metadata or {}),
            *(content.content_type, content.content_encoding, content.content_language),
            *(content.content_disposition, content.cache_control),
        ],
    }


def kind_of(blob: BlobProperties) -> str:
    """`BlockBlob`, `AppendBlob` or `PageBlob`."""
    return str(getattr(blob.blob_type, "value", blob.blob_type))


def raises_event(before: Facts | None, blob: BlobProperties) -> bool:
    """Whether Event Grid would tell of a blob in this version.

    Args:
        before: The version seen last, or None for a blob that was not there.
        blob: As it is listed now, with its metadata.
    """
    now = facts_of(blob)
    if before is None or now["created"] != before["created"]:
        return True
    if now["etag"] == before["etag"] or kind_of(blob) != "BlockBlob":
        return False
    if now["size"] != before["size"] or (now["md5"] and before["md5"] and now["md5"] != before["md5"]):
        return True
    return bool(now["properties"] == before["properties"])


class SeenBlobs:
    """The version of each blob that was seen last, kept in a file."""

    def __init__(self, path: Path) -> None:
        """Read what an earlier watcher has left; a file that cannot be read counts as none."""
        self._path = path
        try:
            self._facts: dict[str, Facts] = json.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            self._facts = {}

    def of(self, name: str) -> Facts | None:
        """The version of that blob, or None."""
        return self._facts.get(name)

    def add(self, name: str, facts: Facts) -> None:
        """Remember a version whose event was accepted, or that has none. A crash leaves the former file."""
        self._facts[name] = facts
        unfinished = self._path.with_suffix(".unfinished")
        unfinished.write_text(json.dumps(self._facts), encoding="utf-8")
        unfinished.replace(self._path)

    def keep_only(self, names: set[str]) -> None:
        """Forget blobs that are gone: one of the same name is a new one."""
        for name in self._facts.keys() - names:
            del self._facts[name]
