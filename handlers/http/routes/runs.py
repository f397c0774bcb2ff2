"""Routes about runs, and the slots that they share."""

from __future__ import annotations

from handlers.http.acknowledge_run import acknowledge_run
from handlers.http.entry_views import RunPageView
from handlers.http.list_runs import RunQuery, list_runs
from handlers.http.request_changes import (
    StartOverrides,
    cancel_run,
    retry_run,
    start_run,
)
from handlers.http.requests import read_object
from handlers.http.route import Content, Route, Success
from handlers.http.routes.answers import ASKED, BUSY, ETAG, IF_NONE_MATCH, KNOWN, RUN, RUN_BODY
from handlers.http.run_views import RunView
from handlers.http.show_run import JSON_LINES, show_evaluation, show_report, show_run
from handlers.http.show_slots import SlotsView, show_slots
from shared.domain.dataset import DatasetReport

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
        successes={200: Success("A page.", (Content((RunPageView,)),), ETAG), 304: KNOWN},
        errors=(400, *BUSY),
        query=RunQuery,
        headers=IF_NONE_MATCH,
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
        successes={200: RUN, 304: KNOWN},
        errors=(404, 409, *BUSY),
        headers=IF_NONE_MATCH,
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
        errors=(404, 409, *BUSY),
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
        errors=(404, 409, *BUSY),
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
        successes={202: ASKED},
        errors=(404, 409, *BUSY),
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
        successes={202: Success("It will be deployed.", (RUN_BODY,))},
        errors=(400, 404, 409, 413, 422, *BUSY),
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
        errors=(404, 409, *BUSY),
    ),
    Route(
        function="acknowledge_run",
        method="POST",
        path="runs/{id}/acknowledge",
        handle=lambda request, app: acknowledge_run(request.path["id"], app().services),
        summary="Acknowledge how a run ended",
        description="A run that failed, was rejected, or that an error stopped needs attention no longer.",
        tag="runs",
        successes={200: Success("The run.", (RUN_BODY,))},
        errors=(404, 409, *BUSY),
    ),
)

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
        errors=BUSY,
    ),
)
