"""This installation's name: the blob `installation` in the `coordination` container."""

from __future__ import annotations

import uuid

from azure.core.exceptions import ResourceExistsError
from azure.storage.blob import BlobServiceClient

from shared.adapters.sdk_errors import translated
from shared.adapters.storage.account import COORDINATION
from shared.logs import get_logger

_log = get_logger(__name__)


class BlobInstallation:
    """Tells the resources of this installation from those of another in the same workspace."""

    def __init__(self, service: BlobServiceClient) -> None:
        self._container = service.get_container_client(COORDINATION)
        self._name: str | None = None

    def name(self) -> str:
        """Name this installation: generated once, then kept."""
        if self._name is None:
            blob = self._container.get_blob_client("installation")
            with translated("naming this installation"):
                try:
                    blob.upload_blob(uuid.uuid4().hex.encode(), overwrite=False)
                except ResourceExistsError:
                    _log.debug("the installation has a name")
                self._name = blob.download_blob().readall().decode()
        return self._name
