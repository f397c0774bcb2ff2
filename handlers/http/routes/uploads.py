"""Routes about uploads, and what can be asked before one."""

from __future__ import annotations

from handlers.http.check_rows import RowsQuery, RowsView, check_rows
from handlers.http.create_quote import QuoteAnswer, QuoteRequest, create_quote
from handlers.http.list_uploads import IgnoredUploadsView, UploadQuery, list_uploads
from handlers.http.receive_upload import (
    PART_BYTES,
    ReceivedView,
    UploadRequest,
    complete_upload,
    receive_part,
)
from handlers.http.route import Content, Route, Success
from handlers.http.routes.answers import BUSY
from handlers.http.show_preflight import PreflightView, RunJson, show_preflight

UPLOADS_CONTAINER = "uploads"

UPLOADS = (
    Route(
        function="preflight",
        method="POST",
        path="preflight",
        handle=lambda request, app: show_preflight(request.body or b"{}", app().settings, app().services),
        summary="Check a run's options",
        description="Takes what a `run.json` would hold and makes the checks of a run before its job: the "
        "operator's bounds, base model, VM sizes, quota, parameters. Nothing is created.",
        tag="runs",
        successes={200: Success("A run with these options would be accepted.", (Content((PreflightView,)),))},
        errors=(400, 413, 422, *BUSY),
        request=Content((RunJson,)),
        body_optional=True,
    ),
    Route(
        function="create_quote",
        method="POST",
        path="quotes",
        handle=lambda request, app: create_quote(request.body or b"{}", app().settings, app().services),
        summary="Estimate a run",
        description="What a run of so many tokens and rows with these options would take and cost, by the "
        "jobs of earlier runs and known prices, and whether it may cost that. Nothing is created.",
        tag="runs",
        successes={200: Success("The estimate.", (Content((QuoteAnswer,)),))},
        errors=(400, 413, 422, 502, *BUSY),
        request=Content((QuoteRequest,)),
    ),
    Route(
        function="list_uploads",
        method="GET",
        path="uploads",
        handle=lambda request, app: list_uploads(request.query, app().services),
        summary="List uploads that open no run",
        description="With `ignored=true`, each with its reason and a remedy. One that was mended or deleted "
        "goes from the list within 15 minutes.",
        tag="runs",
        successes={200: Success("The uploads.", (Content((IgnoredUploadsView,)),))},
        errors=(400, *BUSY),
        query=UploadQuery,
    ),
    Route(
        function="check_rows",
        method="POST",
        path="uploads/check",
        handle=lambda request, app: check_rows(request.body, request.query, app().settings),
        summary="Check rows",
        description="What validation will say of a dataset that begins with these rows, JSON Lines. Nothing "
        "is kept. `POST /api/preflight` says the same of the options.",
        tag="runs",
        successes={200: Success("What was found.", (Content((RowsView,)),))},
        errors=(400, 413, *BUSY),
        query=RowsQuery,
        request=Content(media="application/octet-stream"),
    ),
    Route(
        function="receive_part",
        method="PUT",
        path="uploads/{name}/{file}/{part}",
        handle=lambda request, app: receive_part(
            request.path["name"], request.path["file"], request.path["part"], request.body, app().services
        ),
        summary="Send a part of a file",
        description="At most 4 MiB. A slash in the dataset's name is `%2F`, the file `train.jsonl`, "
        "`validation.jsonl.gz` and the like, the part 16 hexadecimal digits, the same for the whole upload, "
        "a hyphen and 5 digits. It is invisible until the upload is completed.",
        tag="runs",
        successes={204: Success("It is kept.")},
        errors=(400, 413, *BUSY),
        request=Content(media="application/octet-stream"),
        body_limit=PART_BYTES,
    ),
    Route(
        function="complete_upload",
        method="POST",
        path="uploads/{name}",
        handle=lambda request, app: complete_upload(
            request.path["name"],
            request.body,
            container=UPLOADS_CONTAINER,
            settings=app().settings,
            services=app().services,
        ),
        summary="Complete an upload",
        description="Makes the parts that were sent files of the dataset, and its options its `run.json`. "
        "That opens a run. Files of an earlier upload of that name that are not among these are deleted.",
        tag="runs",
        successes={201: Success("The run opens in a moment.", (Content((ReceivedView,)),))},
        errors=(400, 409, 413, 422, *BUSY),
        request=Content((UploadRequest,)),
    ),
)
