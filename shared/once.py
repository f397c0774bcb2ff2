"""A value that is built once a process, however many threads and tasks ask for it at once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")


class Once(Generic[T]):
    """Builds when first asked. Whoever asks meanwhile waits for that build and shares its outcome.

    A failed build is told to everybody who waited for it, then forgotten: the next one to ask builds again.
    """

    def __init__(self, build: Callable[[], T]) -> None:
        self._build = build
        self._lock = threading.Lock()
        self._outcome: Future[T] | None = None

    def get(self) -> T:
        """The value; the calling thread builds it, or waits for the thread that does.

        Raises:
            Exception: Whatever the build raised.
        """
        outcome, first = self._claim()
        if first:
            self._settle(outcome)
        return outcome.result()

    async def get_async(self) -> T:
        """Like `get`, with the build in a thread: the event loop goes on serving everybody else.

        Raises:
            Exception: Whatever the build raised.
        """
        outcome, first = self._claim()
        if first:
            asyncio.get_running_loop().run_in_executor(None, self._settle, outcome)
        if outcome.done():
            return outcome.result()
        # A caller that goes away does not take the build from the others.
        return await asyncio.shield(asyncio.wrap_future(outcome))

    def _claim(self) -> tuple[Future[T], bool]:
        with self._lock:
            if self._outcome is not None:
                return self._outcome, False
            self._outcome = Future()
            self._outcome.set_running_or_notify_cancel()
            return self._outcome, True

    def _settle(self, outcome: Future[T]) -> None:
        try:
            value = self._build()
        except BaseException as fault:  # whoever waits must hear of it, whatever it is
            with self._lock:
                self._outcome = None
            outcome.set_exception(fault)
        else:
            outcome.set_result(value)
