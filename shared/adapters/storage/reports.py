"""Validation reports in the `reports` container: `<run_id>/report.json` and `report.html`."""

from __future__ import annotations

from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import BlobServiceClient, ContentSettings

from shared.adapters.sdk_errors import translated
from shared.adapters.storage.account import REPORTS, read_bounded
from shared.domain.errors import CorruptRunError

REPORT_LIMIT_BYTES = 32 * 1024 * 1024
"""The longest report that is read: its lists have caps, so that the app writes none of a tenth of this."""


class BlobReports:
    """One folder a run."""

    def __init__(self, service: BlobServiceClient) -> None:
        self._container = service.get_container_client(REPORTS)

    def save(self, run_id: str, *, json: bytes, html: str) -> None:
        """See `Reports.save`."""
        with translated(f"storing the report of {run_id}"):
            self._put(f"{run_id}/report.json", json, "application/json")
            self._put(f"{run_id}/report.html", html.encode(), "text/html; charset=utf-8")

    def load(self, run_id: str, *, html: bool) -> bytes | None:
        """See `Reports.load`."""
        name = f"{run_id}/report.{'html' if html else 'json'}"
        with translated(f"reading the report of {run_id}"):
            try:
                report = read_bounded(
                    self._container.get_blob_client(name).download_blob(), REPORT_LIMIT_BYTES
                )
            except ResourceNotFoundError:
                return None
        if report is None:
            raise CorruptRunError(f"the report of {run_id} is over {REPORT_LIMIT_BYTES // 2**20} MiB")
        return report

    def _put(self, name: str, body: bytes, content_type: str) -> None:
        self._container.get_blob_client(name).upload_blob(
            body,
            overwrite=True,
            content_settings=ContentSettings(content_type=content_type),
        )
