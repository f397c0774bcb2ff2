"""Blob events: the Event Grid webhook, and the queue between it and the blob functions.

The webhook only enqueues; the event survives a crash from the moment it was answered with 202.
Source of the formats: the Storage Blobs extension, BlobTriggerMessage and HttpRequestProcessor,
https://github.com/Azure/azure-sdk-for-net/tree/main/sdk/storage/Microsoft.Azure.WebJobs.Extensions.Storage.Blobs
"""

import json
import logging
import re
from collections.abc import Sequence
from typing import Any

from azure.storage.blob import BlobClient
from azure.storage.queue import QueueMessage
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from emulators.functions.bindings import blob_client
from emulators.functions.event_grid import answer_webhook
from emulators.functions.indexing import Function
from emulators.functions.invocation import Invoker
from emulators.functions.storage import HOST_CONNECTION, Storage

log = logging.getLogger("host.blobs")

POISON_QUEUE = "webjobs-blobtrigger-poison"


def matches(path: str, container: str, name: str) -> bool:
    """Whether a blob is one that the path of a trigger asks for, in which `{x}` stands for any text."""
    literals = re.split(r"\{\w+\}", path)
    return re.fullmatch(".+?".join(map(re.escape, literals)), f"{container}/{name}", re.DOTALL) is not None


class BlobEvents:
    """Takes events in at the webhook and hands them to functions from the queue."""

    def __init__(
        self, functions: Sequence[Function], storage: Storage, queue: str, key: str, invoker: Invoker
    ) -> None:
        """Take the functions that have a blob trigger, and the queue on which events wait for them."""
        self._functions = {f"Host.Functions.{function.name}": function for function in functions}
        self._storage = storage
        self._queue = queue
        self._key = key
        self._invoker = invoker

    async def webhook(self, request: Request) -> Response:
        """Answer Event Grid: the validation handshake, or 202 once every event is on the queue."""
        function = self._functions.get(request.query_params.get("functionName", ""))
        return await answer_webhook(request, self._key, function, self._take)

    async def process(self, _message: QueueMessage, body: str) -> None:
        """Invoke the function that an event on the queue is for, unless the blob is gone.

        Raises:
            InvocationError: The function failed; the event is to be delivered again.
        """
        event = json.loads(body)
        function = self._functions[event["FunctionId"]]
        connection = function.trigger.text("connection")
        container, name = event["ContainerName"], event["BlobName"]
        if await self._storage.blob_exists(connection, container, name):
            await self._invoker.invoke(function, blob_client(connection, container, name))
        else:
            log.info("Blob is gone", extra={"function": function.name, "blob": name})

    async def _take(self, function: Function, events: list[dict[str, Any]]) -> None:
        try:
            messages = [_message(function, event["data"]) for event in events]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            detail = f"an event lacks data.url, data.eTag or data.blobType: {error}"
            raise HTTPException(400, detail) from error
        bodies = []
        for message in messages:
            if matches(function.trigger.text("path"), message["ContainerName"], message["BlobName"]):
                bodies.append(json.dumps(message))
            else:
                log.info("Blob does not match the path", extra={"function": function.name, **message})
        await self._storage.send(HOST_CONNECTION, self._queue, bodies)


def _message(function: Function, data: Any) -> dict[str, str]:
    blob = BlobClient.from_blob_url(data["url"])
    return {
        "Type": "BlobTrigger",
        "FunctionId": f"Host.Functions.{function.name}",
        "BlobType": str(data["blobType"]),
        "ContainerName": blob.container_name,
        "BlobName": blob.blob_name,
        "ETag": f'"{str(data["eTag"]).strip(chr(34))}"',
    }
