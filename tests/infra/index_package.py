"""`index_package.py FOLDER`: the functions of an app as Microsoft's worker indexes them.

It needs the standard library, the app's packages and the worker alone, so that any interpreter that Azure
offers can run it on a package. No setting is looked up: `%NAME%` stays as it is declared.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from emulators.functions.worker import Worker, WorkerError


def main(folder: str) -> int:
    """Print each function's `name` and `bindings`, as in a `function.json`, or why the app does not index.

    Returns:
        0 if the worker takes the app, else 1.
    """
    try:
        worker = asyncio.run(Worker.start(Path(folder)))
    except WorkerError as error:
        print(error, file=sys.stderr)
        return 1
    functions = [
        {"name": function.name, "bindings": [json.loads(binding) for binding in function.raw_bindings]}
        for function in sorted(worker.functions, key=lambda function: str(function.name))
    ]
    print(json.dumps(functions, indent=2, sort_keys=True))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
