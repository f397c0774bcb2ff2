"""Blocking work of one kind, in so many threads of its own.

The Functions worker runs every function that is not a coroutine in one pool
(`PYTHON_THREADPOOL_THREAD_COUNT`): slow work of one kind would fill it and keep all others waiting.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class ThreadLimit:
    """Runs calls in at most so many threads; further ones wait, and hold up nothing but themselves."""

    def __init__(self, threads: int, name: str) -> None:
        """Start no thread yet; `name` is how they are called."""
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=name)

    async def run(self, call: Callable[[], T]) -> T:
        """Make a call in one of the threads, in the caller's context, so that its spans keep their parent."""
        context = contextvars.copy_context()
        return await asyncio.get_running_loop().run_in_executor(self._threads, context.run, call)
