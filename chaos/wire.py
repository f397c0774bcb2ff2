"""The worker's outgoing calls, seen and spoilt below every SDK.

Python's plain sockets, TLS sockets and TLS objects are wrapped in the worker process, where the bytes of a
request are handed over for sending and where those of its answer are picked up. azure-core, azure-storage,
azure-ai-ml, MLflow and aiohttp, waiting or not, all pass here, so that a call that somebody adds tomorrow is
found without being named, and nothing of the app is replaced.

A call is numbered from 0, in the order of sending, from when a plan is laid.
"""

from __future__ import annotations

import errno
import os
import re
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable
from enum import StrEnum
from typing import Any
from weakref import WeakKeyDictionary

import msgspec

_STAGE = re.compile(rb"x-ms-meta-stage: (?!received)(\w+)", re.IGNORECASE)
"""The header with which a run's record is saved: from then on the run is in this stage.

Records are opened as received. When the upload's event comes again, that is tried again, and changes nothing.
"""

_HEAD = 16_384
_REQUEST = re.compile(rb"(GET|PUT|POST|DELETE|HEAD|PATCH|OPTIONS) (\S+) HTTP/1\.[01]\r\n")

_NOTHING_ASKED = b"GET /nothing HTTP/1.1\r\nHost: nobody\r\nConnection: close\r\n\r\n"
"""What is sent in place of a request that must not be served, where something has to come back."""

SLOW_SECONDS = 0.05
"""Pause in the middle of a slow answer: long enough to arrive in pieces, short enough to do it often."""


class FaultKind(StrEnum):
    """What can happen to one call."""

    KILL_BEFORE = "kill before"
    # SIGKILL; not a byte of the request has left.
    KILL_AFTER = "kill after"
    # SIGKILL; the answer has arrived, and the app has not seen it.
    PAUSE_BEFORE = "pause before"
    # The process stands still before the request leaves, until it is told to go on.
    RESET = "connection reset"
    # The request never arrives.
    LOST = "answer lost"
    # The request is served; the connection breaks instead of answering.
    TIMEOUT = "timeout"
    # The request is served; its answer does not come in time.
    STATUS = "error status"
    # The service answers `status`, and does nothing.
    SLOW = "slow body"
    # The answer comes in pieces.


class Injection(msgspec.Struct, frozen=True, omit_defaults=True):
    """A fault for the call of one number, or for the first calls with `path` in their target or in a stage.

    Attributes:
        call: Number of the call; None leaves it to `path`.
        path: What is to be in `METHOD target`, for injections that are not bound to a number.
        stage: The run's stage at the call, likewise.
        times: How many calls the injection hits.
        status: Status of the answer, for `FaultKind.STATUS`.
        retry_after: Seconds in its `Retry-After` header, or None for no such header.
        body: JSON text of that answer.
    """

    fault: FaultKind
    call: int | None = None
    path: str | None = None
    stage: str | None = None
    times: int = 1
    status: int = 503
    retry_after: int | None = None
    body: str = '{"error": {"code": "ServerBusy", "message": "The server is busy."}}'


class _Exchange:
    """One connection's newest request."""

    __slots__ = ("answered", "dead", "fake", "injection", "target")

    def __init__(self) -> None:
        self.answered = True
        self.dead = False
        self.target = ""
        self.injection: Injection | None = None
        self.fake: bytes | None = None


class Wire:
    """Watches this process's connections to other machines, and carries out the plan laid for them."""

    def __init__(self, notify: Callable[[str, str], None], resume: Callable[[], None]) -> None:
        """Begin without a plan.

        Args:
            notify: Told what a kill or a pause is about to hit: fault and `METHOD target`.
            resume: Returns once a pause is over.
        """
        self.calls: list[tuple[str, str]] = []
        self.hit_calls: list[str] = []
        self.stage = "received"
        self._plan: list[Injection] = []
        self._hits: dict[int, int] = {}
        self._notify, self._resume = notify, resume
        self._lock = threading.Lock()
        self._exchanges: WeakKeyDictionary[Any, _Exchange] = WeakKeyDictionary()

    def plan(self, injections: list[Injection], stage: str) -> None:
        """Lay a new plan for a run that is in `stage`, and number calls from 0 again."""
        with self._lock:
            self.calls, self.hit_calls, self.stage = [], [], stage
            self._plan, self._hits = injections, {}

    def sending(self, connection: Any, data: Any) -> Any | None:
        """Look at bytes that are about to leave; returns those that leave in their place, or None."""
        exchange = self._exchanges.get(connection)
        if exchange is None:
            exchange = self._exchanges[connection] = _Exchange()
        head = bytes(memoryview(data)[:_HEAD]) if exchange.answered else b""
        if head and (line := _REQUEST.match(head)):
            exchange.answered = False
            exchange.target = f"{line[1].decode()} {line[2].decode()}"
            exchange.injection = self._begin(exchange)
            if saved := _STAGE.search(head):
                self.stage = saved[1].decode()
            exchange.fake = _fake(exchange.injection)
            if exchange.fake is not None and isinstance(connection, ssl.SSLObject):
                # Who waits on an event loop reads only when something comes.
                return _NOTHING_ASKED
        return data if exchange.fake is None else None

    def receiving(self, connection: Any, take: Callable[[], bytes | int]) -> bytes | int:
        """Let the answer's next bytes in, or something else."""
        exchange = self._exchanges.get(connection)
        if exchange is None:
            return take()
        if exchange.dead:
            # urllib3 looks for an answer even after a failed send.
            raise _broken()
        injection = exchange.injection
        if injection is not None and injection.fault is FaultKind.SLOW:
            time.sleep(SLOW_SECONDS)
            exchange.injection = None
        taken = take()
        if exchange.answered:
            return taken
        exchange.answered = True
        match injection.fault if injection else None:
            case FaultKind.KILL_AFTER:
                self._notify(FaultKind.KILL_AFTER, exchange.target)
                os.kill(os.getpid(), signal.SIGKILL)
            case FaultKind.LOST:
                raise _broken()
            case FaultKind.TIMEOUT:
                raise TimeoutError("timed out")
        return taken

    def fake_of(self, connection: Any, limit: int, take: Callable[[], object] | None = None) -> bytes | None:
        """The next bytes of an invented answer; None if the real one is wanted.

        Args:
            connection: Where they are read.
            limit: How many at most.
            take: Reads the real answer, where there is one in its place.
        """
        exchange = self._exchanges.get(connection)
        if exchange is None or exchange.fake is None:
            return None
        if take is not None and not exchange.answered:
            take()
        piece, exchange.fake = exchange.fake[:limit], exchange.fake[limit:]
        exchange.answered = True
        return piece

    def _begin(self, exchange: _Exchange) -> Injection | None:
        with self._lock:
            number = len(self.calls)
            self.calls.append((self.stage, exchange.target))
            injection = self._next_injection(number, exchange.target)
            if injection is not None:
                self.hit_calls.append(exchange.target)
        match injection.fault if injection else None:
            case FaultKind.KILL_BEFORE:
                self._notify(FaultKind.KILL_BEFORE, exchange.target)
                os.kill(os.getpid(), signal.SIGKILL)
            case FaultKind.PAUSE_BEFORE:
                self._notify(FaultKind.PAUSE_BEFORE, exchange.target)
                self._resume()
            case FaultKind.RESET:
                exchange.answered = exchange.dead = True
                raise _broken()
        return injection

    def _next_injection(self, number: int, target: str) -> Injection | None:
        for index, injection in enumerate(self._plan):
            if injection.call is not None:
                due = injection.call == number
            else:
                here = (injection.path or "") in target and injection.stage in (None, self.stage)
                due = here and self._hits.get(index, 0) < injection.times
            if due:
                self._hits[index] = self._hits.get(index, 0) + 1
                return injection
        return None


def _broken() -> OSError:
    """How a connection says that it is broken; asyncio takes an `SSLError` of this kind for a pause."""
    return ConnectionResetError(errno.ECONNRESET, "connection reset by peer")


def _fake(injection: Injection | None) -> bytes | None:
    if injection is None or injection.fault is not FaultKind.STATUS:
        return None
    body = injection.body.encode()
    head = [
        f"HTTP/1.1 {injection.status} FaultKind",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Connection: close",
    ]
    if injection.retry_after is not None:
        head.append(f"Retry-After: {injection.retry_after}")
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def watch(wire: Wire) -> None:
    """Put `wire` under every socket that this process will open to another machine."""
    plain: Any = socket.socket
    _watch_sending(wire, plain, "send", "sendall")
    _watch_receiving(wire, plain)
    # sendall, recv and recv_into of a TLS socket end up in these two.
    _watch_sending(wire, ssl.SSLSocket, "send")
    _watch_tls_receiving(wire, ssl.SSLSocket)
    # TLS without a socket: what asynchronous clients use.
    _watch_sending(wire, ssl.SSLObject, "write")
    _watch_tls_receiving(wire, ssl.SSLObject)


def _remote(connection: Any) -> bool:
    return bool(connection.family == socket.AF_INET and connection.fileno() >= 0)


def _encrypted(connection: Any) -> bool:
    return getattr(connection, "_sslobj", None) is not None


def _watch_sending(wire: Wire, kind: Any, *names: str) -> None:
    def wrap(name: str) -> None:
        original = getattr(kind, name)

        def watched(self: Any, data: Any, *rest: Any) -> Any:
            ours = _remote(self) if kind is socket.socket else _encrypted(self)
            leaving = wire.sending(self, data) if ours else data
            if leaving is data:
                return original(self, data, *rest)
            if leaving is not None:
                original(self, leaving)
            return None if name == "sendall" else memoryview(data).nbytes

        setattr(kind, name, watched)

    for name in names:
        wrap(name)


def _watch_receiving(wire: Wire, kind: Any) -> None:
    recv, recv_into = kind.recv, kind.recv_into

    def watched_recv(self: Any, size: int, *rest: Any) -> Any:
        fake = wire.fake_of(self, size)
        return wire.receiving(self, lambda: recv(self, size, *rest)) if fake is None else fake

    def watched_recv_into(self: Any, buffer: Any, size: int = 0, *rest: Any) -> Any:
        fake = wire.fake_of(self, size or memoryview(buffer).nbytes)
        if fake is None:
            return wire.receiving(self, lambda: recv_into(self, buffer, size, *rest))
        memoryview(buffer).cast("B")[: len(fake)] = fake
        return len(fake)

    kind.recv, kind.recv_into = watched_recv, watched_recv_into


def _watch_tls_receiving(wire: Wire, tls: Any) -> None:
    read = tls.read

    def watched_read(self: Any, size: int = 1024, buffer: Any = None) -> Any:
        asked = (lambda: read(self, _HEAD)) if tls is ssl.SSLObject else None
        fake = wire.fake_of(self, size, asked)
        if fake is None:
            return wire.receiving(self, lambda: read(self, size, buffer))
        if buffer is None:
            return fake
        memoryview(buffer).cast("B")[: len(fake)] = fake
        return len(fake)

    tls.read = watched_read
