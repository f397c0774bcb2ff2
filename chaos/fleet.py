"""Workers as a harness sees them: processes that are started, given work, and found dead."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from chaos.wire import FaultKind
from chaos.worker import Invocation, Outcome

ROOT = Path(__file__).parents[1]
START_SECONDS = 180.0
"""For importing every SDK once, on a machine that is busy with other things."""

STUCK_SECONDS = 120.0
"""An invocation that takes longer than this counts as one that never ends."""


class WorkerDiedError(Exception):
    """The worker's process ended in the middle of an invocation."""

    def __init__(self, at: tuple[str, str] | None) -> None:
        super().__init__(f"the worker died at {at}")
        self.at = at


class Worker:
    """One process of the app."""

    def __init__(self, connection: socket.socket) -> None:
        """Take over the connection that the process has opened."""
        connection.settimeout(STUCK_SECONDS)
        self._connection = connection
        self._lines = connection.makefile("rb")
        self.pid = int(self._lines.readline())
        self.lost = False

    def run(self, invocation: Invocation, on_pause: Callable[[], None] = lambda: None) -> Outcome:
        """Have one invocation carried out to its end.

        Args:
            invocation: What is to be done.
            on_pause: Called while the worker stands still; it goes on afterwards.

        Raises:
            WorkerDiedError: The process is gone.
        """
        self.begin(invocation)
        return self.finish(on_pause)

    def begin(self, invocation: Invocation) -> None:
        """Hand an invocation over, and do not wait."""
        self._connection.sendall(msgspec.json.encode(invocation) + b"\n")

    def finish(self, on_pause: Callable[[], None] = lambda: None) -> Outcome:
        """Wait for the end of the invocation; see `run`."""
        at = None
        while line := self._next():
            outcome = msgspec.json.decode(line, type=Outcome)
            if outcome.halted is None:
                return outcome
            at = outcome.halted
            if at[0] == FaultKind.PAUSE_BEFORE:
                on_pause()
                self._connection.sendall(b"\n")
        raise WorkerDiedError(at)

    def _next(self) -> bytes:
        try:
            return self._lines.readline()
        except TimeoutError:
            # Nobody else may get it.
            os.kill(self.pid, signal.SIGKILL)
            self.lost = True
            raise

    def close(self) -> None:
        """Hang up; an idle worker ends by itself."""
        self._lines.close()
        self._connection.close()


class Fleet:
    """Forks workers from a process that has imported everything already."""

    def __init__(self, environment: Mapping[str, str], alter: str | None = None) -> None:
        """Describe the workers.

        Args:
            environment: All their environment variables.
            alter: `module:function` that changes their services; tests break the app with it.
        """
        self._environment = dict(environment)
        self._alter = [alter] if alter else []
        self._lock = threading.Lock()
        self._idle: list[Worker] = []
        self._folder = tempfile.TemporaryDirectory(prefix="chaos-")

    def __enter__(self) -> Self:
        address = str(Path(self._folder.name) / "workers")
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(address)
        self._listener.listen(64)
        self._listener.settimeout(START_SECONDS)
        self._parent = subprocess.Popen(
            [sys.executable, "-m", "chaos.worker", address, *self._alter],
            stdin=subprocess.PIPE,
            env=self._environment,
            cwd=ROOT,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._parent.stdin is not None
        for worker in self._idle:
            worker.close()
        self._parent.stdin.close()
        self._parent.wait(START_SECONDS)
        self._listener.close()
        self._folder.cleanup()

    def spawn(self, **environment: str) -> Worker:
        """Start a worker: nothing cached, no connection open; with some variables of its own."""
        with self._lock:
            assert self._parent.stdin is not None
            self._parent.stdin.write(json.dumps(environment).encode() + b"\n")
            self._parent.stdin.flush()
            connection, _ = self._listener.accept()
        return Worker(connection)

    def acquire(self) -> Worker:
        """A worker that other runs have used before, or a new one: what a busy host has."""
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return self.spawn()

    def release(self, worker: Worker) -> None:
        """Keep an acquired worker alive and idle."""
        if worker.lost:
            worker.close()
            return
        with self._lock:
            self._idle.append(worker)
