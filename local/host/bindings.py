"""Values of bindings, decoded and encoded by the converters of the real Functions packages.

A worker receives these values over gRPC; here they are put in the same envelopes (`Datum`), so that what a
function sees locally is made by the code that makes it in Azure.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import azure.functions as func
from azure.functions import meta

from local.host.indexing import Function, IndexingError


@dataclass(frozen=True, slots=True)
class DeliveredMessage:
    """One delivery of a storage queue message, its body decoded."""

    id: str
    body: str | bytes
    dequeue_count: int
    pop_receipt: str
    inserted_on: datetime | None = None
    expires_on: datetime | None = None
    next_visible_on: datetime | None = None


class OutputValue(func.Out[Any]):
    """What a function sets on an output parameter."""

    def __init__(self) -> None:
        self._value: Any = None

    def set(self, val: Any) -> None:
        """Keep the value until the function has returned."""
        self._value = val

    def get(self) -> Any:
        """The value that was last set."""
        return self._value


@dataclass(frozen=True, slots=True)
class _BlobReference:
    """Stands for the `ModelBindingData` message that a host sends instead of a blob's content."""

    content: str
    version: str = "1.0"
    source: str = "AzureStorageBlobs"
    content_type: str = "application/json"


def http_request(
    *,
    method: str,
    url: str,
    headers: Mapping[str, str],
    query: Mapping[str, str],
    route: Mapping[str, str],
    body: bytes,
) -> func.HttpRequest:
    """The argument of an HTTP-triggered function."""

    def texts(values: Mapping[str, str]) -> dict[str, meta.Datum]:
        return {name: meta.Datum(value, "string") for name, value in values.items()}

    envelope = {
        "method": meta.Datum(method, "string"),
        "url": meta.Datum(url, "string"),
        "headers": texts(headers),
        "query": texts(query),
        "params": texts(route),
        "body": meta.Datum(body, "bytes"),
    }
    request: func.HttpRequest = _converter("httpTrigger").decode(
        meta.Datum(envelope, "http"), trigger_metadata={}
    )
    return request


def http_response(value: Any) -> tuple[int, dict[str, str], list[str], bytes]:
    """Status, headers, Set-Cookie lines and body of what an HTTP-triggered function returned.

    Raises:
        NotImplementedError: It returned neither a response, nor text, nor nothing.
    """
    if value is None:
        return 204, {}, [], b""
    datum = _converter("http").encode(value, expected_type=None)
    if datum.type == "string":
        return 200, {"content-type": "text/plain; charset=utf-8"}, [], datum.value.encode()
    envelope = datum.value
    cookies = [morsel.OutputString() for jar in envelope["cookies"] or [] for morsel in jar.values()]
    headers = {name.lower(): header.value for name, header in envelope["headers"].items()}
    return int(envelope["status_code"].value), headers, cookies, envelope["body"].value


def queue_message(message: DeliveredMessage) -> Any:
    """The argument of a queue-triggered function."""

    def moment(value: datetime | None) -> meta.Datum | None:
        return None if value is None else meta.Datum(value.isoformat(), "string")

    metadata = {
        "Id": meta.Datum(message.id, "string"),
        "DequeueCount": meta.Datum(message.dequeue_count, "int"),
        "PopReceipt": meta.Datum(message.pop_receipt, "string"),
        "InsertionTime": moment(message.inserted_on),
        "ExpirationTime": moment(message.expires_on),
        "NextVisibleTime": moment(message.next_visible_on),
    }
    kind = "string" if isinstance(message.body, str) else "bytes"
    return _converter("queueTrigger").decode(meta.Datum(message.body, kind), trigger_metadata=metadata)


def timer_request(*, past_due: bool) -> Any:
    """The argument of a timer-triggered function."""
    envelope = json.dumps({"IsPastDue": past_due, "ScheduleStatus": {}, "Schedule": {}})
    return _converter("timerTrigger").decode(meta.Datum(envelope, "json"), trigger_metadata={})


def event_grid_event(event: Mapping[str, Any]) -> Any:
    """The argument of an Event Grid-triggered function."""
    return _converter("eventGridTrigger").decode(meta.Datum(json.dumps(event), "json"), trigger_metadata={})


def blob_client(function: Function, container: str, name: str) -> Any:
    """The argument of a blob-triggered function: an SDK client, made by the blob extension.

    Raises:
        ValueError: The extension cannot make one, for example for want of a connection setting.
    """
    from azurefunctions.extensions import base

    reference = {
        "Connection": function.trigger.text("connection"),
        "ContainerName": container,
        "BlobName": name,
    }
    converter = _registered(base, "blobTrigger")
    return converter.decode(
        base.Datum(_BlobReference(json.dumps(reference)), "model_binding_data"),
        trigger_metadata={},
        pytype=function.annotations[function.trigger.name],
    )


def check_blob_annotation(function: Function) -> None:
    """Refuse blob functions whose parameter the blob extension cannot make.

    Raises:
        IndexingError: The parameter is not one of the extension's SDK types.
    """
    try:
        from azurefunctions.extensions import base
    except ImportError as error:
        raise IndexingError(f"{function.name}: azurefunctions-extensions-bindings-blob is missing") from error
    converter = _registered(base, "blobTrigger")
    annotation = function.annotations.get(function.trigger.name)
    if (
        not isinstance(annotation, type)
        or converter is None
        or not converter.check_input_type_annotation(annotation)
    ):
        raise IndexingError(
            f"{function.name}: this host binds blobs to the types of azurefunctions-extensions-bindings-blob,"
            f" not to {annotation!r}"
        )


def queue_output(value: Any) -> list[str]:
    """The messages that a value set on a queue output stands for; none for None or an empty list.

    Raises:
        NotImplementedError: It is neither text, a queue message, nor a list of them.
    """
    if value is None:
        return []
    datum = _converter("queue").encode(value, expected_type=None)
    if datum.type == "bytes":
        return [datum.value.decode()]
    if datum.type == "string":
        return [datum.value]
    # A JSON array becomes one message an element, anything else one message.
    decoded = json.loads(datum.value)
    items = decoded if isinstance(decoded, list) else [decoded]
    return [item if isinstance(item, str) else json.dumps(item) for item in items]


def _converter(binding: str) -> Any:
    return _registered(meta, binding)


def _registered(module: Any, binding: str) -> Any:
    """The converter that a package has registered; its registry is part of no typed interface."""
    return module.get_binding_registry().get(binding)
