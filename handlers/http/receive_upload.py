"""Uploads through the app: a file is taken part by part, and the last request opens the run.

A browser cannot reach a storage account without CORS and a token of its own. The app can, and the host has
checked the caller's key. Nothing of an upload is visible before it is complete: one that breaks off opens no
run.
"""

from __future__ import annotations

import re
from typing import Annotated, Any
from urllib.parse import unquote

import msgspec
from msgspec import Meta

from handlers.http.requests import read_object
from handlers.http.responses import Response, json_response
from shared.config import Settings
from shared.domain.errors import InvalidRunError, RequestError
from shared.domain.run.names import (
    COMMIT_MARKER,
    DATASET_NAME_LIMIT,
    OPTIONS_FILE,
    Role,
    is_dataset_name,
    part_of_folder,
    run_id_for,
)
from shared.domain.run.run_json import OPTIONS_LIMIT_BYTES, override_options
from shared.ports import Services

PART_BYTES = 4 * 1024 * 1024
"""The largest part: a worker that takes sixteen at once holds 64 MiB of them."""

_DATA = frozenset({Role.TRAIN, Role.VALIDATION, Role.TEST})
_PART = re.compile(r"[0-9a-f]{16}-[0-9]{5}")

PartId = Annotated[str, Meta(pattern=r"\A[0-9a-f]{16}-[0-9]{5}\Z")]


class ReceivedFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file and the parts that it is made of."""

    name: Annotated[str, Meta(description="`train`, `validation` or `test`, with an ending of JSON Lines.")]
    parts: Annotated[list[PartId], Meta(min_length=1, max_length=50_000, description="In their order.")]


class UploadRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A dataset whose parts have all been sent."""

    files: Annotated[list[ReceivedFile], Meta(min_length=1, max_length=3)]
    options: Annotated[dict[str, Any], Meta(description="What `run.json` is to say.")] = {}


class ReceivedView(msgspec.Struct, frozen=True, kw_only=True):
    """The run that opens."""

    run_id: str
    path: Annotated[str, Meta(description="Of the training file.")]
    removed: Annotated[
        list[str],
        Meta(description="Files of an earlier upload that the run would have used, which are gone."),
    ]


def receive_part(name: str, file: str, part: str, body: bytes, services: Services) -> Response:
    """Take a part of a file; the same part again replaces it.

    Args:
        name: The dataset's, encoded as a path's segment has to be.
        file: `train.jsonl` and the like.
        part: Sixteen hexadecimal digits of the upload, and the part's number.
        body: Its bytes.
        services: The ports.

    Raises:
        RequestError: 400 for names of no dataset, file or part, and for an empty part.
    """
    path = _path_of(_dataset_name(name), file)
    if _PART.fullmatch(part) is None:
        message = f"a part is called by 16 hexadecimal digits, a hyphen and 5 digits, not {part[:40]!r}"
        raise RequestError(400, message, code="InvalidPart")
    if not body:
        raise RequestError(400, "the part is empty", code="EmptyPart")
    services.upload_writer.stage(path, part, body)
    return Response(204, b"")


def complete_upload(
    name: str, body: bytes, *, container: str, settings: Settings, services: Services
) -> Response:
    """Make the parts of a dataset its files, the training file last, which opens the run.

    Options are checked before anything is written. Files of an earlier upload that are not part of this one
    go, since the run would use them.

    Args:
        name: The dataset's, encoded as a path's segment has to be.
        body: `UploadRequest`.
        container: Where uploads are.
        settings: They hold the operator's bounds.
        services: The ports.

    Raises:
        RequestError: 400 for other bodies, 409 if a part is missing.
        InvalidRunError: The options cannot be used.
    """
    dataset = _dataset_name(name)
    try:
        asked = msgspec.convert(read_object(body), UploadRequest)
    except msgspec.ValidationError as fault:
        raise RequestError(
            400, f"the body must name files and their parts: {fault}", code="InvalidUpload"
        ) from fault
    files = {_path_of(dataset, file.name): file.parts for file in asked.files}
    train = [path for path in files if _role_of(path) is Role.TRAIN]
    if len(train) != 1 or len({_role_of(path) for path in files}) != len(asked.files):
        message = "the files must be one train, and one validation and one test at most"
        raise RequestError(400, message, code="InvalidUpload")
    _within(settings, sum(map(len, files.values())))
    options = _checked_options(asked.options, settings)
    removed = _remove_others(dataset, files, services)
    if asked.options:
        services.upload_writer.write(f"{dataset}/{OPTIONS_FILE}", options)
    for path in sorted(files, key=lambda path: _role_of(path) is Role.TRAIN):
        etag = services.upload_writer.commit(path, files[path])
    services.upload_writer.write(f"{dataset}/{COMMIT_MARKER}", b"")
    run_id = run_id_for(container, train[0], etag)
    return json_response(201, ReceivedView(run_id=run_id, path=train[0], removed=removed))


def _checked_options(options: dict[str, Any], settings: Settings) -> bytes:
    text = msgspec.json.format(msgspec.json.encode(options), indent=2)
    if len(text) > OPTIONS_LIMIT_BYTES:
        raise RequestError(
            400, f"the options are over {OPTIONS_LIMIT_BYTES // 1024} KiB", code="InvalidUpload"
        )
    _, problems = override_options(settings.default_options(), text, settings.bounds())
    if problems:
        raise InvalidRunError("; ".join(map(str, problems)), code="InvalidOptions")
    return text


def _within(settings: Settings, parts: int) -> None:
    if (parts - 3) * PART_BYTES > settings.max_dataset_gibibytes * 2**30:
        message = f"the dataset is over {settings.max_dataset_gibibytes} GiB: setting MAX_DATASET_GIBIBYTES"
        raise RequestError(413, message, code="PayloadTooLarge")


def _remove_others(dataset: str, files: dict[str, list[str]], services: Services) -> list[str]:
    removed = []
    for blob in services.uploads.folder(f"{dataset}/"):
        part = part_of_folder(blob.path)
        if part is not None and blob.path not in files:
            services.upload_writer.remove(blob.path)
            removed += [] if part.role is Role.MARKER else [blob.path]
    return sorted(removed)


def _dataset_name(name: str) -> str:
    dataset = unquote(name)
    if not is_dataset_name(dataset):
        message = (
            f"a dataset cannot be called {dataset[:40]!r}: at most {DATASET_NAME_LIMIT} characters, no"
            " control characters, and no folder of dots or spaces alone"
        )
        raise RequestError(400, message, code="UnusableName")
    return dataset


def _path_of(dataset: str, file: str) -> str:
    path = f"{dataset}/{file}"
    if "/" in file or _role_of(path) not in _DATA:
        message = (
            f"{file[:40]!r} is none of train, validation and test, ending in .jsonl, .jsonl.gz or .jsonl.zst"
        )
        raise RequestError(400, message, code="UnusableName")
    return path


def _role_of(path: str) -> Role | None:
    part = part_of_folder(path)
    return part.role if part is not None else None
