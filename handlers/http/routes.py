"""The table of routes. `function_app.py` registers them, and `GET /api/openapi.json` describes them."""

from __future__ import annotations

from typing import Any

from handlers.http.acknowledge_run import acknowledge_run
from handlers.http.approvals import FORM, answer_approval, show_approval
from handlers.http.check_rows import RowsQuery, RowsView, check_rows
from handlers.http.create_quote import QuoteAnswer, QuoteRequest, create_quote
from handlers.http.dashboard import show_dashboard
from handlers.http.dataset_views import DatasetView
from handlers.http.datasets import PromotionRequest, RollbackRequest, promote_run, roll_back, show_dataset
from handlers.http.entry_views import RunPageView
from handlers.http.health import Health, show_health
from handlers.http.list_datasets import DatasetsView, list_datasets
from handlers.http.list_runs import RunQuery, list_runs
from handlers.http.list_uploads import IgnoredUploadsView, UploadQuery, list_uploads
from handlers.http.openai.chat_completions import complete_chat
from handlers.http.openai.models import Model, ModelList, list_models, show_model
from handlers.http.openai.not_offered import refuse_route
from handlers.http.openapi.chat_request import ChatCompletionBody
from handlers.http.openapi.show_openapi import show_openapi
from handlers.http.receive_upload import (
    PART_BYTES,
    ReceivedView,
    UploadRequest,
    complete_upload,
    receive_part,
)
from handlers.http.request_changes import (
    Extension,
    StartOverrides,
    cancel_run,
    delete_endpoint,
    extend_endpoint,
    retry_run,
    start_run,
)
from handlers.http.requests import read_object
from handlers.http.responses import Response
from handlers.http.route import AuthScheme, Content, Route, Success
from handlers.http.run_views import RunView
from handlers.http.score_endpoint import score_endpoint
from handlers.http.show_preflight import PreflightView, RunJson, show_preflight
from handlers.http.show_run import JSON_LINES, show_evaluation, show_report, show_run
from handlers.http.show_slots import SlotsView, show_slots
from shared.domain.dataset import DatasetReport
from shared.domain.serving.openai_reply import ChatCompletion
from shared.domain.serving.score_payload import ScoreMessages, ScorePayload

ETAG = {"ETag": "Of what the answer says, for `If-None-Match`; the clock alone does not change it."}
_KNOWN = Success("The copy that `If-None-Match` names says the same.", headers=ETAG)
_IF_NONE_MATCH = {"If-None-Match": "ETag of the copy that you have."}
_RUN_BODY = Content((RunView,))
_RUN = Success("The run.", (Content((RunView,)),), ETAG)
_ASKED = Success("It is on the record, and will be done.", (_RUN_BODY,))
_BUSY = (503,)

RUNS = (
    Route(
        function="list_runs",
        method="GET",
        path="runs",
        handle=lambda request, app: list_runs(
            request.query,
            app().services,
            prices=app().settings.own_prices,
            if_none_match=request.if_none_match,
        ),
        summary="List runs",
        description="By id. A filter that matches little may answer an empty page with a `next`.",
        tag="runs",
        successes={200: Success("A page.", (Content((RunPageView,)),), ETAG), 304: _KNOWN},
        errors=(400, *_BUSY),
        query=RunQuery,
        headers=_IF_NONE_MATCH,
    ),
    Route(
        function="get_run",
        method="GET",
        path="runs/{id}",
        handle=lambda request, app: show_run(
            request.path["id"],
            if_none_match=request.if_none_match,
            services=app().services,
            prices=app().settings.own_prices,
            longest_lifetime=app().settings.limits().longest_lifetime,
        ),
        summary="Show a run",
        description="Stages with times, report in short, metrics, model, evaluation, endpoint, error, cost.",
        tag="runs",
        successes={200: _RUN, 304: _KNOWN},
        errors=(404, 409, *_BUSY),
        headers=_IF_NONE_MATCH,
    ),
    Route(
        function="get_report",
        method="GET",
        path="runs/{id}/report",
        handle=lambda request, app: show_report(
            request.path["id"], accept=request.headers.get("Accept"), services=app().services
        ),
        summary="Show a dataset report",
        description="What dataset validation found, line by line: JSON, or a page for browsers, by `Accept`.",
        tag="runs",
        successes={
            200: Success(
                "The report.",
                (Content((DatasetReport,)), Content(media="text/html")),
            )
        },
        errors=(404, 409, *_BUSY),
    ),
    Route(
        function="get_evaluation",
        method="GET",
        path="runs/{id}/evaluation",
        handle=lambda request, app: show_evaluation(request.path["id"], services=app().services),
        summary="Show the rows of an evaluation",
        description="One line a test row: conversation, expected answer, each model's reply, its scores.",
        tag="runs",
        successes={200: Success("The rows.", (Content(media=JSON_LINES),))},
        errors=(404, 409, *_BUSY),
    ),
    Route(
        function="cancel_run",
        method="POST",
        path="runs/{id}/cancel",
        handle=lambda request, app: cancel_run(request.path["id"], app().services),
        advances=True,
        summary="Cancel a run",
        description="Stops the job and deletes the endpoint. Repeating the request changes nothing.",
        tag="runs",
        successes={202: _ASKED},
        errors=(404, 409, *_BUSY),
    ),
    Route(
        function="start_run",
        method="POST",
        path="runs/{id}/start",
        handle=lambda request, app: start_run(
            request.path["id"],
            read_object(request.body or b"{}"),
            settings=app().settings,
            services=app().services,
        ),
        advances=True,
        summary="Start a stopped run",
        description="Deploys its model again, without training; what the body names replaces the run's "
        "options, within the operator's bounds.",
        tag="runs",
        successes={202: Success("It will be deployed.", (_RUN_BODY,))},
        errors=(400, 404, 409, 413, 422, *_BUSY),
        request=Content((StartOverrides,)),
        body_optional=True,
    ),
    Route(
        function="retry_run",
        method="POST",
        path="runs/{id}/retry",
        handle=lambda request, app: retry_run(request.path["id"], app().services),
        advances=True,
        summary="Retry a run",
        description="The app advances the run now, also if it is suspended.",
        tag="runs",
        successes={
            202: Success(
                "It will be looked at.",
                (Content((RunView, dict[str, str])),),
            )
        },
        errors=(404, 409, *_BUSY),
    ),
    Route(
        function="acknowledge_run",
        method="POST",
        path="runs/{id}/acknowledge",
        handle=lambda request, app: acknowledge_run(request.path["id"], app().services),
        summary="Acknowledge how a run ended",
        description="A run that failed, was rejected, or that an error stopped needs attention no longer.",
        tag="runs",
        successes={200: Success("The run.", (_RUN_BODY,))},
        errors=(404, 409, *_BUSY),
    ),
)

UPLOADS_CONTAINER = "uploads"

SLOTS = (
    Route(
        function="show_slots",
        method="GET",
        path="slots",
        handle=lambda _request, app: show_slots(app().settings, app().services),
        summary="Show the slots in use",
        description="How many runs train or have an endpoint at once, of how many that may, and who waits.",
        tag="runs",
        successes={200: Success("The slots of each kind.", (Content((SlotsView,)),))},
        errors=_BUSY,
    ),
)

DATASETS = (
    Route(
        function="list_datasets",
        method="GET",
        path="datasets",
        handle=lambda _request, app: list_datasets(app().services),
        summary="List current models",
        description="Of each dataset that has a model, the run that its name means now.",
        tag="datasets",
        successes={200: Success("The datasets.", (Content((DatasetsView,)),))},
        errors=_BUSY,
    ),
    Route(
        function="get_dataset",
        method="GET",
        path="datasets/{name}",
        handle=lambda request, app: show_dataset(request.path["name"], app().services),
        summary="Show a dataset's current model",
        description="What its name means in the OpenAI API, and the history of that. A slash in the name is "
        "written as `%2F`.",
        tag="datasets",
        successes={200: Success("The dataset.", (Content((DatasetView,)),))},
        errors=(404, 409, *_BUSY),
    ),
    Route(
        function="promote_model",
        method="POST",
        path="datasets/{name}/promote",
        handle=lambda request, app: promote_run(
            request.path["name"],
            read_object(request.body),
            services=app().services,
            directory=app().directory,
        ),
        summary="Promote a model",
        description="A run's model becomes what the dataset's name means. Repeating it changes nothing.",
        tag="datasets",
        successes={200: Success("The dataset.", (Content((DatasetView,)),))},
        errors=(400, 404, 409, 413, *_BUSY),
        request=Content((PromotionRequest,)),
    ),
    Route(
        function="roll_back_model",
        method="POST",
        path="datasets/{name}/rollback",
        handle=lambda request, app: roll_back(
            request.path["name"],
            read_object(request.body or b"{}"),
            services=app().services,
            directory=app().directory,
        ),
        summary="Go back to the model before",
        description="The dataset's name means the model that had it before the current one.",
        tag="datasets",
        successes={200: Success("The dataset.", (Content((DatasetView,)),))},
        errors=(400, 404, 409, 413, *_BUSY),
        request=Content((RollbackRequest,)),
        body_optional=True,
    ),
)

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
        errors=(400, 413, 422, *_BUSY),
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
        errors=(400, 413, 422, 502, *_BUSY),
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
        errors=(400, *_BUSY),
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
        errors=(400, 413, *_BUSY),
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
        errors=(400, 413, *_BUSY),
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
        errors=(400, 409, 413, 422, *_BUSY),
        request=Content((UploadRequest,)),
    ),
)

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
        successes={200: Success("The run with its new time.", (_RUN_BODY,))},
        errors=(400, 404, 409, 410, 413, 422, *_BUSY),
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
        successes={202: _ASKED},
        errors=(404, 409, 410, *_BUSY),
    ),
)

OPENAI = (
    Route(
        function="chat_completions",
        method="POST",
        path="v1/chat/completions",
        handle=lambda request, app: complete_chat(request, app()),
        blocking=False,
        summary="Create a chat completion",
        description="OpenAI's form. A parameter that the model's server cannot honour is refused by name. "
        "With `stream`, chunks come as they are generated, and a fault in mid-stream is an event with "
        "`error`. `usage` is there if the model's server counts tokens.",
        tag="openai",
        successes={
            200: Success(
                "The reply.",
                (
                    Content((ChatCompletion,)),
                    Content(media="text/event-stream"),
                ),
            ),
        },
        errors=(400, 404, 409, 410, 413, 429, 502, 503, 504),
        auth=AuthScheme.OWN,
        request=Content((ChatCompletionBody,)),
    ),
    Route(
        function="list_models",
        method="GET",
        path="v1/models",
        handle=lambda request, app: list_models(request, app()),
        blocking=False,
        summary="List models",
        description="Each live endpoint and stopped model by its run's name, and each dataset's newest by "
        "the dataset's; `status` says whether it answers.",
        tag="openai",
        successes={200: Success("The models.", (Content((ModelList,)),))},
        errors=_BUSY,
        auth=AuthScheme.OWN,
    ),
    Route(
        function="get_model",
        method="GET",
        path="v1/models/{model}",
        handle=lambda request, app: show_model(request, app()),
        blocking=False,
        summary="Show a live model",
        description="By its endpoint's name or its dataset's.",
        tag="openai",
        successes={200: Success("The model.", (Content((Model,)),))},
        errors=(404, 409, 410, *_BUSY),
        auth=AuthScheme.OWN,
    ),
    *(
        Route(
            function=f"no_{name}",
            method="POST",
            path=f"v1/{name}",
            handle=lambda _request, _app, name=name: refuse_route(name),
            summary="Not offered",
            description="Answers 404, in OpenAI's form.",
            tag="openai",
            successes={},
            auth=AuthScheme.OWN,
            described=False,
        )
        for name in ("completions", "embeddings")
    ),
)

APPROVALS = tuple(
    Route(
        function=f"{name}_approval",
        method=method,
        path="approvals/{token}",
        handle=handle,
        advances=method == "POST",
        summary="Say yes or no to a model",
        description="The page that a notification links to. GET asks, POST takes the answer.",
        tag="app",
        successes={},
        auth=AuthScheme.NONE,
        described=False,
        request=Content(media=FORM) if method == "POST" else None,
    )
    for name, method, handle in (
        ("show", "GET", lambda request, app: show_approval(app().services, request.path["token"])),
        (
            "answer",
            "POST",
            lambda request, app: answer_approval(app().services, request.path["token"], request.body),
        ),
    )
)

APP = (
    Route(
        function="home",
        method="GET",
        path="{home:maxlength(0)?}",
        prefix="",
        handle=lambda _request, _app: Response(302, b"", headers={"Location": "/api/dashboard"}),
        summary="Lead to the page",
        description="From the app's address alone.",
        tag="app",
        successes={},
        auth=AuthScheme.NONE,
        described=False,
    ),
    Route(
        function="dashboard",
        method="GET",
        path="dashboard/{file?}",
        handle=lambda request, _app: show_dashboard(
            request.path.get("file"), url=request.url, if_none_match=request.if_none_match
        ),
        summary="Show the page",
        description="The page for people, and its files.",
        tag="app",
        successes={},
        auth=AuthScheme.NONE,
        described=False,
    ),
    Route(
        function="openapi",
        method="GET",
        path="openapi.json",
        handle=lambda _request, _app: show_openapi(ROUTES),
        summary="Show this description",
        description="OpenAPI 3.1.",
        tag="app",
        successes={200: Success("This.", (Content((dict[str, Any],)),))},
        auth=AuthScheme.NONE,
    ),
    Route(
        function="health",
        method="GET",
        path="health",
        handle=lambda _request, app: show_health(app),
        summary="Show whether the app is configured",
        description="If it is not, its log names the settings at fault; routes with a function key do, too.",
        tag="app",
        successes={200: Success("It is.", (Content((Health,)),))},
        errors=_BUSY,
        auth=AuthScheme.NONE,
    ),
)

ROUTES: tuple[Route, ...] = (*RUNS, *DATASETS, *SLOTS, *UPLOADS, *ENDPOINTS, *OPENAI, *APPROVALS, *APP)
