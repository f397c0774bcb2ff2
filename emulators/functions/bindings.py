"""What the host puts in a message for the worker, and what it makes of the message that comes back.

The worker's own converters turn these values into the app's types and back. Forms: the .NET host's
ScriptInvocationContextExtensions and RpcMessageConversionExtensions,
https://github.com/Azure/azure-functions-host/tree/dev/src/WebJobs.Script.Grpc/MessageExtensions
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from emulators.functions.messages import Message

if TYPE_CHECKING:
    from azure.storage.queue import QueueMessage


@dataclass(frozen=True, slots=True)
class TriggerValue:
    """What starts an invocation: the value of the trigger's binding, and the metadata beside it."""

    data: Message
    metadata: Mapping[str, Message] = field(default_factory=dict)


def http_request(
    *,
    method: str,
    url: str,
    route: Mapping[str, str],
    headers: Mapping[str, str] | None = None,
    query: Mapping[str, str] | None = None,
    body: bytes = b"",
) -> TriggerValue:
    """An HTTP request; the worker asks for bodies as bytes and for no metadata (`RawHttpBodyBytes`)."""
    http = Message(
        method=method,
        url=url,
        headers=headers or {},
        query=query or {},
        params=route,
        body=Message(bytes=body) if body else Message(),
    )
    return TriggerValue(Message(http=http))


def http_response(value: Message) -> Response:
    """The answer that a function's return value stands for."""
    if value.WhichOneof("data") == "string":
        return Response(value.string, media_type="text/plain")
    http = value.http
    headers = {name.lower(): text for name, text in http.headers.items()}
    return Response(http.body.bytes, int(http.status_code), headers)


def queue_message(message: QueueMessage, body: str) -> TriggerValue:
    """A queue message, its body decoded; of its metadata texts travel as text, everything else as JSON."""
    times = {
        "InsertionTime": message.inserted_on,
        "ExpirationTime": message.expires_on,
        "NextVisibleTime": message.next_visible_on,
    }
    metadata = {
        "Id": Message(string=message.id),
        "PopReceipt": Message(string=message.pop_receipt),
        "QueueTrigger": Message(string=body),
        "DequeueCount": Message(json=json.dumps(message.dequeue_count)),
    }
    for name, moment in times.items():
        if moment is not None:
            metadata[name] = Message(json=json.dumps(moment.isoformat()))
    return TriggerValue(Message(string=body), metadata)


def timer_request(*, past_due: bool) -> TriggerValue:
    """A tick of a timer."""
    schedule = {"Schedule": {"AdjustForDST": True}, "ScheduleStatus": None, "IsPastDue": past_due}
    return TriggerValue(Message(json=json.dumps(schedule)))


def event_grid_event(event: Mapping[str, Any]) -> TriggerValue:
    """An event, in whichever schema it came."""
    return TriggerValue(Message(json=json.dumps(event)))


def blob_client(connection: str, container: str, name: str) -> TriggerValue:
    """A reference to a blob, from which the worker makes an SDK client."""
    binding = Message(
        version="1.0",
        source="AzureStorageBlobs",
        content_type="application/json",
        content=json.dumps({"Connection": connection, "ContainerName": container, "BlobName": name}),
    )
    return TriggerValue(
        Message(model_binding_data=binding), {"BlobTrigger": Message(string=f"{container}/{name}")}
    )


def queue_output(value: Message) -> list[str]:
    """The messages that a queue output stands for: a JSON array is one message an element."""
    if value.WhichOneof("data") == "string":
        return [value.string]
    decoded = json.loads(value.json)
    items = decoded if isinstance(decoded, list) else [decoded]
    return [item if isinstance(item, str) else json.dumps(item) for item in items]
