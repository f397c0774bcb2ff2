"""What Event Grid's webhooks have in common: keys, the validation handshake, and the events of a body.

A key is not asked for, as Azure Functions Core Tools do not, but a wrong one is refused.
"""

import json
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from emulators.functions.indexing import Function
from emulators.functions.keys import check_key, presented_key


async def answer_webhook(
    request: Request,
    key: str,
    function: Function | None,
    take: Callable[[Function, list[dict[str, Any]]], Awaitable[None]],
) -> Response:
    """Answer a call of a webhook: the handshake, or 202 once `take` has taken the events.

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
