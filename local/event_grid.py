"""Simulates Event Grid: posts `Microsoft.Storage.BlobCreated` to a webhook for each blob that is created.

Azurite raises no events, so a container is listed instead; `blob_versions` says which changes raise one.
Delivery is at least once: what was delivered is kept in a file, written after the webhook has answered 202.
Switches make the deliveries as bad as Event Grid's may be: repeated, late and out of order, or lost.
"""

import argparse
import logging
import os
import random
import signal
import string
import sys
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
from azure.core.exceptions import AzureError, HttpResponseError
from azure.storage.blob import BlobProperties, ContainerClient, LinearRetry

from local.blob_versions import Facts, SeenBlobs, facts_of, kind_of, raises_event

log = logging.getLogger("event_grid")

STORAGE_SETTING = "EVENT_GRID_STORAGE"
WEBHOOK_SETTING = "EVENT_GRID_WEBHOOK"
FIRST_RETRY_SECONDS = 0.2
LONGEST_RETRY_SECONDS = 10.0

PREFIXES = string.ascii_letters + string.digits + "-_. "
LONGEST_PREFIX = 2
"""Where a listing fails, blobs that begin with each of these characters are listed apart, twice at most."""


@dataclass(frozen=True)
class Troubles:
    """What goes wrong with deliveries.

    Attributes:
        losses: Share of events that are never delivered, from 0 to 1.
        duplicates: Share of events that are delivered twice.
        delay: Most seconds that an event is late; each by another time, so that they come in any order.
    """

    losses: float = 0.0
    duplicates: float = 0.0
    delay: float = 0.0


@dataclass
class Delivery:
    """An event on its way: when it is tried next, and how long after a failure it is tried again."""

    event: dict[str, Any]
    name: str
    facts: Facts
    not_before: float
    pause: float = FIRST_RETRY_SECONDS
    repeat: bool = False


class Watcher:
    """Delivers an event for each blob that is created or overwritten in one container."""

    def __init__(
        self,
        container: ContainerClient,
        webhook: str,
        seen: SeenBlobs,
        client: httpx.Client,
        troubles: Troubles = Troubles(),
        chance: Callable[[], float] = random.random,
    ) -> None:
        """Take the parts.

        Args:
            container: What is watched.
            webhook: Where events are posted, key included.
            seen: What was seen before.
            client: Posts them.
            troubles: What goes wrong.
            chance: A random number in [0, 1).
        """
        self._container = container
        self._webhook = webhook
        self._seen = seen
        self._client = client
        self._troubles = troubles
        self._chance = chance
        self._listed: dict[str, Facts] = {}
        self._under_way: list[Delivery] = []

    def look(self) -> None:
        """List the container once, and deliver what is new and due."""
        blobs, whole = self._blobs("")
        if whole:
            names = {blob.name for blob in blobs}
            self._seen.keep_only(names)
            self._listed = {name: facts for name, facts in self._listed.items() if name in names}
        for blob in blobs:
            self._notice(blob)
        self._under_way = [one for one in self._under_way if not (self._due(one) and self._deliver(one))]

    def _blobs(self, prefix: str) -> tuple[list[BlobProperties], bool]:
        """The blobs of a prefix, and whether they are all.

        Azurite fails to list any blob beside one whose name XML cannot spell (U+FFFE): the others are looked
        for by their first letters.
        """
        try:
            found = self._container.list_blobs(name_starts_with=prefix or None, include=["metadata"])
            return list(found), True
        except AzureError as error:
            log.warning("blobs whose name begins with %r cannot be listed: %s", prefix, error)
            broken = (
                isinstance(error, HttpResponseError) and error.status_code == HTTPStatus.INTERNAL_SERVER_ERROR
            )
            letters = PREFIXES if broken and len(prefix) < LONGEST_PREFIX else ""
            return [blob for letter in letters for blob in self._blobs(prefix + letter)[0]], False

    def _notice(self, blob: BlobProperties) -> None:
        before = self._listed.get(blob.name) or self._seen.of(blob.name)
        facts = self._listed[blob.name] = facts_of(blob)
        if before is not None and before["etag"] == facts["etag"]:
            return
        if not raises_event(before, blob):
            self._settle(blob.name, facts)
        elif self._chance() < self._troubles.losses:
            log.info("%s %s: lost", blob.name, blob.etag)
            self._settle(blob.name, facts)
        else:
            url = self._container.get_blob_client(blob.name).url
            event = blob_created(self._container.container_name, blob, url)
            self._under_way.append(Delivery(event, blob.name, facts, self._late()))
            if self._chance() < self._troubles.duplicates:
                self._under_way.append(Delivery(event, blob.name, facts, self._late(), repeat=True))

    def _settle(self, name: str, facts: Facts) -> None:
        """Remember a version for the next watcher, unless an event of the same blob is still on its way."""
        if all(one.name != name or one.repeat for one in self._under_way):
            self._seen.add(name, facts)

    def _late(self) -> float:
        return time.monotonic() + self._chance() * self._troubles.delay

    @staticmethod
    def _due(delivery: Delivery) -> bool:
        return time.monotonic() >= delivery.not_before

    def _deliver(self, delivery: Delivery) -> bool:
        etag = delivery.facts["etag"]
        try:
            answer = self._client.post(
                self._webhook, json=[delivery.event], headers={"aeg-event-type": "Notification"}
            )
        except httpx.HTTPError as error:
            log.warning("%s: the webhook cannot be reached: %s", delivery.name, error)
        else:
            log.info("%s %s: %d%s", delivery.name, etag, answer.status_code, " again" * delivery.repeat)
            if answer.status_code in {HTTPStatus.OK, HTTPStatus.ACCEPTED}:
                if not delivery.repeat:
                    self._seen.add(delivery.name, delivery.facts)
                return True
        delivery.not_before = time.monotonic() + delivery.pause
        delivery.pause = min(delivery.pause * 2, LONGEST_RETRY_SECONDS)
        return False


def blob_created(container: str, blob: BlobProperties, url: str) -> dict[str, Any]:
    """The event for one version of a blob.

    Source: https://learn.microsoft.com/azure/event-grid/event-schema-blob-storage
    """
    kind = kind_of(blob)
    # Only Put Blob has the service compute an MD5.
    whole = kind != "BlockBlob" or blob.content_settings.content_md5
    return {
        "id": str(uuid.uuid4()),
        "topic": "/subscriptions/local/providers/Microsoft.Storage/storageAccounts/local",
        "subject": f"/blobServices/default/containers/{container}/blobs/{blob.name}",
        "eventType": "Microsoft.Storage.BlobCreated",
        "eventTime": datetime.now(UTC).isoformat(),
        "dataVersion": "",
        "metadataVersion": "1",
        "data": {
            "api": "PutBlob" if whole else "PutBlockList",
            "eTag": str(blob.etag).strip('"'),
            "contentType": blob.content_settings.content_type,
            "contentLength": blob.size,
            "blobType": kind,
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
    add_troubles(parser)
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
        troubles = Troubles(options.event_losses, options.event_duplicates, options.event_delay)
        webhook, seen = os.environ[WEBHOOK_SETTING], SeenBlobs(options.state)
        watcher = Watcher(container, webhook, seen, client, troubles)
        while not over.is_set():
            watcher.look()
            over.wait(options.interval)
    return 0


def add_troubles(parser: argparse.ArgumentParser) -> None:
    """Add the switches that make deliveries bad."""
    parser.add_argument(
        "--event-losses", type=_share, default=0.0, metavar="SHARE", help="of events that are never delivered"
    )
    parser.add_argument(
        "--event-duplicates", type=_share, default=0.0, metavar="SHARE", help="of events that come twice"
    )
    parser.add_argument(
        "--event-delay",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="most that an event is late; each by another time, so that they come in any order",
    )


def switches(options: argparse.Namespace) -> list[str]:
    """The switches of `add_troubles`, as they were given, for another command line."""
    names = ("event_losses", "event_duplicates", "event_delay")
    return [f"--{name.replace('_', '-')}={getattr(options, name)}" for name in names]


def _share(text: str) -> float:
    share = float(text)
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not a share: it must be from 0 to 1")
    return share


if __name__ == "__main__":
    sys.exit(main())
