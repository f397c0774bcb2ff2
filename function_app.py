"""Register every trigger of the app. Each converts its bindings and calls one handler."""

from __future__ import annotations

import shared.quiet  # noqa: F401

# isort: split
# The Functions worker takes only generics of `typing` in an `Out[...]` (azure-functions-python-worker #1176).
from typing import List  # noqa: UP035

import azure.functions as func
from azurefunctions.extensions.bindings import blob

from handlers.events.advance_message import handle_advance_message
from handlers.events.dataset_uploaded import handle_dataset_uploaded
from handlers.events.job_status_changed import handle_job_status_changed
from handlers.events.notification_message import deliver_notification
from handlers.events.upload_message import handle_upload_message
from handlers.events.upload_renamed import handle_upload_renamed
from handlers.functions import ADVANCE, CONNECTION, REQUESTED, register_routes
from handlers.http.routes import ROUTES
from handlers.timers.reconcile_resources import reconcile_resources
from handlers.timers.reconcile_uploads import reconcile_uploads
from handlers.timers.schedule_due_runs import schedule_due_runs
from shared import bootstrap
from shared.thread_limit import ThreadLimit

NOTIFICATIONS = "notifications"
UPLOADS = "uploads"

_CHECKS = ThreadLimit(4, "uploads")
_DELIVERIES = ThreadLimit(8, "notifications")

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)


@app.function_name("dataset_uploaded")
@app.blob_trigger(
    arg_name="client",
    path=f"{UPLOADS}/{{name}}",
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


@app.function_name("check_upload")
@app.queue_trigger(arg_name="message", queue_name=UPLOADS, connection=CONNECTION)
@app.queue_output(arg_name="advance", queue_name=ADVANCE, connection=CONNECTION)
async def upload_queued(message: func.QueueMessage, advance: func.Out[List[str]]) -> None:  # noqa: UP006
    """Look again at an upload that was not whole when its event came."""

    def check() -> list[str]:
        built = bootstrap.app()
        return handle_upload_message(
            message.get_body().decode("utf-8", "replace"),
            container=UPLOADS,
            settings=built.settings,
            services=built.services,
        )

    advance.set(await _CHECKS.run(check))


@app.function_name("schedule_due_runs")
@app.timer_trigger(arg_name="timer", schedule="%ADVANCE_SCHEDULE%", use_monitor=False)
@app.queue_output(arg_name="advance", queue_name=ADVANCE, connection=CONNECTION)
def advance_timer(timer: func.TimerRequest, advance: func.Out[List[str]]) -> None:  # noqa: ARG001, UP006
    """Each minute: one message for each run that is due."""
    advance.set(schedule_due_runs(bootstrap.app().services))


@app.function_name("advance_requested_run")
@app.queue_trigger(arg_name="message", queue_name=REQUESTED, connection=CONNECTION)
def advance_requested(message: func.QueueMessage) -> None:
    """Advance the run that a caller asked something of, ahead of all messages of the queue `advance`."""
    built = bootstrap.app()
    handle_advance_message(
        message.get_body().decode("utf-8", "replace"),
        delivery=message.dequeue_count or 1,
        settings=built.settings,
        services=built.services,
    )


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
@app.queue_output(arg_name="advance", queue_name=REQUESTED, connection=CONNECTION)
def job_status_changed(event: func.EventGridEvent, advance: func.Out[List[str]]) -> None:  # noqa: UP006
    """Advance the run of a job that Azure ML reports; without this event the timer finds the change.

    A job that has ended has left a slot, for which others wait.
    """
    # Of a delivery in the CloudEvents schema the worker makes a `CloudEvent`, whose type has another name.
    kind = getattr(event, "event_type", None) or getattr(event, "type", None)
    advance.set(handle_job_status_changed(kind, event.get_json()))


@app.function_name("upload_renamed")
@app.event_grid_trigger(arg_name="event")
@app.queue_output(arg_name="advance", queue_name=ADVANCE, connection=CONNECTION)
def rename_event(event: func.EventGridEvent, advance: func.Out[List[str]]) -> None:  # noqa: UP006
    """A file or a folder in `uploads` was renamed: no event of a new blob comes for that."""
    kind = getattr(event, "event_type", None) or getattr(event, "type", None)
    built = bootstrap.app()
    advance.set(
        handle_upload_renamed(
            kind,
            event.get_json(),
            container=UPLOADS,
            settings=built.settings,
            services=built.services,
        )
    )


@app.function_name("deliver_notification")
@app.queue_trigger(arg_name="message", queue_name=NOTIFICATIONS, connection=CONNECTION)
async def notification_queued(message: func.QueueMessage) -> None:
    """Deliver a notification in separate threads, so that a slow webhook delays no other function."""

    def deliver() -> None:
        built = bootstrap.app()
        deliver_notification(
            message.get_body().decode("utf-8", "replace"),
            settings=built.settings,
            services=built.services,
        )

    await _DELIVERIES.run(deliver)


@app.function_name("reconcile_resources")
@app.timer_trigger(arg_name="timer", schedule="%RECONCILE_SCHEDULE%", use_monitor=False)
@app.queue_output(arg_name="advance", queue_name=ADVANCE, connection=CONNECTION)
def reconcile_timer(timer: func.TimerRequest, advance: func.Out[List[str]]) -> None:  # noqa: ARG001, UP006
    """Every 15 minutes: remove orphaned resources; every live run compares its endpoint with its record."""
    built = bootstrap.app()
    advance.set(reconcile_resources(settings=built.settings, services=built.services))


@app.function_name("reconcile_uploads")
@app.timer_trigger(arg_name="timer", schedule="%RECONCILE_SCHEDULE%", use_monitor=False)
@app.queue_output(arg_name="advance", queue_name=ADVANCE, connection=CONNECTION)
def uploads_timer(timer: func.TimerRequest, advance: func.Out[List[str]]) -> None:  # noqa: ARG001, UP006
    """Every 15 minutes: open the runs of uploads that no event opened."""
    built = bootstrap.app()
    advance.set(reconcile_uploads(container=UPLOADS, settings=built.settings, services=built.services))


register_routes(app, ROUTES, bootstrap.APP)
