"""Faults: which requests, operations, jobs or containers fail, how, when, and how often.

A fault is matched against calls (``status``, ``delay``, ``reset``, ``lost_answer``, ``slow_body``), against
long-running operations (``operation``), against nodes of jobs (``job``) or against scoring (``container``).
The README has the JSON with examples.
"""

from __future__ import annotations

import re
import threading
import uuid
from typing import Any

import msgspec


class Match(msgspec.Struct, forbid_unknown_fields=True):
    """What a fault applies to; a field left out matches everything.

    Attributes:
        operation: Name of a route (``deployments.put``), or kind of a long-running operation.
        method: HTTP method.
        path: Regular expression, searched for in the path.
        target: Name of the endpoint, ``endpoint/deployment``, job or compute, for effects on those.
    """

    operation: str | None = None
    method: str | None = None
    path: str | None = None
    target: str | None = None


class Outcome(msgspec.Struct, forbid_unknown_fields=True):
    """How a long-running operation ends: ``Succeeded``, ``Failed``, ``Canceled`` or ``Never``."""

    status: str = "Failed"
    error: dict[str, Any] | None = None
    seconds: float | None = None


class JobFailure(msgspec.Struct, forbid_unknown_fields=True):
    """The node of a job that fails, and what its run says."""

    child: str
    message: str
    code: str = "UserError"


class Container(msgspec.Struct, forbid_unknown_fields=True):
    """How the container behind a deployment behaves.

    Attributes:
        seconds: Time that each request takes in it besides.
        status: Its own status; anything but 200 becomes 424 to the caller.
        cut_after: Pieces of a streamed answer after which the connection breaks.
        engine: Error of the model's engine, when the container starts: its health stays good, and it answers
            nothing (images that serve with vLLM only).
    """

    seconds: float = 0.0
    status: int = 200
    reason: str = "Internal Server Error"
    cut_after: int | None = None
    engine: str | None = None


class Fault(msgspec.Struct, forbid_unknown_fields=True):
    """One fault.

    Attributes:
        match: What it applies to.
        nth: The first matching occasion that it hits, counted from one.
        count: On how many occasions it hits; None: on all of them.
        status: Response with this status instead of serving the call.
        body: Of that answer; any JSON value, or text as it is.
        headers: Of that answer (``Retry-After``, say).
        delay: Seconds before the call is served.
        reset: Close the connection instead of serving the call.
        lost_answer: Serve the call, then close the connection instead of answering.
        slow_body: Seconds between the first and the second half of the answer's body.
        operation: How the long-running operation that the call begins will end.
        job: Which node of the job will fail.
        container: How scoring behaves.
        seen: Matching occasions so far; set by the emulator.
        id: The fault's own name; set by the emulator.
    """

    match: Match = msgspec.field(default_factory=Match)
    nth: int = 1
    count: int | None = 1
    status: int | None = None
    body: Any = None
    headers: dict[str, str] = {}
    delay: float = 0.0
    reset: bool = False
    lost_answer: bool = False
    slow_body: float = 0.0
    operation: Outcome | None = None
    job: JobFailure | None = None
    container: Container | None = None
    seen: int = 0
    id: str = ""

    @property
    def hits(self) -> int:
        """How often it has hit."""
        due = max(self.seen - self.nth + 1, 0)
        return due if self.count is None else min(due, self.count)

    @property
    def on_calls(self) -> bool:
        """Whether it changes the response to a call, not the operation that the call starts."""
        return not (self.operation or self.job or self.container)


class Faults:
    """The faults that are set. Thread-safe."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> str:
        """Sets one more; returns its id.

        Raises:
            re.error: Its path is no regular expression.
        """
        re.compile(fault.match.path or "")
        fault.id, fault.seen = uuid.uuid4().hex, 0
        with self._lock:
            self._faults.append(fault)
        return fault.id

    def clear(self) -> None:
        """Takes all of them away."""
        with self._lock:
            self._faults.clear()

    def all(self) -> list[Fault]:
        """Those that are set, with how often each has matched."""
        with self._lock:
            return list(self._faults)

    def on_call(self, operation: str, method: str, path: str) -> Fault | None:
        """The fault that hits a call, if any; it counts as one occasion."""
        return self._hit(
            lambda fault: (
                fault.on_calls
                and fault.match.operation in (None, operation)
                and fault.match.method in (None, method)
                and re.search(fault.match.path or "", path) is not None
            )
        )

    def outcome_of(self, kind: str, target: str) -> dict[str, Any]:
        """How an operation that begins now is to end; an empty answer leaves it alone."""
        fault = self._hit(lambda one: one.operation is not None and _applies(one.match, kind, target))
        if fault is None or fault.operation is None:
            return {}
        outcome = msgspec.to_builtins(fault.operation)
        return {name: value for name, value in outcome.items() if value is not None}

    def failure_of(self, job: str, node: str) -> tuple[str, str] | None:
        """Code and message with which a node of a job is to fail, if it is."""
        fault = self._hit(
            lambda one: one.job is not None and one.job.child == node and one.match.target in (None, job)
        )
        return (fault.job.code, fault.job.message) if fault and fault.job else None

    def container_of(self, target: str) -> Container | None:
        """How the container of ``endpoint/deployment`` behaves for one request, if a fault says so."""
        fault = self._hit(
            lambda one: (
                one.container is not None
                and one.container.engine is None
                and _applies(one.match, "score", target)
            )
        )
        return fault.container if fault else None

    def engine_failure_of(self, target: str) -> str | None:
        """The error with which the engine of ``endpoint/deployment`` fails to start, if a fault says so."""
        fault = self._hit(
            lambda one: (
                one.container is not None
                and one.container.engine is not None
                and _applies(one.match, "deployment.start", target)
            )
        )
        return fault.container.engine if fault and fault.container else None

    def _hit(self, matches: Any) -> Fault | None:
        with self._lock:
            for fault in self._faults:
                if not matches(fault):
                    continue
                fault.seen += 1
                last = None if fault.count is None else fault.nth + fault.count - 1
                if fault.seen >= fault.nth and (last is None or fault.seen <= last):
                    return fault
        return None


def _applies(match: Match, operation: str, target: str) -> bool:
    return match.operation in (None, operation) and match.target in (None, target)
