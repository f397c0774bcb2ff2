"""Invokes functions of a package that has no settings, as Microsoft's worker does; a program, not a test.

Arguments: `FOLDER FUNCTION…`. Any Python that a package is for can run it, with that package's requirements
alone. It prints a JSON object: by function the status code of its answer, or the message of its error.
"""

import asyncio
import http.client
import json
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

from emulators.functions.messages import Message
from emulators.functions.worker import Worker, WorkerError

INPUTS = {
    "httpTrigger": lambda: Message(
        http=Message(method="GET", url="http://localhost/", headers={}, query={}, params={}, body=Message())
    ),
    "timerTrigger": lambda: Message(json=json.dumps({"IsPastDue": False})),
}


def get(address: str, invocation_id: str) -> int:
    """Send the worker's own server the request of an invocation; returns the status of its answer."""
    url = urlsplit(address)
    deadline = time.monotonic() + 30
    while True:
        connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=30)
        try:
            connection.request("GET", "/", headers={"x-ms-invocation-id": invocation_id})
            return connection.getresponse().status
        except ConnectionRefusedError:  # it is only starting
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        finally:
            connection.close()


async def invoke(folder: Path, names: list[str]) -> dict[str, int | str]:
    """Invoke each function once.

    Args:
        folder: The package's content.
        names: Of functions with an HTTP or a timer trigger.
    """
    worker = await Worker.start(folder)
    outcomes: dict[str, int | str] = {}
    for function in worker.functions:
        if function.name not in names:
            continue
        trigger = next(
            binding for binding in map(json.loads, function.raw_bindings) if binding["direction"] == "IN"
        )
        inputs = {trigger["name"]: INPUTS[trigger["type"]]()}
        invoking = worker.invoke(function.function_id, function.name, inputs, {})
        try:
            if trigger["type"] == "httpTrigger":
                request = asyncio.to_thread(get, worker.capabilities["HttpUri"], function.name)
                outcomes[function.name], _ = await asyncio.gather(request, invoking)
            else:
                await invoking
        except WorkerError as error:
            outcomes[function.name] = str(error)
    return outcomes


if __name__ == "__main__":
    json.dump(asyncio.run(invoke(Path(sys.argv[1]), sys.argv[2:])), sys.stdout)
