"""What the host puts in a message for the worker, and what it makes of the message that comes back.

The worker's own converters turn these values into the app's types and back. Forms: the .NET host's
ScriptInvocationContextExtensions and RpcMessageConversionExtensions,
https://github.com/Azure/azure-functions-host/tree/dev/src/WebJobs.Script.Grpc/MessageExtensions
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from starlette.responses import Response

from emulators.functions.indexing import Function
from emulators.functions.messages import Message


@dataclass(frozen=True, slots=True)
class DeliveredMessage:
    """One delivery of a storage queue message, its body decoded."""

    id: str
    body: str
    dequeue_count: int
    pop_receipt: str
    inserted_on: datetime | None = None
    expires_on: datetime | None = None
    next_visible_on: datetime | None = None


@dataclass(frozen=True, slots=True)
class TriggerValue:
    """What starts an invocation: the value of the trigger's binding, and the metadata beside it."""

    data: Message
    metadata: Mapping[str, Message] = field(default_factory=dict)


def http_request(
    *,
    method: str,
    url: str,
    headers: Mapping[str, str],
    query: Mapping[str, str],
    route: Mapping[str, str],
    body: bytes,
) -> TriggerValue:
    """An HTTP request; the worker asks for bodies as bytes and for no metadata (`RawHttpBodyBytes`)."""
    http = Message(
        method=method,
        url=url,
        headers=headers,
        query=query,
        params=route,
        body=Message(bytes=body) if body else Message(),
    )
    return TriggerValue(Message(http=http))


def http_response(value: Message | None) -> Response:
    """The answer that a function's return value stands for; 204 if there is none."""
    if value is None:
        return Response(status_code=204)
    if value.WhichOneof("data") == "string":
        return Response(value.string, media_type="text/plain")
    http = value.http
    headers = {name.lower(): text for name, text in http.headers.items()}
    response = Response(http.body.bytes, int(http.status_code), headers)
    for cookie in http.cookies or []:
        optional: dict[str, Any] = {
            name: value.value
            for name in ("domain", "path", "secure")
            if (value := getattr(cookie, name)) is not None
        }
        if cookie.max_age is not None:
            optional["max_age"] = int(cookie.max_age.value)
        if cookie.expires is not None:
            optional["expires"] = datetime.fromtimestamp(cookie.expires.value.seconds, UTC)
        http_only = cookie.http_only is not None and cookie.http_only.value
        response.set_cookie(
            cookie.name, cookie.value, httponly=http_only, samesite=cookie.same_site, **optional
        )
    return response


def queue_message(message: DeliveredMessage) -> TriggerValue:
    """A queue message; of its metadata texts travel as text, everything else as JSON."""
    times = {
        "InsertionTime": message.inserted_on,
        "ExpirationTime": message.expires_on,
        "NextVisibleTime": message.next_visible_on,
    }
    metadata = {
        "Id": Message(string=message.id),
        "PopReceipt": Message(string=message.pop_receipt),
        "QueueTrigger": Message(string=message.body),
        "DequeueCount": Message(json=json.dumps(message.dequeue_count)),
        **{
            name: Message(json=json.dumps(moment.isoformat()))
            for name, moment in times.items()
            if moment is not None
        },
    }
    return TriggerValue(Message(string=message.body), metadata)


def timer_request(*, past_due: bool) -> TriggerValue:
    """A tick of a timer."""
    schedule = {"Schedule": {"AdjustForDST": True}, "ScheduleStatus": None, "IsPastDue": past_due}
    return TriggerValue(Message(json=json.dumps(schedule)))


def event_grid_event(event: Mapping[str, Any]) -> TriggerValue:
    """An event, in whichever schema it came."""
    return TriggerValue(Message(json=json.dumps(event)))


def blob_client(function: Function, container: str, name: str) -> TriggerValue:
    """A reference to a blob, from which the worker makes an SDK client."""
    reference = {
        "Connection": function.trigger.text("connection"),
        "ContainerName": container,
        "BlobName": name,
    }
    binding = Message(
        version="1.0",
        source="AzureStorageBlobs",
        content_type="application/json",
        content=json.dumps(reference),
    )
    return TriggerValue(
        Message(model_binding_data=binding), {"BlobTrigger": Message(string=f"{container}/{name}")}
    )


def queue_output(value: Message) -> list[str]:
    """The messages that a queue output stands for: a JSON array is one message an element."""
    kind = value.WhichOneof("data")
    if kind == "bytes":
        return [value.bytes.decode()]
    if kind == "string":
        return [value.string]
    decoded = json.loads(value.json)
    items = decoded if isinstance(decoded, list) else [decoded]
    return [item if isinstance(item, str) else json.dumps(item) for item in items]
