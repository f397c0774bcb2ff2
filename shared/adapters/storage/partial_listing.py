"""List a container that has a blob which the service cannot list: the others beside it are still found.

Azurite answers 500 to every listing with a name that XML cannot spell, such as U+FFFE; storage in Azure
encodes such names (https://learn.microsoft.com/rest/api/storageservices/list-blobs). Whoever may upload must
not be able to hide the uploads of everybody else.
"""

from __future__ import annotations

import string
from collections.abc import Iterator
from http import HTTPStatus

from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobProperties, ContainerClient

CHARACTERS = sorted(string.ascii_letters + string.digits + " !-_./")
"""Where a listing fails, blobs that begin with each of these are listed apart, in order of their names."""

LONGEST_PREFIX = 2
"""Blobs of one folder are never listed apart: half a dataset would pass for a whole one."""


def list_around_faults(
    container: ContainerClient, *, page: int, unlisted: list[str], prefix: str = "", after: str = ""
) -> Iterator[BlobProperties]:
    """The blobs in order of their names, but those that share their first characters with an unlistable one.

    Args:
        container: Where they are.
        page: Blobs of one request.
        unlisted: Is appended the prefixes of which some or all blobs are left out.
        prefix: Only blobs that begin with it.
        after: Only blobs behind this name.

    Raises:
        AzureError: For any other fault than a 500.
    """
    last = after
    try:
        listed = container.list_blobs(
            name_starts_with=prefix or None, include=["metadata"], results_per_page=page
        )
        for blob in listed:
            if blob.name > after:
                last = blob.name
                yield blob
    except HttpResponseError as fault:
        if fault.status_code != HTTPStatus.INTERNAL_SERVER_ERROR:
            raise
        unlisted.append(prefix)
        if len(prefix) < LONGEST_PREFIX:
            for character in CHARACTERS:
                yield from list_around_faults(
                    container, page=page, unlisted=unlisted, prefix=prefix + character, after=last
                )
