"""A worker as in Azure while nothing happens: `python -m bench.idle_worker FOLDER` ticks its minute timer.

Beside Microsoft's worker, which exports what its settings say, there is no host here: its own requests to
storage are none of the app's.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import uuid
from datetime import UTC, datetime
from pathlib import Path

from emulators.functions.bindings import timer_request
from emulators.functions.worker import Worker

FUNCTION = "schedule_due_runs"
LOUD = ("azure", "azure.functions", "urllib3")


def main() -> None:
    """Print the time when the app is ready, wait for a line, tick; then end, which exports what is left."""
    parser = argparse.ArgumentParser("python -m bench.idle_worker", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--ticks", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=60.0, help="between two ticks")
    parser.add_argument("--loud", action="store_true", help="leave libraries at the levels the worker gives")
    options = parser.parse_args()
    # As the worker does before it imports an app:
    # https://github.com/Azure/azure-functions-python-worker, dispatcher.py and logging.py
    logging.getLogger().setLevel(logging.INFO)
    logging.getLogger("azure.functions").setLevel(logging.INFO)
    asyncio.run(_tick(options))


async def _tick(options: argparse.Namespace) -> None:
    worker = await Worker.start(options.folder)
    (function,) = [one.function_id for one in worker.functions if one.name == FUNCTION]
    if options.loud:
        for name in LOUD:
            logging.getLogger(name).setLevel(logging.INFO)
    print(datetime.now(UTC).isoformat(), flush=True)
    sys.stdin.readline()
    for tick in range(options.ticks):
        if tick:
            await asyncio.sleep(options.seconds)
        value = timer_request(past_due=False)
        await worker.invoke(function, str(uuid.uuid4()), {"timer": value.data}, value.metadata)
    if options.ticks > 1:
        await asyncio.sleep(options.seconds)
    worker.close()


if __name__ == "__main__":
    main()
