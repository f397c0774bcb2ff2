"""Concurrency slots: `slots/<kind>` in the container `coordination` lists the holders, one run id a line."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from azure.core import MatchConditions
from azure.core.exceptions import ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.storage.blob import BlobServiceClient

from shared.adapters.sdk_errors import translated
from shared.adapters.storage.account import COORDINATION, NOTE_LIMIT_BYTES, read_bounded
from shared.domain.run.slot_kind import Reservation, SlotKind
from shared.ports import SlotHolders


class BlobSlots:
    """One blob for each kind of slot, replaced as a whole under its ETag."""

    def __init__(self, service: BlobServiceClient) -> None:
        self._container = service.get_container_client(COORDINATION)

    def holders(self, kind: SlotKind | Reservation) -> SlotHolders:
        """See `Slots.holders`."""
        with translated(f"reading the holders of {kind} slots"):
            try:
                download = self._container.get_blob_client(f"slots/{kind}").download_blob()
            except ResourceNotFoundError:
                return SlotHolders(frozenset(), None)
            # Anything in the blob that is not a run id is ignored, and removed by the next write.
            text = (read_bounded(download, NOTE_LIMIT_BYTES) or b"").decode(errors="replace")
        return SlotHolders(frozenset(text.split()), str(download.properties.etag))

    def replace(self, kind: SlotKind | Reservation, runs: Iterable[str], etag: str | None) -> bool:
        """See `Slots.replace`."""
        blob = self._container.get_blob_client(f"slots/{kind}")
        body = "".join(f"{run_id}\n" for run_id in sorted(runs)).encode()
        condition: dict[str, Any] = {}
        if etag is not None:
            condition = {"etag": etag, "match_condition": MatchConditions.IfNotModified}
        with translated(f"replacing the holders of {kind} slots"):
            try:
                blob.upload_blob(body, overwrite=etag is not None, **condition)
            except (ResourceExistsError, ResourceModifiedError):
                return False
        return True
