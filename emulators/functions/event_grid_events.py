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
from emulators.functions.invocation import Invoker
from emulators.functions.webhook import answer_webhook


class EventGridEvents:
    """Hands the events that are posted to the webhook to functions."""

    def __init__(self, functions: Sequence[Function], key: str, invoker: Invoker) -> None:
        """Take the functions with an Event Grid trigger, what calls are made with, and who runs functions."""
        self._functions = {function.name.lower(): function for function in functions}
        self._key = key
        self._invoker = invoker

    async def webhook(self, request: Request) -> Response:
        """Answer Event Grid: the validation handshake, or 202 once every event was worked on.

        Raises:
            InvocationError: A function failed; Event Grid is to deliver again.
        """
        function = self._functions.get(request.query_params.get("functionName", "").lower())
        return await answer_webhook(request, self._key, function, self._take)

    async def _take(self, function: Function, events: list[dict[str, Any]]) -> None:
        invocations = [self._invoker.invoke(function, event_grid_event(event)) for event in events]
        # The one failure is reported only after the others have ended.
        for outcome in await asyncio.gather(*invocations, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome
