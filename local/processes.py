"""Child processes: started with their output in a log file, stopped by pid together with their children.

What a child is and when it is ready belongs to whoever starts it.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

FIRST_POLL_SECONDS = 0.02
LAST_POLL_SECONDS = 0.25
POLL_SHARE = 0.1
"""Polls are this share of the time waited so far apart: what is asked has work to do meanwhile."""


class ProcessError(RuntimeError):
    """A child process ended, or was not ready in time; the message ends with the tail of its log."""


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Poll `condition` until it holds.

    Args:
        condition: Asked at once, after 20 ms, and then ever more rarely, up to every 0.25 s.
        seconds: How long to go on asking.

    Returns:
        Whether the condition held before the time was up.
    """
    began = time.monotonic()
    while not condition():
        waited = time.monotonic() - began
        if waited >= seconds:
            return False
        time.sleep(min(max(waited * POLL_SHARE, FIRST_POLL_SECONDS), LAST_POLL_SECONDS))
    return True


def exit_on_termination() -> None:
    """Turn SIGTERM into SystemExit, so that contexts are left in order as they are on Ctrl-C.

    SIGINT is taken back, too: a shell starts what it puts in the background with it ignored.
    """
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    signal.signal(signal.SIGINT, signal.default_int_handler)


def ignore_signals() -> None:
    """Keep an impatient second Ctrl-C from interrupting the stopping itself."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _ends_with_parent() -> list[str]:
    """A prefix that has the kernel end a program when the thread that started it is gone.

    Even a killed launcher leaves nothing running then. Linux has it, and Debian always has `setpriv`.
    """
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM", "--"] if setpriv else []


class ChildProcess:
    """One running program, in a process group of its own, so that stopping it leaves no grandchild."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> None:
        """Start the program.

        Args:
            name: What messages call it.
            command: Program and arguments; no shell reads them.
            log: Where its standard output and error go, appended.
            environment: Its whole environment; this process's when left out.
            folder: Its working directory.

        Raises:
            ProcessError: The program does not exist or may not be run.
        """
        self.name = name
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        # Lines of earlier runs stay in the log; readers of this run start here.
        self._log_start = log.stat().st_size if log.exists() else 0
        with log.open("ab") as output:
            try:
                self._process = subprocess.Popen(
                    [*_ends_with_parent(), *command],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=None if environment is None else dict(environment),
                    cwd=folder,
                    start_new_session=True,
                )
            except OSError as error:
                raise ProcessError(f"{name} cannot be started: {error}") from error

    @property
    def pid(self) -> int:
        """The process id, which is also the id of its process group."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    @property
    def returncode(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        return self._process.poll()

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal, and its children none."""
        self._process.send_signal(number)

    def output(self) -> str:
        """What this run has written so far."""
        with self.log.open("rb") as file:
            file.seek(self._log_start)
            return file.read().decode(errors="replace")

    def wait_ready(self, ready: Callable[[], bool], seconds: float) -> None:
        """Wait until `ready` holds.

        Raises:
            ProcessError: The process ended first, or the time was up.
        """
        if not wait_until(lambda: not self.alive or ready(), seconds):
            raise self._failure(f"was not ready after {seconds:g} s")
        if not self.alive:
            raise self._failure(f"ended with code {self._process.returncode} before it was ready")

    def stop(self, grace_seconds: float = 5.0) -> None:
        """Ask it to end, kill what has not ended in time, and collect it. Stopping twice is fine."""
        self._signal_group(signal.SIGTERM)
        try:
            self._process.wait(grace_seconds)
        except subprocess.TimeoutExpired:
            self.kill()
        # A grandchild may have outlived its parent: the group id stays taken while one does.
        self._signal_group(signal.SIGKILL)

    def kill(self) -> None:
        """Kill it and its children at once, as a crash would."""
        self._signal_group(signal.SIGKILL)
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _signal_group(self, number: signal.Signals) -> None:
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            return

    def _failure(self, what: str) -> ProcessError:
        tail = "\n".join(self.output().splitlines()[-20:])
        return ProcessError(f"{self.name} {what} ({self.log})\n{tail}".rstrip())
