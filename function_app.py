"""Every trigger of the app, and nothing else: bindings in, one handler, the answer out."""

from __future__ import annotations

import shared.quiet  # noqa: F401

# isort: split
# The Functions worker takes only generics of `typing` in an `Out[...]` (azure-functions-python-worker #1176).
from typing import List  # noqa: UP035

import azure.functions as func
from azurefunctions.extensions.bindings import blob

from handlers.advance_run import advance_run
from handlers.announce import announce
from handlers.chat_completions import complete_chat
from handlers.hear_of_job import hear_of_job
from handlers.http import Answer, read_object
from handlers.http_errors import answer, answer_async
from handlers.list_models import list_models, show_model
from handlers.list_runs import list_runs
from handlers.open_run import open_run_for_upload
from handlers.openai_errors import answer_openai
from handlers.openapi import show_openapi
from handlers.request_changes import cancel_run, delete_endpoint, extend_endpoint, retry_run
from handlers.schedule_advances import schedule_advances
from handlers.score_endpoint import score_endpoint
from handlers.show_dashboard import show_dashboard
from handlers.show_health import show_health
from handlers.show_run import show_report, show_run
from handlers.sweep_endpoints import sweep_endpoints
from handlers.take_message import take_message
from shared import bootstrap
from shared.thread_limit import ThreadLimit

CONNECTION = "TrainingStorage"
ADVANCE = "advance"
NEWS = "news"

_ANNOUNCEMENTS = ThreadLimit(8, "announcements")

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
    run_id = open_run_for_upload(
        client.blob_name,
        container=client.container_name,
        settings=built.settings,
        services=built.services,
    )
    if run_id is not None:
        advance_run(run_id, settings=built.settings, services=built.services)


@app.function_name("schedule_advances")
@app.timer_trigger(arg_name="timer", schedule="%ADVANCE_SCHEDULE%", use_monitor=False)
@app.queue_output(arg_name="advance", queue_name=ADVANCE, connection=CONNECTION)
def schedule_due_runs(timer: func.TimerRequest, advance: func.Out[List[str]]) -> None:  # noqa: ARG001, UP006
    """Each minute: one message for each run that is due."""
    advance.set(schedule_advances(bootstrap.app().services))


@app.function_name("advance_run")
@app.queue_trigger(arg_name="message", queue_name=ADVANCE, connection=CONNECTION)
def advance_run_of_message(message: func.QueueMessage) -> None:
    """A run is to be advanced."""
    built = bootstrap.app()
    take_message(
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
    # Of a delivery in the CloudEvents schema the worker makes a `CloudEvent`, whose type has another name.
    kind = getattr(event, "event_type", None) or getattr(event, "type", None)
    advance.set(hear_of_job(kind, event.get_json()))


@app.function_name("announce")
@app.queue_trigger(arg_name="message", queue_name=NEWS, connection=CONNECTION)
async def announce_stage(message: func.QueueMessage) -> None:
    """A stage change is to be announced, in threads of its own: a slow webhook holds up nothing else."""

    def post() -> None:
        built = bootstrap.app()
        announce(
            message.get_body().decode("utf-8", "replace"),
            settings=built.settings,
            services=built.services,
        )

    await _ANNOUNCEMENTS.run(post)


@app.function_name("sweep_endpoints")
@app.timer_trigger(arg_name="timer", schedule="%SWEEP_SCHEDULE%", use_monitor=False)
@app.queue_output(arg_name="advance", queue_name=ADVANCE, connection=CONNECTION)
def sweep(timer: func.TimerRequest, advance: func.Out[List[str]]) -> None:  # noqa: ARG001, UP006
    """Every quarter of an hour: orphans, and endpoints whose time is up."""
    built = bootstrap.app()
    advance.set(sweep_endpoints(settings=built.settings, services=built.services))


@app.function_name("list_runs")
@app.route(route="runs", methods=["GET"])
def get_runs(req: func.HttpRequest) -> func.HttpResponse:
    """`GET /api/runs`."""
    return _render(
        answer(
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
        answer(
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
        answer(
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
    return _render(answer(lambda: cancel_run(req.route_params["id"], bootstrap.app().services)), advance)


@app.function_name("retry_run")
@app.route(route="runs/{id}/retry", methods=["POST"])
@app.queue_output(arg_name="advance", queue_name=ADVANCE, connection=CONNECTION)
def post_retry(req: func.HttpRequest, advance: func.Out[List[str]]) -> func.HttpResponse:  # noqa: UP006
    """`POST /api/runs/{id}/retry`."""
    return _render(answer(lambda: retry_run(req.route_params["id"], bootstrap.app().services)), advance)


@app.function_name("score")
@app.route(route="endpoints/{endpoint}/score", methods=["POST"])
async def post_score(req: func.HttpRequest) -> func.HttpResponse:
    """`POST /api/endpoints/{endpoint}/score`."""

    async def handle() -> Answer:
        built = await bootstrap.app_async()
        return await score_endpoint(req.route_params["endpoint"], req.get_body(), built.live, built.services)

    return _render(await answer_async(handle))


@app.function_name("chat_completions")
@app.route(route="v1/chat/completions", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
async def post_chat_completions(req: func.HttpRequest) -> func.HttpResponse:
    """`POST /api/v1/chat/completions`; the key is checked by the handler, which also takes bearer tokens."""

    async def handle() -> Answer:
        built = await bootstrap.app_async()
        return await complete_chat(
            req.headers,
            req.get_body(),
            keys=built.settings.accepted_keys,
            models=built.models,
            live=built.live,
            services=built.services,
        )

    return _render(await answer_openai(handle))


@app.function_name("list_models")
@app.route(route="v1/models", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
async def get_models(req: func.HttpRequest) -> func.HttpResponse:
    """`GET /api/v1/models`; the key is checked by the handler."""

    async def handle() -> Answer:
        built = await bootstrap.app_async()
        return await list_models(req.headers, built.settings.accepted_keys, built.models)

    return _render(await answer_openai(handle))


@app.function_name("get_model")
@app.route(route="v1/models/{model}", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
async def get_model(req: func.HttpRequest) -> func.HttpResponse:
    """`GET /api/v1/models/{model}`; the key is checked by the handler."""

    async def handle() -> Answer:
        built = await bootstrap.app_async()
        model = req.route_params["model"]
        return await show_model(model, req.headers, built.settings.accepted_keys, built.models)

    return _render(await answer_openai(handle))


@app.function_name("extend_endpoint")
@app.route(route="endpoints/{endpoint}/extend", methods=["POST"])
@app.queue_output(arg_name="advance", queue_name=ADVANCE, connection=CONNECTION)
def post_extend(req: func.HttpRequest, advance: func.Out[List[str]]) -> func.HttpResponse:  # noqa: UP006
    """`POST /api/endpoints/{endpoint}/extend`."""
    return _render(
        answer(
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
        answer(lambda: delete_endpoint(req.route_params["endpoint"], bootstrap.app().services)),
        advance,
    )


@app.function_name("dashboard")
@app.route(route="dashboard/{file?}", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def get_dashboard(req: func.HttpRequest) -> func.HttpResponse:
    """`GET /api/dashboard`, and the files of the page."""
    return _render(
        answer(
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
    return _render(answer(show_openapi))


@app.function_name("health")
@app.route(route="health", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def get_health(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001
    """`GET /api/health`."""
    return _render(answer(lambda: show_health(bootstrap.app)))


def _render(answered: Answer, advance: func.Out[List[str]] | None = None) -> func.HttpResponse:  # noqa: UP006
    if advance is not None and answered.advance:
        advance.set(list(answered.advance))
    return func.HttpResponse(
        answered.body,
        status_code=answered.status,
        # Not as the media type, to which the worker would add a charset of its own.
        headers={"Content-Type": answered.content_type, **answered.headers},
    )
