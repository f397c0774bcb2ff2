"""How the data account is reached."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from shared.domain.fields import Problem

DATA_CONNECTION = "TrainingStorage"
"""Prefix of the data account's connection settings, as the blob and queue triggers name it."""


class StorageConnection(msgspec.Struct, frozen=True):
    """How to reach the data account: a connection string, or the services' addresses with an identity."""

    connection_string: str | None = None
    blob_service_uri: str | None = None
    queue_service_uri: str | None = None


def read_storage(environment: Mapping[str, str]) -> tuple[StorageConnection, list[Problem]]:
    """Read the connection settings.

    Args:
        environment: Usually `os.environ`.

    Returns:
        The connection, and what is wrong with the settings.
    """
    problems = []
    text = environment.get(DATA_CONNECTION, "").strip()
    address = environment.get(f"{DATA_CONNECTION}__blobServiceUri", "").strip()
    if not text and not address:
        message = "is missing: set a connection string, or TrainingStorage__blobServiceUri"
        problems.append(Problem(DATA_CONNECTION, message))
    if address and not re.match(r"^https?://[^/]+", address):
        problems.append(Problem(f"{DATA_CONNECTION}__blobServiceUri", "must be an http(s) address"))
    queues = environment.get(f"{DATA_CONNECTION}__queueServiceUri", "").strip()
    if address and not text and not queues:
        message = "is missing: the app queues uploads and notifications there"
        problems.append(Problem(f"{DATA_CONNECTION}__queueServiceUri", message))
    connection = StorageConnection(
        connection_string=text or None,
        blob_service_uri=address or None,
        queue_service_uri=queues or None,
    )
    return connection, problems
