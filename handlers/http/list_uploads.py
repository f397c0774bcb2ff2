"""`GET /api/uploads?ignored=true`: the uploads that open no run, and what to do about each."""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from handlers.http.responses import Response, json_response
from shared.domain.errors import RequestError
from shared.domain.fields import convert_fields
from shared.domain.run.ignored import IgnoredReason, IgnoredUpload, explain
from shared.ports import Services


class UploadQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which uploads to list."""

    ignored: Annotated[bool, Meta(description="`true`; every other upload has a run, see `GET /api/runs`.")]
    limit: Annotated[int, Meta(ge=1, le=1000, description="Most uploads of the answer.")] = 100


class IgnoredUploadView(msgspec.Struct, frozen=True, kw_only=True):
    """A blob of the uploads container that opens no run."""

    path: str
    etag: str
    size: int
    reason: IgnoredReason
    detail: Annotated[str, Meta(description="The reason as a sentence.")]
    remedy: Annotated[str, Meta(description="What to do about it.")]
    noticed_at: datetime


class IgnoredUploadsView(msgspec.Struct, frozen=True, kw_only=True):
    """Uploads that open no run, those noticed last first."""

    uploads: list[IgnoredUploadView]
    more: Annotated[int, Meta(ge=0, description="How many there are beyond `limit`.")]


def list_uploads(query: Mapping[str, str], services: Services) -> Response:
    """List the uploads that open no run.

    Args:
        query: The fields of `UploadQuery`, as text; others mean nothing.
        services: The ports.

    Raises:
        RequestError: 400 for a query that means nothing, or that does not ask for ignored uploads.
    """
    converted, problems = convert_fields(UploadQuery, query, strict=False)
    if problems:
        name, message = problems[0]
        raise RequestError(400, f"{name}: {message}", code=f"Invalid{name.capitalize()}")
    if not converted.get("ignored"):
        raise RequestError(
            400,
            "ignored: must be true; every other upload has a run, and GET /api/runs lists those",
            code="InvalidIgnored",
        )
    asked = UploadQuery(**converted)
    kept = list(services.ignored_uploads.entries())
    newest = heapq.nlargest(asked.limit, kept, key=lambda upload: (upload.noticed, upload.path))
    view = IgnoredUploadsView(uploads=list(map(_view, newest)), more=len(kept) - len(newest))
    return json_response(200, view)


def _view(upload: IgnoredUpload) -> IgnoredUploadView:
    detail, remedy = explain(upload.path, upload.reason)
    return IgnoredUploadView(
        path=upload.path,
        etag=upload.etag,
        size=upload.size,
        reason=upload.reason,
        detail=detail,
        remedy=remedy,
        noticed_at=upload.noticed,
    )
