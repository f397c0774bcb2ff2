"""Current models of datasets: `current/<digest of the name>` in the container `coordination`.

The blob has the history; its metadata have the dataset and the runs that hold its name, so that one listing
tells what every name means.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote

import msgspec
from azure.core import MatchConditions
from azure.core.exceptions import ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.storage.blob import BlobClient, BlobServiceClient

from shared.adapters.sdk_errors import translated
from shared.adapters.storage.account import COORDINATION, NOTE_LIMIT_BYTES, read_bounded
from shared.domain.errors import CorruptRunError
from shared.domain.run.current_model import STACK_LISTED, CurrentModel, NameMeaning
from shared.domain.run.names import is_run_id
from shared.ports import StoredCurrent

_PREFIX = "current/"
_SHARES = frozenset(map(str, range(1, 101)))


class BlobCurrentModels:
    """One blob for each dataset that a model was ever promoted of."""

    def __init__(self, service: BlobServiceClient) -> None:
        self._container = service.get_container_client(COORDINATION)

    def load(self, dataset: str) -> StoredCurrent | None:
        """See `CurrentModels.load`."""
        with translated(f"reading the current model of {dataset}"):
            try:
                download = self._blob(dataset).download_blob()
            except ResourceNotFoundError:
                return None
            body = read_bounded(download, NOTE_LIMIT_BYTES)
        try:
            model = msgspec.json.decode(body or b"", type=CurrentModel)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as fault:
            raise CorruptRunError(f"the current model of {dataset} cannot be read: {fault}") from fault
        return StoredCurrent(model, str(download.properties.etag))

    def replace(self, model: CurrentModel, etag: str | None) -> bool:
        """See `CurrentModels.replace`."""
        condition: dict[str, Any] = {}
        if etag is not None:
            condition = {"etag": etag, "match_condition": MatchConditions.IfNotModified}
        metadata = {
            "dataset": quote(model.dataset, safe=""),
            "stack": ",".join(model.stack[:STACK_LISTED]) or "-",
            "canary": f"{model.canary.run_id},{model.canary.share}" if model.canary is not None else "-",
        }
        with translated(f"switching the current model of {model.dataset}"):
            try:
                self._blob(model.dataset).upload_blob(
                    msgspec.json.encode(model), overwrite=etag is not None, metadata=metadata, **condition
                )
            except (ResourceExistsError, ResourceModifiedError):
                return False
        return True

    def names(self) -> Mapping[str, NameMeaning]:
        """See `CurrentModels.names`."""
        found: dict[str, NameMeaning] = {}
        with translated("listing the current models"):
            for blob in self._container.list_blobs(name_starts_with=_PREFIX, include=["metadata"]):
                facts = {name.lower(): value for name, value in (blob.metadata or {}).items()}
                if "dataset" in facts:
                    stack = tuple(filter(is_run_id, facts.get("stack", "").split(",")))
                    canary, _, share = facts.get("canary", "").partition(",")
                    known = is_run_id(canary) and share in _SHARES
                    found[unquote(facts["dataset"])] = (
                        NameMeaning(stack, canary, int(share)) if known else NameMeaning(stack)
                    )
        return found

    def _blob(self, dataset: str) -> BlobClient:
        digest = hashlib.sha256(dataset.encode("utf-8", "surrogatepass")).hexdigest()[:32]
        return self._container.get_blob_client(f"{_PREFIX}{digest}")
