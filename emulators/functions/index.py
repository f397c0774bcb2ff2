"""`python -m emulators.functions.index FOLDER`: the functions of an app as Microsoft's worker indexes them.

It needs the standard library, the app's packages and the worker alone, so that any interpreter that Azure
offers can run it on a package. No setting is looked up: `%NAME%` stays as it is declared.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from emulators.functions.worker import Worker, WorkerError


def main(arguments: list[str] | None = None) -> int:
    """Print a JSON array, or on standard error why the app does not index.

    Each element has `name` and `bindings`, each as in a `function.json`; sorted by name.

    Returns:
        0 if the worker takes the app, else 1.
    """
    parser = argparse.ArgumentParser("python -m emulators.functions.index", description=__doc__)
    parser.add_argument("folder", type=Path, help="an app's root: a checkout or an unpacked package")
    try:
        functions = asyncio.run(_index(parser.parse_args(arguments).folder))
    except WorkerError as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps(functions, indent=2, sort_keys=True))
    return 0


async def _index(folder: Path) -> list[dict[str, Any]]:
    worker = await Worker.start(folder)
    described = [
        {
            "name": function.name,
            "bindings": [json.loads(binding) for binding in function.raw_bindings],
        }
        for function in worker.functions
    ]
    return sorted(described, key=lambda function: str(function["name"]))


if __name__ == "__main__":
    sys.exit(main())
