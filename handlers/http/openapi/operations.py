"""Every route of the API. A test holds this list against the triggers."""

from __future__ import annotations

from typing import Any

from handlers.http.health import Health
from handlers.http.list_runs import RunQuery
from handlers.http.openai.models import Model, ModelList
from handlers.http.openapi import examples, run_examples
from handlers.http.openapi.chat_request import ChatCompletionBody
from handlers.http.openapi.operation import AuthScheme, Content, Operation, Success
from handlers.http.request_changes import Extension, StartOverrides
from handlers.http.run_views import RunPageView, RunView
from handlers.http.score_endpoint import ScoreMessages, ScorePayload
from shared.domain.dataset import DatasetReport
from shared.domain.serving.openai_reply import ChatCompletion

ETAG = {"ETag": "Of what the answer says, for `If-None-Match`; the clock alone does not change it."}
_KNOWN = Success("The copy that `If-None-Match` names says the same.", headers=ETAG)
_IF_NONE_MATCH = {"If-None-Match": "ETag of the copy that you have."}
_ASKED_RUN = Content((RunView,), {"run": run_examples.ASKED_RUN})
_RUN = Success("The run.", (Content((RunView,), {"run": run_examples.RUN}),), ETAG)
_ASKED = Success("It is on the record, and will be done.", (_ASKED_RUN,))
_BUSY = (503,)

RUNS = (
    Operation(
        "list_runs",
        "get",
        "/runs",
        "List runs",
        "In order of their id. A filter that matches little may answer an empty page with a `next`.",
        "runs",
        {200: Success("A page.", (Content((RunPageView,), {"page": examples.RUN_PAGE}),), ETAG), 304: _KNOWN},
        (400, *_BUSY),
        query=RunQuery,
        headers=_IF_NONE_MATCH,
    ),
    Operation(
        "get_run",
        "get",
        "/runs/{id}",
        "Show a run",
        "Stages with their times, report in short, metrics, model, smoke test, endpoint, error, money.",
        "runs",
        {200: _RUN, 304: _KNOWN},
        (404, 409, *_BUSY),
        headers=_IF_NONE_MATCH,
    ),
    Operation(
        "get_report",
        "get",
        "/runs/{id}/report",
        "Show a dataset report",
        "What dataset validation found, line by line: JSON, or a page for browsers, by `Accept`.",
        "runs",
        {
            200: Success(
                "The report.",
                (Content((DatasetReport,), {"rejected": run_examples.REPORT}), Content(media="text/html")),
            )
        },
        (404, 409, *_BUSY),
    ),
    Operation(
        "cancel_run",
        "post",
        "/runs/{id}/cancel",
        "Cancel a run",
        "Stops it and takes away everything of it that costs money. Asking twice is asking once.",
        "runs",
        {202: _ASKED},
        (404, 409, *_BUSY),
    ),
    Operation(
        "start_run",
        "post",
        "/runs/{id}/start",
        "Start a stopped run",
        "Deploys its model again, without training; what the body names overrides the run's options.",
        "runs",
        {
            202: Success(
                "It will be deployed.",
                (Content((RunView,), {"run": run_examples.ASKED_RUN}),),
            ),
        },
        (400, 404, 409, 413, 422, *_BUSY),
        request=Content((StartOverrides,), {"bigger": examples.START, "as it was": {}}),
    ),
    Operation(
        "retry_run",
        "post",
        "/runs/{id}/retry",
        "Retry a run",
        "Has a suspended or waiting run looked at again, now.",
        "runs",
        {
            202: Success(
                "It will be looked at.",
                (
                    Content(
                        (RunView, dict[str, str]),
                        {"run": run_examples.ASKED_RUN, "unreadable": {"run_id": run_examples.RUN_ID}},
                    ),
                ),
            )
        },
        (404, 409, *_BUSY),
    ),
)

ENDPOINTS = (
    Operation(
        "score",
        "post",
        "/endpoints/{endpoint}/score",
        "Score",
        "Straight through to the live endpoint; the answer is the model's own.",
        "endpoints",
        {200: Success("What the model answered.", (Content((Any,), {"reply": examples.SCORED}),))},
        (400, 404, 409, 410, 413, 429, 502, 503, 504),
        request=Content(
            (ScoreMessages, ScorePayload), {"short": examples.SCORE_SHORT, "azure": examples.SCORE_AZURE}
        ),
    ),
    Operation(
        "extend_endpoint",
        "post",
        "/endpoints/{endpoint}/extend",
        "Extend an endpoint",
        "Lets it live longer, up to ENDPOINT_MAX_LIFETIME_HOURS; until then it may idle, too.",
        "endpoints",
        {200: Success("The run with its new time.", (_ASKED_RUN,))},
        (400, 404, 409, 413, 422, *_BUSY),
        request=Content((Extension,), {"four hours": examples.EXTENSION}),
    ),
    Operation(
        "delete_endpoint",
        "delete",
        "/endpoints/{endpoint}",
        "Delete an endpoint",
        "Before its time. Asking twice is asking once.",
        "endpoints",
        {202: _ASKED},
        (404, 409, *_BUSY),
    ),
)

OPENAI = (
    Operation(
        "chat_completions",
        "post",
        "/v1/chat/completions",
        "Create a chat completion",
        "OpenAI's form. A parameter that cannot be honoured is refused by its name. With `stream` the events "
        "come all at once, when the reply is there. `usage` is there only if the endpoint counted tokens.",
        "openai",
        {
            200: Success(
                "The reply.",
                (
                    Content((ChatCompletion,), {"reply": examples.COMPLETION}),
                    Content((), {"events": examples.EVENTS}, "text/event-stream"),
                ),
            ),
        },
        (400, 404, 409, 410, 413, 429, 502, 503, 504),
        auth=AuthScheme.OWN,
        request=Content((ChatCompletionBody,), {"reply": examples.CHAT, "stream": examples.CHAT_STREAM}),
    ),
    Operation(
        "list_models",
        "get",
        "/v1/models",
        "List live models",
        "Each live endpoint by its name, and each dataset's newest by the dataset's.",
        "openai",
        {200: Success("The models.", (Content((ModelList,), {"models": examples.MODELS}),))},
        _BUSY,
        auth=AuthScheme.OWN,
    ),
    Operation(
        "get_model",
        "get",
        "/v1/models/{model}",
        "Show a live model",
        "By its endpoint's name or its dataset's.",
        "openai",
        {200: Success("The model.", (Content((Model,), {"model": examples.MODEL}),))},
        (404, *_BUSY),
        auth=AuthScheme.OWN,
    ),
)

APP = (
    Operation(
        "openapi",
        "get",
        "/openapi.json",
        "Show this description",
        "OpenAPI 3.1.",
        "app",
        {200: Success("This.", (Content((dict[str, Any],), {"document": {"openapi": "3.1.0"}}),))},
        auth=AuthScheme.NONE,
    ),
    Operation(
        "health",
        "get",
        "/health",
        "Show whether the app is configured",
        "It names no setting; the log and every other route do.",
        "app",
        {200: Success("It is.", (Content((Health,), {"ok": examples.HEALTH}),))},
        _BUSY,
        auth=AuthScheme.NONE,
    ),
)

OPERATIONS = (*RUNS, *ENDPOINTS, *OPENAI, *APP)
