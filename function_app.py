"""Every trigger of the app, and nothing else: bindings in, one handler, the answer out."""

from __future__ import annotations

# The Functions worker takes only generics of `typing` in an `Out[...]` (azure-functions-python-worker #1176).
from typing import List  # noqa: UP035

import azure.functions as func
from azurefunctions.extensions.bindings import blob

from handlers.events.advance_message import handle_advance_message
from handlers.events.dataset_uploaded import handle_dataset_uploaded
from handlers.events.job_status_changed import handle_job_status_changed
from handlers.events.notification_message import deliver_notification
from handlers.http.dashboard import show_dashboard
from handlers.http.errors import respond, respond_async
from handlers.http.health import show_health
from handlers.http.list_runs import list_runs
from handlers.http.openai.chat_completions import complete_chat
from handlers.http.openai.errors import respond_openai
from handlers.http.openai.models import list_models, show_model
from handlers.http.openapi import show_openapi
from handlers.http.request_changes import cancel_run, delete_endpoint, extend_endpoint, retry_run, start_run
from handlers.http.responses import Response, read_object
from handlers.http.score_endpoint import score_endpoint
from handlers.http.show_run import show_report, show_run
from handlers.timers.reconcile_resources import reconcile_resources
from handlers.timers.schedule_due_runs import schedule_due_runs
from shared import bootstrap

CONNECTION = "TrainingStorage"
ADVANCE = "advance"
NOTIFICATIONS = "notifications"

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)


@app.function_name("dataset_uploaded")
@app.blob_trigger(
    arg_name="client",
    path="uploads/{name}",
    connection=CONNECTION,
    source=func.BlobSource.EVENT_GRID,
)
def dataset_uploaded(client: blob.BlobClient) -> None:
    """A blob appeared in `uploads`; only its name is taken from the binding, never its body."""
    built = bootstrap.app()
    handle_dataset_uploaded(
        client.blob_name,
        container=client.container_name,
        settings=built.settings,
        services=built.services,
    )


@app.function_name("schedule_due_runs")
@app.timer_trigger(arg_name="timer", schedule="%ADVANCE_SCHEDULE%", use_monitor=False)
@app.queue_output(arg_name="advance", queue_name=ADVANCE, connection=CONNECTION)
def advance_timer(timer: func.TimerRequest, advance: func.Out[List[str]]) -> None:  # noqa: ARG001, UP006
    """Each minute: one message for each run that is due."""
    advance.set(schedule_due_runs(bootstrap.app().services))


@app.function_name("advance_run")
@app.queue_trigger(arg_name="message", queue_name=ADVANCE, connection=CONNECTION)
def advance_queued(message: func.QueueMessage) -> None:
    """Advance the run that a message of the queue `advance` names."""
    built = bootstrap.app()
    handle_advance_message(
        message.get_body().decode("utf-8", "replace"),
        delivery=message.dequeue_count or 1,
        settings=built.settings,
        services=built.services,
    )


@app.function_name("job_status_changed")
@app.event_grid_trigger(arg_name="event")
@app.queue_output(arg_name="advance", queue_name=ADVANCE, connection=CONNECTION)
def job_status_changed(event: func.EventGridEvent, advance: func.Out[List[str]]) -> None:  # noqa: UP006
    """Azure ML tells of a job, where it is subscribed to; the timer finds out anyway."""
    advance.set(handle_job_status_changed(event.event_type, event.get_json()))


@app.function_name("deliver_notification")
@app.queue_trigger(arg_name="message", queue_name=NOTIFICATIONS, connection=CONNECTION)
def notification_queued(message: func.QueueMessage) -> None:
    """A notification is to be delivered to the webhook."""
    built = bootstrap.app()
    deliver_notification(
        message.get_body().decode("utf-8", "replace"),
        settings=built.settings,
        services=built.services,
    )


@app.function_name("reconcile_resources")
@app.timer_trigger(arg_name="timer", schedule="%RECONCILE_SCHEDULE%", use_monitor=False)
@app.queue_output(arg_name="advance", queue_name=ADVANCE, connection=CONNECTION)
def reconcile_timer(timer: func.TimerRequest, advance: func.Out[List[str]]) -> None:  # noqa: ARG001, UP006
    """Every 15 minutes: remove orphaned resources, and advance live runs whose endpoint is gone."""
    built = bootstrap.app()
    advance.set(reconcile_resources(settings=built.settings, services=built.services))


@app.function_name("list_runs")
@app.route(route="runs", methods=["GET"])
def get_runs(req: func.HttpRequest) -> func.HttpResponse:
    """`GET /api/runs`."""
    return _render(
        respond(
            lambda: list_runs(
                req.params,
                bootstrap.app().services,
                if_none_match=req.headers.get("If-None-Match"),
            ),
        ),
    )


@app.function_name("get_run")
@app.route(route="runs/{id}", methods=["GET"])
def get_run(req: func.HttpRequest) -> func.HttpResponse:
    """`GET /api/runs/{id}`."""
    return _render(
        respond(
            lambda: show_run(
                req.route_params["id"],
                if_none_match=req.headers.get("If-None-Match"),
                services=bootstrap.app().services,
                prices=bootstrap.app().settings.prices,
            ),
        ),
    )


@app.function_name("get_report")
@app.route(route="runs/{id}/report", methods=["GET"])
def get_report(req: func.HttpRequest) -> func.HttpResponse:
    """`GET /api/runs/{id}/report`."""
    return _render(
        respond(
            lambda: show_report(
                req.route_params["id"],
                accept=req.headers.get("Accept"),
                services=bootstrap.app().services,
            ),
        ),
    )


@app.function_name("cancel_run")
@app.route(route="runs/{id}/cancel", methods=["POST"])
@app.queue_output(arg_name="advance", queue_name=ADVANCE, connection=CONNECTION)
def post_cancel(req: func.HttpRequest, advance: func.Out[List[str]]) -> func.HttpResponse:  # noqa: UP006
    """`POST /api/runs/{id}/cancel`."""
    return _render(respond(lambda: cancel_run(req.route_params["id"], bootstrap.app().services)), advance)


@app.function_name("retry_run")
@app.route(route="runs/{id}/retry", methods=["POST"])
@app.queue_output(arg_name="advance", queue_name=ADVANCE, connection=CONNECTION)
def post_retry(req: func.HttpRequest, advance: func.Out[List[str]]) -> func.HttpResponse:  # noqa: UP006
    """`POST /api/runs/{id}/retry`."""
    return _render(respond(lambda: retry_run(req.route_params["id"], bootstrap.app().services)), advance)


@app.function_name("start_run")
@app.route(route="runs/{id}/start", methods=["POST"])
@app.queue_output(arg_name="advance", queue_name=ADVANCE, connection=CONNECTION)
def post_start(req: func.HttpRequest, advance: func.Out[List[str]]) -> func.HttpResponse:  # noqa: UP006
    """`POST /api/runs/{id}/start`."""
    return _render(
        respond(
            lambda: start_run(
                req.route_params["id"],
                read_object(req.get_body() or b"{}"),
                most_hours=bootstrap.app().settings.endpoint_max_lifetime_hours,
                services=bootstrap.app().services,
            ),
        ),
        advance,
    )


@app.function_name("score")
@app.route(route="endpoints/{endpoint}/score", methods=["POST"])
async def post_score(req: func.HttpRequest) -> func.HttpResponse:
    """`POST /api/endpoints/{endpoint}/score`."""

    async def handle() -> Response:
        built = bootstrap.app()
        return await score_endpoint(req.route_params["endpoint"], req.get_body(), built.live, built.services)

    return _render(await respond_async(handle))


@app.function_name("chat_completions")
@app.route(route="v1/chat/completions", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
async def post_chat_completions(req: func.HttpRequest) -> func.HttpResponse:
    """`POST /api/v1/chat/completions`; the key is checked by the handler, which also takes bearer tokens."""

    async def handle() -> Response:
        built = bootstrap.app()
        return await complete_chat(
            req.headers,
            req.get_body(),
            keys=built.settings.accepted_keys,
            models=built.models,
            live=built.live,
            services=built.services,
        )

    return _render(await respond_openai(handle))


@app.function_name("list_models")
@app.route(route="v1/models", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
async def get_models(req: func.HttpRequest) -> func.HttpResponse:
    """`GET /api/v1/models`; the key is checked by the handler."""

    async def handle() -> Response:
        built = bootstrap.app()
        return await list_models(req.headers, built.settings.accepted_keys, built.models)

    return _render(await respond_openai(handle))


@app.function_name("get_model")
@app.route(route="v1/models/{model}", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
async def get_model(req: func.HttpRequest) -> func.HttpResponse:
    """`GET /api/v1/models/{model}`; the key is checked by the handler."""

    async def handle() -> Response:
        built = bootstrap.app()
        model = req.route_params["model"]
        return await show_model(model, req.headers, built.settings.accepted_keys, built.models)

    return _render(await respond_openai(handle))


@app.function_name("extend_endpoint")
@app.route(route="endpoints/{endpoint}/extend", methods=["POST"])
@app.queue_output(arg_name="advance", queue_name=ADVANCE, connection=CONNECTION)
def post_extend(req: func.HttpRequest, advance: func.Out[List[str]]) -> func.HttpResponse:  # noqa: UP006
    """`POST /api/endpoints/{endpoint}/extend`."""
    return _render(
        respond(
            lambda: extend_endpoint(
                req.route_params["endpoint"],
                read_object(req.get_body()),
                most_hours=bootstrap.app().settings.endpoint_max_lifetime_hours,
                services=bootstrap.app().services,
            ),
        ),
        advance,
    )


@app.function_name("delete_endpoint")
@app.route(route="endpoints/{endpoint}", methods=["DELETE"])
@app.queue_output(arg_name="advance", queue_name=ADVANCE, connection=CONNECTION)
def delete(req: func.HttpRequest, advance: func.Out[List[str]]) -> func.HttpResponse:  # noqa: UP006
    """`DELETE /api/endpoints/{endpoint}`."""
    return _render(
        respond(lambda: delete_endpoint(req.route_params["endpoint"], bootstrap.app().services)),
        advance,
    )


@app.function_name("dashboard")
@app.route(route="dashboard/{file?}", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def get_dashboard(req: func.HttpRequest) -> func.HttpResponse:
    """`GET /api/dashboard`, and the files of the page."""
    return _render(
        respond(
            lambda: show_dashboard(
                req.route_params.get("file"),
                url=req.url,
                if_none_match=req.headers.get("If-None-Match"),
            ),
        ),
    )


@app.function_name("openapi")
@app.route(route="openapi.json", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def get_openapi(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001
    """`GET /api/openapi.json`; built when it is first asked for."""
    return _render(respond(show_openapi))


@app.function_name("health")
@app.route(route="health", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def get_health(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001
    """`GET /api/health`."""
    return _render(respond(lambda: show_health(bootstrap.app)))


def _render(answered: Response, advance: func.Out[List[str]] | None = None) -> func.HttpResponse:  # noqa: UP006
    if advance is not None and answered.advance:
        advance.set(list(answered.advance))
    return func.HttpResponse(
        answered.body,
        status_code=answered.status,
        headers=dict(answered.headers),
        mimetype=answered.content_type,
    )
