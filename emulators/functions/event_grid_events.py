"""Event Grid functions: their webhook, which invokes a function once an event and answers when that is done.

Source of the protocol: the Event Grid extension, HttpRequestProcessor and EventGridExtensionConfigProvider,
https://github.com/Azure/azure-sdk-for-net/tree/main/sdk/eventgrid/Microsoft.Azure.WebJobs.Extensions.EventGrid
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from emulators.functions.bindings import event_grid_event
from emulators.functions.indexing import Function
from emulators.functions.invocation import InvocationError, Invoker
from emulators.functions.requests import Keys, problem
from emulators.functions.webhook import answer_webhook


class EventGridEvents:
    """Hands the events that are posted to the webhook to functions."""

    def __init__(self, functions: Sequence[Function], keys: Keys, invoker: Invoker) -> None:
        """Take the functions that have an Event Grid trigger.

        Args:
            functions: The app's functions, of whatever trigger.
            keys: What a webhook call may be made with.
            invoker: Runs the functions.
        """
        self._functions = {
            function.name.lower(): function
            for function in functions
            if function.trigger.type == "eventGridTrigger"
        }
        self._keys = keys
        self._invoker = invoker

    async def webhook(self, request: Request) -> Response:
        """Answer Event Grid: the validation handshake, or 202 once every event was worked on.

        When a function fails the answer is 500, and Event Grid delivers again.
        """
        function = self._functions.get(request.query_params.get("functionName", "").lower())
        return await answer_webhook(request, self._keys, function, self._take)

    async def _take(self, function: Function, events: list[dict[str, Any]]) -> Response:
        invocations = [self._invoker.invoke(function, event_grid_event(event)) for event in events]
        outcomes = await asyncio.gather(*invocations, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, InvocationError):
                return problem(500, f"{outcome}; the host's log tells why")
        return Response(status_code=202)
