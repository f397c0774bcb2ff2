"""Event Grid functions: their webhook, which invokes a function once an event and answers when that is done.

Source of the protocol: the Event Grid extension, HttpRequestProcessor and EventGridExtensionConfigProvider,
https://github.com/Azure/azure-sdk-for-net/tree/main/sdk/eventgrid/Microsoft.Azure.WebJobs.Extensions.EventGrid
"""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from emulators.functions.bindings import event_grid_event
from emulators.functions.indexing import Function
from emulators.functions.invocation import InvocationError, Invoker
from emulators.functions.keys import Keys, presented_key
from emulators.functions.problems import problem
from emulators.functions.request_body import BodyTooLargeError, read_body


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

        A key is not asked for, as Azure Functions Core Tools do not, but a wrong one is refused. When a
        function fails the answer is 500, and Event Grid delivers again.
        """
        if presented_key(request) is not None and not self._keys.allows("FUNCTION", request):
            return problem(401, "the code is not a key of this host")
        function = self._functions.get(request.query_params.get("functionName", "").lower())
        if function is None:
            return problem(404, "functionName names no Event Grid function")
        try:
            events = await _read_events(request)
        except BodyTooLargeError as error:
            return problem(413, str(error))
        except ValueError:
            return problem(400, "the body must be an event or a list of events, as JSON")
        kind = request.headers.get("aeg-event-type")
        if kind == "SubscriptionValidation":
            return _handshake(events[0])
        if kind != "Notification":
            return problem(400, "aeg-event-type must be Notification or SubscriptionValidation")
        invocations = [self._invoker.invoke(function, event_grid_event(event)) for event in events]
        outcomes = await asyncio.gather(*invocations, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, InvocationError):
                return problem(500, f"{outcome}; the host's log tells why")
        return Response(status_code=202)


async def _read_events(request: Request) -> list[dict[str, Any]]:
    """The events of a body, of which there is at least one.

    Raises:
        BodyTooLargeError: It is over the platform's limit.
        ValueError: It is not JSON, or holds anything else.
    """
    events = json.loads(await read_body(request))
    events = events if isinstance(events, list) else [events]
    if not events or not all(isinstance(event, dict) for event in events):
        raise ValueError("not a list of events")
    return events


def _handshake(event: dict[str, Any]) -> Response:
    data = event.get("data")
    if not isinstance(data, dict) or "validationCode" not in data:
        return problem(400, "a validation event needs data.validationCode")
    return JSONResponse({"validationResponse": data["validationCode"]})
