"""Invokes functions of a package that has no settings, as Microsoft's worker does; a program, not a test.

Arguments: `FOLDER FUNCTION…`. Any Python that a package is for can run it, with that package's requirements
alone. It prints a JSON object: by function the status code of its answer, or the message of its error.
"""

import asyncio
import json
import sys
from pathlib import Path

from emulators.functions.messages import Message
from emulators.functions.worker import Worker, WorkerError

INPUTS = {
    "httpTrigger": lambda: Message(
        http=Message(method="GET", url="http://localhost/", headers={}, query={}, params={}, body=Message())
    ),
    "timerTrigger": lambda: Message(json=json.dumps({"IsPastDue": False})),
}


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
        try:
            response = await worker.invoke(function.function_id, function.name, inputs, {})
        except WorkerError as error:
            outcomes[function.name] = str(error)
        else:
            outcomes[function.name] = int(response.return_value.http.status_code)
    return outcomes


if __name__ == "__main__":
    json.dump(asyncio.run(invoke(Path(sys.argv[1]), sys.argv[2:])), sys.stdout)
