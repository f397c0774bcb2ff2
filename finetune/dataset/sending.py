"""Sending a dataset to the uploads container, options and companions first, training last."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from azure.core.exceptions import AzureError
from azure.storage.blob import BlobServiceClient, ContainerClient

from finetune.dataset.source import Source
from shared.domain.dataset import Split
from shared.domain.run.names import (
    DATASET_NAME_LIMIT,
    OPTIONS_FILE,
    Role,
    parse_upload,
    part_of_folder,
    run_id_for,
)

UPLOADS = "uploads"
_BLOCK = 8 * 1024 * 1024  # bytes; four on their way at once keep memory at about 32 MiB
_PARALLEL = 4

Sent = Callable[[str, int, int], None]  # file, bytes sent so far, of how many


class UploadError(Exception):
    """The dataset could not be sent."""

    retryable = False


class NameUnusableError(UploadError):
    """The cloud takes no dataset of that name."""


class Uploaded(NamedTuple):
    """What was sent: the training file's path in the container, and the run that it opens."""

    path: str
    run_id: str


def blob_service(connection_string: str | None, account_url: str | None) -> BlobServiceClient:
    """Open the storage account; an address uses the login of this machine.

    Raises:
        UploadError: The address or connection string cannot be read.
    """
    sizes: dict[str, Any] = {"max_block_size": _BLOCK, "max_single_put_size": _BLOCK}
    try:
        if connection_string:
            return BlobServiceClient.from_connection_string(connection_string, **sizes)
        from azure.identity import DefaultAzureCredential

        return BlobServiceClient(account_url or "", credential=DefaultAzureCredential(), **sizes)
    except ValueError as error:
        raise UploadError(f"the address or connection string cannot be used: {error}") from error


def upload_path(source: Source, name: str, options: Mapping[str, Any]) -> str:
    """Where the training file goes: into a folder if anything goes with it.

    Raises:
        NameUnusableError: No run would open for a file of that name.
    """
    suffix = source.files[Split.TRAIN].suffix
    in_folder = len(source.files) > 1 or options
    path = f"{name}/{Split.TRAIN}{suffix}" if in_folder else f"{name}{suffix}"
    upload = parse_upload(path)
    if upload is None or upload.dataset != name:
        raise NameUnusableError(
            f"a dataset cannot be called {name!r}: choose a --name of at most {DATASET_NAME_LIMIT}"
            " characters, not of dots and spaces alone, without slashes and control characters"
        )
    return path


def send_source(
    service: BlobServiceClient,
    source: Source,
    name: str,
    options: Mapping[str, Any],
    *,
    replace: bool,
    sent: Sent,
) -> Uploaded:
    """Upload a dataset so that exactly one run opens, with all its companions in place.

    Args:
        service: The storage account.
        source: The dataset.
        name: Its name in the cloud.
        options: What goes into `run.json`; nothing is written if it is empty.
        replace: Delete companions of an earlier upload of that name, which this run would otherwise use.
        sent: Told about progress.

    Raises:
        UploadError: Storage said no, or companions of an earlier upload are in the way.
    """
    container = service.get_container_client(UPLOADS)
    path = upload_path(source, name, options)
    companions = {
        f"{name}/{split}{file.suffix}": file.path
        for split, file in source.files.items()
        if split is not Split.TRAIN
    }
    try:
        stale = _stale(container, name, companions, options)
        if stale and not replace:
            raise UploadError(
                f"{', '.join(stale)} of an earlier upload would be used for this run;"
                " choose another --name, or --replace to delete them"
            )
        for blob in stale:
            container.delete_blob(blob)
        if options:
            container.upload_blob(f"{name}/{OPTIONS_FILE}", json.dumps(options, indent=2), overwrite=True)
        for blob, file in companions.items():
            _send(container, blob, file, sent)
        etag = _send(container, path, source.files[Split.TRAIN].path, sent)
    except AzureError as error:
        raise UploadError(f"storage refused the upload: {error}") from error
    return Uploaded(path, run_id_for(UPLOADS, path, etag))


def _stale(
    container: ContainerClient, name: str, companions: Mapping[str, Path], options: Mapping[str, Any]
) -> list[str]:
    """Blobs that this run would pick up although they are not part of this upload."""
    if not companions and not options:
        return []
    others = {Role.VALIDATION, Role.TEST} if options else {Role.VALIDATION, Role.TEST, Role.OPTIONS}
    stale = []
    for blob in container.list_blob_names(name_starts_with=f"{name}/"):
        part = part_of_folder(blob)
        if part and part.folder == f"{name}/" and part.role in others and blob not in companions:
            stale.append(blob)
    return sorted(stale)


def _send(container: ContainerClient, path: str, file: Path, sent: Sent) -> str:
    size = file.stat().st_size
    sent(path, 0, size)
    blob = container.get_blob_client(path)
    with file.open("rb") as stream:
        answer = blob.upload_blob(
            stream,
            length=size,
            overwrite=True,
            max_concurrency=_PARALLEL,
            progress_hook=lambda done, _total: sent(path, done, size),
        )
    sent(path, size, size)
    return str(answer["etag"])
