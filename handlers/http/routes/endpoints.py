"""Routes about live endpoints."""

from __future__ import annotations

from typing import Any

from handlers.http.request_changes import (
    Extension,
    delete_endpoint,
    extend_endpoint,
)
from handlers.http.requests import read_object
from handlers.http.route import Content, Route, Success
from handlers.http.routes.answers import ASKED, BUSY, RUN_BODY
from handlers.http.score_endpoint import score_endpoint
from shared.domain.serving.score_payload import ScoreMessages, ScorePayload

ENDPOINTS = (
    Route(
        function="score",
        method="POST",
        path="endpoints/{endpoint}/score",
        handle=lambda request, app: score_endpoint(request, app()),
        blocking=False,
        summary="Score",
        description="Azure ML's own payload, or messages in OpenAI's form; the live endpoint answers.",
        tag="endpoints",
        successes={
            200: Success("What the model answered.", (Content((Any,)), Content(media="text/event-stream")))
        },
        errors=(400, 404, 409, 410, 413, 429, 502, 503, 504),
        request=Content((ScoreMessages, ScorePayload)),
    ),
    Route(
        function="extend_endpoint",
        method="POST",
        path="endpoints/{endpoint}/extend",
        handle=lambda request, app: extend_endpoint(
            request.path["endpoint"],
            read_object(request.body),
            limits=app().settings.limits(),
            services=app().services,
        ),
        advances=True,
        summary="Extend an endpoint",
        description="It lives longer, up to ENDPOINT_MAX_LIFETIME_HOURS; until then it may idle.",
        tag="endpoints",
        successes={200: Success("The run with its new time.", (RUN_BODY,))},
        errors=(400, 404, 409, 410, 413, 422, *BUSY),
        request=Content((Extension,)),
    ),
    Route(
        function="delete_endpoint",
        method="DELETE",
        path="endpoints/{endpoint}",
        handle=lambda request, app: delete_endpoint(request.path["endpoint"], app().services),
        advances=True,
        summary="Delete an endpoint",
        description="Deletes the endpoint for good. Repeating the request changes nothing.",
        tag="endpoints",
        successes={202: ASKED},
        errors=(404, 409, 410, *BUSY),
    ),
)
