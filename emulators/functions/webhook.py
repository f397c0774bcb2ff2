"""What Event Grid's webhooks have in common: keys, the validation handshake, and the events of a body.

A key is not asked for, as Azure Functions Core Tools do not, but a wrong one is refused.
"""

import json
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from emulators.functions.indexing import Function
from emulators.functions.requests import BodyTooLargeError, Keys, presented_key, problem, read_body


async def answer_webhook(
    request: Request,
    keys: Keys,
    function: Function | None,
    take: Callable[[Function, list[dict[str, Any]]], Awaitable[Response]],
) -> Response:
    """Answer a call of a webhook: the handshake, or what `take` makes of the events, at least one.

    Args:
        request: The call.
        keys: What it may be made with.
        function: Which function it names, if it names one.
        take: Called with the function and its events.
    """
    if presented_key(request) is not None and not keys.allows("FUNCTION", request):
        return problem(401, "the code is not a key of this host")
    if function is None:
        return problem(404, "functionName names no function of this webhook")
    try:
        events = json.loads(await read_body(request))
    except BodyTooLargeError as error:
        return problem(413, str(error))
    except ValueError:
        return problem(400, "the body is not JSON")
    events = events if isinstance(events, list) else [events]
    if not events or not all(isinstance(event, dict) for event in events):
        return problem(400, "the body must be an event or a list of events")
    kind = request.headers.get("aeg-event-type")
    if kind == "SubscriptionValidation":
        data = events[0].get("data")
        if not isinstance(data, dict) or "validationCode" not in data:
            return problem(400, "a validation event needs data.validationCode")
        return JSONResponse({"validationResponse": data["validationCode"]})
    if kind != "Notification":
        return problem(400, "aeg-event-type must be Notification or SubscriptionValidation")
    return await take(function, events)
