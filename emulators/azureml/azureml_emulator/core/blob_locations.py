"""Datastore and job-output addresses, and the account, container and path they lead to."""

from __future__ import annotations

import re
from typing import NamedTuple

from azureml_emulator.core.builtin_datastores import BLOB_STORE
from azureml_emulator.core.state import EmulatorState

_PATH = re.compile(
    r"azureml://(?:subscriptions/[^/]+/resourcegroups/[^/]+/(?:providers/[^/]+/)?workspaces/[^/]+/)?"
    r"datastores/(?P<datastore>[^/]+)/paths/(?P<path>.*)",
    re.IGNORECASE,
)


class BlobLocation(NamedTuple):
    """Where bytes are: account, container and blob name or prefix."""

    account: str
    container: str
    path: str


def long_uri(state: EmulatorState, uri: str) -> str:
    """The form in which the service returns a datastore address: with the workspace spelled out."""
    found = _PATH.fullmatch(uri)
    if not found:
        return uri
    settings = state.settings
    return (
        f"azureml://subscriptions/{settings.subscription}/resourceGroups/{settings.resource_group}"
        f"/workspaces/{settings.workspace}/datastores/{found['datastore']}/paths/{found['path']}"
    )


def location_of(state: EmulatorState, uri: str) -> BlobLocation:
    """Where a datastore address leads.

    Raises:
        ValueError: It is not a datastore address.
        LookupError: The workspace has no datastore of that name.
    """
    found = _PATH.fullmatch(uri)
    if not found:
        raise ValueError(uri)
    datastore = state.datastores.get(found["datastore"])
    if datastore is None:
        raise LookupError(found["datastore"])
    properties = datastore.properties
    return BlobLocation(properties["accountName"], properties["containerName"], found["path"])


def output_location(state: EmulatorState, job: str, output: str) -> BlobLocation:
    """Where a job keeps an output: in the default datastore, under its own name."""
    datastore = state.datastores.get(BLOB_STORE)
    assert datastore is not None  # every workspace is born with it
    properties = datastore.properties
    return BlobLocation(properties["accountName"], properties["containerName"], f"azureml/{job}/{output}/")
