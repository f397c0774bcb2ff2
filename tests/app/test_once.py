"""The app is built once a process, whoever asks for it and however many ask at once."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from shared.once import Once

ROOT = Path(__file__).parents[2]
CALLERS = 24
SECONDS = 30.0


class Builder:
    """Counts its builds, each of which takes until it is let go; the first ones may fail."""

    def __init__(self, failures: int = 0) -> None:
        self.builds = 0
        self.threads: set[int] = set()
        self.began, self.go = threading.Event(), threading.Event()
        self._failures = failures

    def __call__(self) -> object:
        """Build."""
        self.builds += 1
        self.began.set()
        self.threads.add(threading.get_ident())
        assert self.go.wait(SECONDS)
        if self.builds <= self._failures:
            raise OSError(f"build {self.builds}")
        return object()


def test_threads_share_one_build() -> None:
    """24 cold requests at once: one build, and all get what it built, as does whoever comes later."""
    build = Builder()
    once = Once(build)
    with ThreadPoolExecutor(CALLERS) as threads:
        waiting = [threads.submit(once.get) for _ in range(CALLERS)]
        build.go.set()
        built = {id(future.result(SECONDS)) for future in waiting}
    assert (len(built), build.builds) == (1, 1)
    assert id(once.get()) in built


def test_a_failed_build_is_shared_by_those_who_waited_and_then_forgotten() -> None:
    """All who came while it was built get its failure; the next one to ask builds anew."""
    build = Builder(failures=1)
    once = Once(build)
    with ThreadPoolExecutor(CALLERS) as threads:
        first = threads.submit(once.get)
        assert build.began.wait(SECONDS)
        others = [threads.submit(once.get) for _ in range(CALLERS - 1)]
        build.go.set()
        faults = [future.exception(SECONDS) for future in (first, *others)]
    # Who was scheduled only after the failure has asked anew, and shares the second build.
    assert {str(fault) for fault in faults if fault is not None} == {"build 1"}
    once.get()
    assert build.builds == 2


async def test_tasks_share_one_build_in_another_thread() -> None:
    """The event loop goes on while the app is built, and threads and tasks wait for the same build."""
    build = Builder()
    once = Once(build)
    tasks = [asyncio.create_task(once.get_async()) for _ in range(CALLERS)]
    thread = asyncio.create_task(asyncio.to_thread(once.get))
    await asyncio.sleep(0)
    assert not any(task.done() for task in tasks)
    build.go.set()
    built = {id(value) for value in await asyncio.gather(*tasks, thread)}
    assert (len(built), build.builds) == (1, 1)
    assert threading.get_ident() not in build.threads
    assert id(await once.get_async()) in built


async def test_a_caller_that_leaves_does_not_take_the_build_along() -> None:
    """The first request is cancelled while it builds; the others get the app nevertheless."""
    build = Builder()
    once = Once(build)
    first, second = asyncio.create_task(once.get_async()), asyncio.create_task(once.get_async())
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    build.go.set()
    assert await second is await once.get_async()
    assert build.builds == 1


async def test_a_failed_build_reaches_every_task() -> None:
    """And the next one to ask gets the app."""
    build = Builder(failures=1)
    once = Once(build)
    asking = asyncio.gather(*(once.get_async() for _ in range(CALLERS)), return_exceptions=True)
    await asyncio.sleep(0)
    build.go.set()
    outcomes = await asking
    assert [str(outcome) for outcome in outcomes if isinstance(outcome, OSError)] == ["build 1"] * CALLERS
    assert await once.get_async() is once.get()
    assert build.builds == 2


def test_the_worker_builds_one_app() -> None:
    """24 cold requests at once, in a fresh process with the example's settings."""
    values = json.loads((ROOT / "local.settings.json.example").read_text())["Values"]
    command = [sys.executable, "-m", "bench.first_calls", "threads", "once"]
    storage = "DefaultEndpointsProtocol=http;AccountName=a;AccountKey=YQ==;BlobEndpoint=http://127.0.0.1:9/a"
    environment = {**os.environ, **values, "TrainingStorage": storage}
    said = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, check=True)
    assert json.loads(said.stdout)["apps"] == 1
