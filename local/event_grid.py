"""Plays Event Grid: posts `Microsoft.Storage.BlobCreated` to a webhook for each blob that appears.

Azurite raises no events, so a container is listed instead. Delivery is at least once: what was delivered is
kept in a file, written after the webhook has answered 202.
"""

import argparse
import json
import logging
import os
import signal
import string
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
from azure.core.exceptions import AzureError, HttpResponseError
from azure.storage.blob import BlobProperties, ContainerClient, LinearRetry

log = logging.getLogger("event_grid")

STORAGE_SETTING = "EVENT_GRID_STORAGE"
WEBHOOK_SETTING = "EVENT_GRID_WEBHOOK"
FIRST_RETRY_SECONDS = 0.2
LONGEST_RETRY_SECONDS = 10.0

PREFIXES = string.ascii_letters + string.digits + "-_. "
LONGEST_PREFIX = 2
"""Where a listing fails, blobs that begin with each of these characters are listed apart, twice at most."""


class DeliveredEvents:
    """Which version of which blob the webhook has accepted, kept in a file."""

    def __init__(self, path: Path) -> None:
        """Read what an earlier watcher has left; a file that cannot be read counts as none."""
        self._path = path
        try:
            self._etags: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            self._etags = {}

    def __contains__(self, blob: BlobProperties) -> bool:
        return self._etags.get(blob.name) == blob.etag

    def add(self, blob: BlobProperties) -> None:
        """Remember a delivery. A crash in the middle leaves the former file."""
        self._etags[blob.name] = str(blob.etag)
        unfinished = self._path.with_suffix(".unfinished")
        unfinished.write_text(json.dumps(self._etags), encoding="utf-8")
        unfinished.replace(self._path)


class Watcher:
    """Delivers an event for each new version of each blob in one container."""

    def __init__(
        self, container: ContainerClient, webhook: str, delivered: DeliveredEvents, client: httpx.Client
    ) -> None:
        """Take the parts.

        Args:
            container: What is watched.
            webhook: Where events are posted, key included.
            delivered: What has been delivered before.
            client: Posts them.
        """
        self._container = container
        self._webhook = webhook
        self._delivered = delivered
        self._client = client
        self._retries: dict[tuple[str, str], tuple[float, float]] = {}

    def look(self) -> None:
        """List the container once and deliver what is new and due."""
        for blob in self._new_blobs():
            key = (blob.name, str(blob.etag))
            not_before, delay = self._retries.get(key, (0.0, FIRST_RETRY_SECONDS))
            if time.monotonic() < not_before:
                continue
            if self._deliver(blob):
                self._delivered.add(blob)
                self._retries.pop(key, None)
            else:
                self._retries[key] = (time.monotonic() + delay, min(delay * 2, LONGEST_RETRY_SECONDS))

    def _new_blobs(self) -> Iterator[BlobProperties]:
        yield from (blob for blob in self._listed("") if blob not in self._delivered)

    def _listed(self, prefix: str) -> Iterator[BlobProperties]:
        """The blobs of a prefix; Azurite fails to list any beside one whose name XML cannot spell."""
        try:
            yield from list(self._container.list_blobs(name_starts_with=prefix or None))
        except HttpResponseError as error:
            log.warning("blobs beginning with %r cannot be listed together: %s", prefix, error.reason)
            if error.status_code == HTTPStatus.INTERNAL_SERVER_ERROR and len(prefix) < LONGEST_PREFIX:
                for character in PREFIXES:
                    yield from self._listed(prefix + character)
        except AzureError as error:
            log.warning("the container cannot be listed: %s", error)

    def _deliver(self, blob: BlobProperties) -> bool:
        url = self._container.get_blob_client(blob.name).url
        try:
            answer = self._client.post(
                self._webhook,
                json=[blob_created(self._container.container_name, blob, url)],
                headers={"aeg-event-type": "Notification"},
            )
        except httpx.HTTPError as error:
            log.warning("%s: the webhook cannot be reached: %s", blob.name, error)
            return False
        log.info("%s %s: %d", blob.name, blob.etag, answer.status_code)
        return answer.status_code in {HTTPStatus.OK, HTTPStatus.ACCEPTED}


def blob_created(container: str, blob: BlobProperties, url: str) -> dict[str, Any]:
    """The event for one version of a blob.

    Source: https://learn.microsoft.com/azure/event-grid/event-schema-blob-storage
    """
    return {
        "id": str(uuid.uuid4()),
        "topic": "/subscriptions/local/providers/Microsoft.Storage/storageAccounts/local",
        "subject": f"/blobServices/default/containers/{container}/blobs/{blob.name}",
        "eventType": "Microsoft.Storage.BlobCreated",
        "eventTime": datetime.now(UTC).isoformat(),
        "dataVersion": "",
        "metadataVersion": "1",
        "data": {
            "api": "PutBlob",
            "eTag": str(blob.etag).strip('"'),
            "contentType": blob.content_settings.content_type,
            "contentLength": blob.size,
            "blobType": "BlockBlob",
            "url": url,
        },
    }


def main(arguments: list[str] | None = None) -> int:
    """Watch until a signal."""
    parser = argparse.ArgumentParser(
        "python -m local.event_grid",
        description="Post BlobCreated events for new blobs to a webhook, as Event Grid does.",
        epilog=f"{STORAGE_SETTING} holds the connection string, {WEBHOOK_SETTING} the address with its key.",
    )
    parser.add_argument("--container", default="uploads", help="what to watch (default: %(default)s)")
    parser.add_argument("--state", type=Path, required=True, help="file that remembers what was delivered")
    parser.add_argument(
        "--interval", type=float, default=0.2, help="seconds between looks (default: %(default)s)"
    )
    options = parser.parse_args(arguments)
    missing = [name for name in (STORAGE_SETTING, WEBHOOK_SETTING) if not os.environ.get(name)]
    if missing:
        parser.error(f"the environment lacks {', '.join(missing)}")
    logging.basicConfig(level="INFO", format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    for chatty in ("azure", "httpx"):
        logging.getLogger(chatty).setLevel("WARNING")
    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    with (
        ContainerClient.from_connection_string(
            os.environ[STORAGE_SETTING], options.container, retry_policy=LinearRetry(backoff=1, retry_total=1)
        ) as container,
        httpx.Client(timeout=10, trust_env=False) as client,
    ):
        watcher = Watcher(container, os.environ[WEBHOOK_SETTING], DeliveredEvents(options.state), client)
        while not over.is_set():
            watcher.look()
            over.wait(options.interval)
    return 0


if __name__ == "__main__":
    sys.exit(main())
