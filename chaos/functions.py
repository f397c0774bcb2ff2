"""The app's functions as a host calls them: by Microsoft's worker, with a message for each binding."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

from azure.storage.queue import QueueMessage

from emulators.functions.bindings import (
    TriggerValue,
    blob_client,
    queue_message,
    queue_output,
    timer_request,
)
from emulators.functions.worker import Worker
from handlers.http.request_changes import cancel_run, delete_endpoint, extend_endpoint, retry_run, start_run
from handlers.http.responses import Response
from shared import bootstrap
from shared.app import App

REQUESTS: dict[str, Callable[[str, App], Response]] = {
    "cancel_run": lambda run_id, app: cancel_run(run_id, app.services),
    "delete_endpoint": lambda run_id, app: delete_endpoint(run_id, app.services),
    "extend_endpoint": lambda run_id, app: extend_endpoint(
        run_id,
        {"hours": 2},
        limits=app.settings.limits(),
        services=app.services,
    ),
    "start_run": lambda run_id, app: start_run(run_id, {}, settings=app.settings, services=app.services),
    "retry_run": lambda run_id, app: retry_run(run_id, app.services),
}
"""What people ask for over HTTP. No event of a host starts these, and their handlers are called directly."""


class Functions:
    """The functions of the app in this process, one invocation after another."""

    def __init__(self, worker: Worker, runner: asyncio.Runner) -> None:
        """Take the worker that has indexed the app, and an event loop for it."""
        self._worker = worker
        self._runner = runner
        self._functions = {function.name: function for function in worker.functions}

    def call(self, name: str, argument: str, delivery: int) -> list[str]:
        """Carry out an invocation.

        Args:
            name: The function.
            argument: Blob name, run id or message, as the function takes it.
            delivery: 1 for the first delivery of the event.

        Returns:
            What the function put on the queue.

        Raises:
            WorkerError: The function raised.
            Exception: A handler that is called directly raised.
        """
        if name in REQUESTS:
            return list(REQUESTS[name](argument, bootstrap.app()).advance)
        function = self._functions[name]
        bindings = map(json.loads, function.raw_bindings)
        (trigger,) = (binding for binding in bindings if binding["direction"] == "IN")
        value = _event(trigger["type"], argument, delivery)
        invoked = self._worker.invoke(
            function.function_id, "chaos", {trigger["name"]: value.data}, value.metadata
        )
        outputs = self._runner.run(invoked).output_data
        return [message for output in outputs for message in queue_output(output.data)]


def _event(trigger: str, argument: str, delivery: int) -> TriggerValue:
    if trigger == "timerTrigger":
        return timer_request(past_due=False)
    if trigger == "blobTrigger":
        return blob_client("TrainingStorage", "uploads", argument)
    message = QueueMessage(argument)
    message.id, message.pop_receipt, message.dequeue_count = "message", "receipt", delivery
    return queue_message(message, argument)
