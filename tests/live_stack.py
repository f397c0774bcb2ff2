"""One stack with a model that is live, shared by tests: its first user starts it, the last stops it.

The stack is the child of a process of its own (`python -m tests.live_stack`), since pytest's workers come
and go. Each user holds a connection to that process. The kernel closes it even when a worker crashes, so
that counting connections counts users. A file lock decides who starts the process.

Tests keep apart by the names of their datasets. The pace and the faults of the emulated Azure ML belong to
the whole stack: the tests that change them run in one worker (see `tests/conftest.py`).
"""

from __future__ import annotations

import fcntl
import json
import selectors
import socket
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from local.processes import exit_on_termination, ignore_signals, wait_until
from local.settings import ROOT
from local.stack import Stack
from tests.e2e.runs import SAMPLES, follow, run_of, upload
from tests.notifications.receiver import Received, Receiver

DATASET = "bakery"
SECRET = "whsec_c2lnbmVkIGJ5IHRoZSBhcHA="
PRICE_PER_HOUR = 3.67
SETTINGS = {
    "WEBHOOK_SECRET": SECRET,
    "PRICES_PER_HOUR": json.dumps({"Standard_NC24ads_A100_v4": PRICE_PER_HOUR}),
    "PRICE_CURRENCY": "USD",
    "SETTLE_SECONDS": "0",
    # No run is to wait for another test's.
    "MAX_TRAINING_RUNS": "0",
    "MAX_LIVE_ENDPOINTS": "0",
}
ATTRIBUTES = (
    *("port", "functions_url", "function_key", "blob_connection_string", "azureml_url"),
    *("ca_bundle", "environment"),
)
"""What a user of a stack that runs elsewhere knows of it."""

START_SECONDS = 300.0
STOP_SECONDS = 60.0
READY = "ready.json"
WELCOME = b"+"


@dataclass(frozen=True)
class Notifications:
    """What the webhook's receiver was sent, read from the file where it notes each request."""

    journal: Path

    @property
    def received(self) -> list[Received]:
        """Every request so far."""
        lines = self.journal.read_text().splitlines() if self.journal.exists() else []
        told = [json.loads(line) for line in lines]
        return [Received(one["headers"], one["body"].encode()) for one in told]


@dataclass(frozen=True)
class LiveStack:
    """A stack, the run of the dataset that is live in it, and who is told of its stages."""

    stack: Stack
    run_id: str
    notifications: Notifications


@contextmanager
def live_stack_in(folder: Path) -> Iterator[LiveStack]:
    """Use the stack that belongs to a folder, which is started if it does not run.

    Raises:
        RuntimeError: It did not start; the message ends with its log.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "start.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        joined = _join(folder / READY)
        if joined is None:
            _start(folder)
            joined = _join(folder / READY)
    if joined is None:
        raise RuntimeError(f"the stack in {folder} ended as soon as it was ready")
    with joined:
        told = json.loads((folder / READY).read_text())
        stack = Stack(folder=Path(told["folder"]), host="local")
        for name in ATTRIBUTES:
            setattr(stack, name, told[name])
        try:
            yield LiveStack(stack, told["run_id"], Notifications(Path(told["journal"])))
        finally:
            # The other side hangs up: at once if others stay, or else when everything has stopped.
            joined.shutdown(socket.SHUT_WR)
            joined.settimeout(STOP_SECONDS)
            joined.recv(1)


def _join(ready: Path) -> socket.socket | None:
    """A connection to the process that has the stack, unless there is none, or one that is about to stop."""
    if not ready.exists():
        return None
    with ExitStack() as unless_joined:
        try:
            connection = socket.create_connection(("127.0.0.1", json.loads(ready.read_text())["users"]))
            unless_joined.enter_context(connection)
            if connection.recv(1) != WELCOME:
                return None
        except OSError:
            return None
        unless_joined.pop_all()
        return connection


def _start(folder: Path) -> None:
    own = Path(tempfile.mkdtemp(prefix="stack-", dir=folder))
    log = own / "keeper.log"
    ready = folder / READY
    ready.unlink(missing_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.live_stack", str(own), str(ready)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    wait_until(lambda: ready.exists() or process.poll() is not None, START_SECONDS)
    if not ready.exists():
        process.terminate()
        raise RuntimeError(f"the shared stack did not start\n{log.read_text()}")
    # It outlives this worker, if need be: it is no child to be waited for.
    process.returncode = 0


class _Journal(list[Received]):
    """Requests that are noted in a file, too."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self._file = file

    def append(self, one: Received) -> None:
        """Note it."""
        line = json.dumps({"headers": dict(one.headers), "body": one.body.decode()})
        with self._file.open("a") as file:
            file.write(line + "\n")


def keep(folder: Path, ready: Path) -> None:
    """Run the stack until its last user is gone."""
    journal = folder / "notifications.jsonl"
    with (
        Receiver(received=_Journal(journal)) as receiver,
        Stack(
            folder=folder, host="local", pace="fast", settings={**SETTINGS, "WEBHOOK_URL": receiver.url}
        ) as stack,
        socket.create_server(("127.0.0.1", 0)) as server,
    ):
        upload(stack, f"{DATASET}.jsonl", (SAMPLES / "ultrachat-sample.jsonl").read_bytes())
        with stack.client() as api:
            run_id = run_of(api, DATASET)
            follow(api, run_id, "live")
        # That run took a while, so that it has times and costs; the tests' own take none.
        trust = ssl.create_default_context(cafile=stack.ca_bundle)
        with httpx.Client(base_url=stack.azureml_url, verify=trust, trust_env=False, timeout=60) as azureml:
            azureml.patch("/_emulator/state", json={"pace": "instant"}).raise_for_status()
        told = {
            **{name: getattr(stack, name) for name in ATTRIBUTES},
            "folder": str(folder),
            "run_id": run_id,
            "journal": str(journal),
            "users": server.getsockname()[1],
        }
        unfinished = ready.with_suffix(".unfinished")
        unfinished.write_text(json.dumps(told))
        unfinished.replace(ready)
        # Whoever is last waits until this process ends, and with it the connection.
        last = _serve_users(server)
        ignore_signals()
        server.close()
    if last is not None:
        last.close()


def _serve_users(server: socket.socket) -> socket.socket | None:
    """Wait until everybody who came is gone; returns the last one's connection, None if nobody came."""
    users = 0
    with selectors.DefaultSelector() as selector:
        selector.register(server, selectors.EVENT_READ)
        while True:
            events = selector.select(timeout=None if users else STOP_SECONDS)
            if not events:
                return None
            for key, _ in events:
                if key.fileobj is server:
                    connection, _ = server.accept()
                    connection.sendall(WELCOME)
                    selector.register(connection, selectors.EVENT_READ)
                    users += 1
                    continue
                assert isinstance(key.fileobj, socket.socket)
                selector.unregister(key.fileobj)
                users -= 1
                if not users:
                    return key.fileobj
                key.fileobj.close()


if __name__ == "__main__":
    exit_on_termination()
    keep(Path(sys.argv[1]), Path(sys.argv[2]))
