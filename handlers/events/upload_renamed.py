"""Handle Event Grid's events of renames, which only accounts with a hierarchical namespace raise.

Many Data Lake clients write under another name, and rename the file or its folder when it is whole. No
`BlobCreated` comes for the new name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from shared.config import Settings
from shared.domain.run.names import Role
from shared.ports import Services
from shared.workflow.open_run import take_upload

BLOB_RENAMED = "Microsoft.Storage.BlobRenamed"
DIRECTORY_RENAMED = "Microsoft.Storage.DirectoryRenamed"
"""Source: "Azure Blob Storage as an Event Grid source"; `data.destinationUrl` is the new address."""


def handle_upload_renamed(
    event_type: str | None, data: Any, *, container: str, settings: Settings, services: Services
) -> list[str]:
    """Open the run of the dataset that a file or a folder has become; see `take_upload`.

    Returns:
        The runs to advance; none for any other event.
    """
    if event_type not in {BLOB_RENAMED, DIRECTORY_RENAMED} or not isinstance(data, Mapping):
        return []
    url = data.get("destinationUrl")
    if not isinstance(url, str):
        return []
    _, _, path = urlsplit(url).path.partition(f"/{container}/")
    path = unquote(path).strip("/")
    if not path:
        return []
    if event_type == DIRECTORY_RENAMED:
        # Whatever its training file is called: the folder is listed.
        path = f"{path}/{Role.TRAIN}.jsonl"
    return take_upload(path, container=container, settings=settings, services=services)
