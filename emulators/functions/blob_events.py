"""Blob events: the Event Grid webhook, and the queue between it and the blob functions.

The webhook only enqueues; the event survives a crash from the moment it was answered with 202.
Source of the formats: the Storage Blobs extension, BlobTriggerMessage and HttpRequestProcessor,
https://github.com/Azure/azure-sdk-for-net/tree/main/sdk/storage/Microsoft.Azure.WebJobs.Extensions.Storage.Blobs
"""

import json
import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from azure.storage.blob import BlobClient
from starlette.requests import Request
from starlette.responses import Response

from emulators.functions.bindings import DeliveredMessage, blob_client
from emulators.functions.indexing import Function
from emulators.functions.invocation import Invoker
from emulators.functions.requests import Keys, problem
from emulators.functions.storage import HOST_CONNECTION, Queues
from emulators.functions.webhook import answer_webhook

log = logging.getLogger("host.blobs")

POISON_QUEUE = "webjobs-blobtrigger-poison"


def trigger_queue(host_id: str) -> str:
    """The queue that holds blob events until they are processed."""
    return f"azure-webjobs-blobtrigger-{host_id}"


class PathPattern:
    """The path of a blob trigger, `container/name`, in which `{x}` stands for any text."""

    def __init__(self, path: str) -> None:
        """Read a path such as `uploads/{name}`."""
        literals = re.split(r"\{\w+\}", path)
        self._expression = re.compile(".+?".join(map(re.escape, literals)), re.DOTALL)

    def matches(self, container: str, name: str) -> bool:
        """Whether a blob is one that the trigger asks for."""
        return self._expression.fullmatch(f"{container}/{name}") is not None


class BlobEvents:
    """Takes events in at the webhook and hands them to functions from the queue."""

    def __init__(
        self, functions: Sequence[Function], queues: Queues, queue: str, keys: Keys, invoker: Invoker
    ) -> None:
        """Read the paths of the functions that have a blob trigger.

        Args:
            functions: The app's functions, blob-triggered or not.
            queues: Where events wait.
            queue: The name of the queue they wait on.
            keys: What a webhook call may be made with.
            invoker: Runs the functions.
        """
        self._functions = {
            function.id: function for function in functions if function.trigger.type == "blobTrigger"
        }
        self._patterns = {
            function.id: PathPattern(function.trigger.text("path")) for function in self._functions.values()
        }
        self._queues = queues
        self._queue = queue
        self._keys = keys
        self._invoker = invoker

    @property
    def any(self) -> bool:
        """Whether there is a blob function at all."""
        return bool(self._functions)

    async def webhook(self, request: Request) -> Response:
        """Answer Event Grid: the validation handshake, or 202 once every event is on the queue."""
        function = self._functions.get(request.query_params.get("functionName", ""))
        return await answer_webhook(request, self._keys, function, self._take)

    async def _take(self, function: Function, events: list[dict[str, Any]]) -> Response:
        try:
            messages = [_message(function.id, event["data"]) for event in events]
        except (KeyError, TypeError, ValueError):
            return problem(400, "an event lacks data.url, data.eTag or data.blobType")
        await self._enqueue(function, messages)
        return Response(status_code=202)

    async def process(self, delivered: DeliveredMessage) -> None:
        """Invoke the function that an event is for, unless the blob is gone.

        Raises:
            InvocationError: The function failed; the event is to be delivered again.
            ValueError: The message is not one of ours.
        """
        message = json.loads(delivered.body)
        function = self._functions.get(message["FunctionId"])
        if function is None:
            log.warning("Blob event for an unknown function", extra={"function": message["FunctionId"]})
            return
        container, name = message["ContainerName"], message["BlobName"]
        if not await self._queues.blob_exists(function.trigger.text("connection"), container, name):
            log.info("Blob is gone", extra={"function": function.name, "blob": name})
            return
        await self._invoker.invoke(function, blob_client(function, container, name))

    async def _enqueue(self, function: Function, messages: Sequence[Mapping[str, str]]) -> None:
        bodies = []
        for message in messages:
            if self._patterns[function.id].matches(message["ContainerName"], message["BlobName"]):
                bodies.append(json.dumps(message))
            else:
                log.info("Blob does not match the path", extra={"function": function.name, **message})
        await self._queues.send(HOST_CONNECTION, self._queue, bodies)


def _message(function_id: str, data: Any) -> dict[str, str]:
    if urlsplit(str(data["url"])).scheme not in {"http", "https"}:
        raise ValueError("not the address of a blob")
    blob = BlobClient.from_blob_url(data["url"])
    return {
        "Type": "BlobTrigger",
        "FunctionId": function_id,
        "BlobType": str(data["blobType"]),
        "ContainerName": blob.container_name,
        "BlobName": blob.blob_name,
        "ETag": f'"{str(data["eTag"]).strip(chr(34))}"',
    }
