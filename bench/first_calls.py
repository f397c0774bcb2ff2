"""The first calls of a fresh worker: `python -m bench.first_calls threads|loop once|cache`.

One measure a process. `once` is the app as it is; `cache` builds it by `functools.cache`, in the thread or on
the event loop that asks for it.
"""

from __future__ import annotations

import asyncio
import functools
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import function_app  # noqa: F401 - as the worker has done by the time of the first call
from shared import bootstrap

CALLERS = 24
BEAT_SECONDS = 0.002


def main() -> None:
    """Print one JSON object."""
    measure, way = sys.argv[1:]
    cached = functools.cache(bootstrap._build)
    if measure == "threads":
        print(json.dumps(_threads(bootstrap.app if way == "once" else cached)))
    else:

        async def build() -> object:
            return cached()

        print(json.dumps(asyncio.run(_loop(bootstrap.APP.get_async if way == "once" else build))))


def _threads(build) -> dict[str, float]:
    """How many apps 24 requests at once build, and how long the last of them waits."""
    together = Barrier(CALLERS)

    def ask() -> object:
        together.wait()
        return build()

    with ThreadPoolExecutor(CALLERS) as threads:
        began = time.perf_counter()
        apps = [future.result() for future in [threads.submit(ask) for _ in range(CALLERS)]]
        seconds = time.perf_counter() - began
    return {"apps": len({id(app) for app in apps}), "seconds": round(seconds, 3)}


async def _loop(build) -> dict[str, float]:
    """How long the event loop stands still while the first asynchronous call builds the app."""
    longest, last = 0.0, time.perf_counter()
    first = asyncio.ensure_future(build())
    while not first.done():
        await asyncio.sleep(BEAT_SECONDS)
        now = time.perf_counter()
        longest, last = max(longest, now - last - BEAT_SECONDS), now
    return {"longest_pause_seconds": round(longest, 3)}


if __name__ == "__main__":
    main()
