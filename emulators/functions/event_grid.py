"""Event Grid's webhooks: what all have in common, and the one of the functions with an Event Grid trigger.

Source of the protocol: the Event Grid extension, HttpRequestProcessor and EventGridExtensionConfigProvider,
https://github.com/Azure/azure-sdk-for-net/tree/main/sdk/eventgrid/Microsoft.Azure.WebJobs.Extensions.EventGrid
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from emulators.functions.bindings import event_grid_event
from emulators.functions.indexing import Function
from emulators.functions.invocation import Invoker
from emulators.functions.keys import check_key, presented_key


class EventGridEvents:
    """Hands the events that are posted to the webhook to functions."""

    def __init__(self, functions: Sequence[Function], key: str, invoker: Invoker) -> None:
        """Take the functions that have an Event Grid trigger."""
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


async def answer_webhook(
    request: Request,
    key: str,
    function: Function | None,
    take: Callable[[Function, list[dict[str, Any]]], Awaitable[None]],
) -> Response:
    """Answer a call of a webhook: the handshake, or 202 once `take` has taken the events.

    A key is not asked for, as Azure Functions Core Tools do not, but a wrong one is refused.

    Args:
        request: The call.
        key: What it may be made with.
        function: Which function it names, if it names one.
        take: Called with the function and its events, at least one.

    Raises:
        HTTPException: The call is not what Event Grid would send.
    """
    if presented_key(request) is not None:
        check_key(request, key)
    if function is None:
        raise HTTPException(404, "functionName names no function of this webhook")
    try:
        body = json.loads(await request.body())
    except ValueError as error:
        raise HTTPException(400, "the body is not JSON") from error
    events = body if isinstance(body, list) else [body]
    if not events or not all(isinstance(event, dict) for event in events):
        raise HTTPException(400, "the body must be an event or a list of events")
    match request.headers.get("aeg-event-type"), events[0].get("data"):
        case "Notification", _:
            await take(function, events)
            return Response(status_code=202)
        case "SubscriptionValidation", {"validationCode": code}:
            return JSONResponse({"validationResponse": code})
    raise HTTPException(400, "aeg-event-type must be Notification, or SubscriptionValidation with its code")
