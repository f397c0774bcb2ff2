"""A worker of the app in a process of its own, to be killed at will.

`python -m chaos.worker SOCKET` imports the app and its SDKs once and then forks a worker for each line of
its standard input, a JSON object of environment variables of its own. A worker connects to SOCKET and
carries out one invocation after another: Microsoft's worker invokes the functions of `function_app`, with the
time given from outside, so that waiting costs none.
"""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import importlib
import inspect
import json
import logging
import os
import pkgutil
import random
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from azure.core.credentials import TokenCredential

from chaos.functions import Functions
from chaos.wire import Injection, Wire, watch
from emulators.functions.worker import Worker, WorkerError
from shared import adapters, bootstrap
from shared.config import Settings
from shared.domain.run.stages import Stage
from shared.ports import Services

HEAVY = (
    "azure.ai.ml.dsl._component_func",
    "azure.ai.ml.entities._component.component_factory",
    "azure.ai.ml.entities._job.pipeline._load_component",
    "azure.identity._credentials.app_service",
    "aiohttp",
    "shared.domain.evaluation.measure",
    *(module.name for module in pkgutil.walk_packages(adapters.__path__, "shared.adapters.")),
)
"""What a first run imports: once for all workers instead of once in each."""

ROOT = Path(__file__).parents[1]

TELL_SECONDS = 100.0
"""An invocation that takes longer says on standard error where it stands, before the harness gives it up."""


class Invocation(msgspec.Struct, frozen=True, omit_defaults=True):
    """One call of a function by its host.

    Attributes:
        function: A name that `chaos.functions` knows.
        argument: Blob name, run id or message, as the function takes it.
        delivery: 1 for the first delivery of the event.
        now: The time.
        injections: A new plan for the wire, numbered from this invocation on; None keeps the old one.
        stage: The run's stage when a new plan begins.
    """

    function: str
    now: datetime
    argument: str = ""
    delivery: int = 1
    injections: list[Injection] | None = None
    stage: str = Stage.RECEIVED


class Outcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of an invocation.

    Attributes:
        error: What the function raised, or None.
        messages: What it put on the queue.
        calls: Stage and `METHOD target` of every call since the plan was laid.
        hit_calls: Those that the plan hit during this invocation.
        seconds: How long it took.
        halted: The fault and call at which a worker stands still, or is about to be killed.
    """

    error: str | None = None
    messages: list[str] = []
    calls: list[tuple[str, str]] = []
    hit_calls: list[str] = []
    seconds: float = 0.0
    halted: tuple[str, str] | None = None


class _Channel:
    """Lines of JSON to and from the harness."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.connect(address)
        self._lines = self._socket.makefile("rb")

    def send(self, message: Any) -> None:
        self._socket.sendall(msgspec.json.encode(message) + b"\n")

    def receive(self) -> bytes:
        return self._lines.readline()


def serve(address: str, worker: Worker, alter: Callable[[Services], Services]) -> None:
    """Carry out invocations until the harness hangs up."""
    channel = _Channel(address)
    wire = Wire(
        lambda fault, target: channel.send(Outcome(halted=(fault, target))),
        lambda: None if channel.receive() else sys.exit(),
    )
    watch(wire)
    random.seed()
    clock: list[datetime] = []
    _build_with(clock, alter)
    with asyncio.Runner() as runner:
        functions = Functions(worker, runner)
        channel.send(os.getpid())
        while line := channel.receive():
            call = msgspec.json.decode(line, type=Invocation)
            clock[:] = [call.now]
            if call.injections is not None:
                wire.plan(call.injections, call.stage)
            began, error, messages = time.monotonic(), None, []
            faulthandler.dump_traceback_later(TELL_SECONDS, file=2)
            try:
                messages = functions.call(call.function, call.argument, call.delivery)
            except WorkerError as fault:  # whatever a function raises, it is delivered again
                error = str(fault)
            except Exception as fault:  # of a handler that is called directly, likewise
                error = f"{type(fault).__name__}: {fault}"
            faulthandler.cancel_dump_traceback_later()
            seconds = time.monotonic() - began
            channel.send(Outcome(error, messages, wire.calls, wire.hit_calls, seconds))
            wire.hit_calls = []


def _build_with(clock: list[datetime], alter: Callable[[Services], Services]) -> None:
    """Have the composition root give the services our time, and what is to be tried with them."""
    build = bootstrap.build_services

    def altered(settings: Settings, credential: TokenCredential) -> Services:
        return alter(replace(build(settings, credential), now=lambda: clock[0]))

    bootstrap.build_services = altered  # type: ignore[assignment]


def _unaltered(services: Services) -> Services:
    return services


def _named(name: str) -> Callable[[Services], Services]:
    module, _, function = name.partition(":")
    found: Callable[[Services], Services] = getattr(importlib.import_module(module), function)
    return found


def _reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


def main() -> None:
    """Fork a worker for each line on standard input, until its end."""
    address = sys.argv[1]
    # The SDKs print what they think of the faults that they meet.
    sys.stdout = sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 - for as long as the process lives
    sys.excepthook = lambda _kind, fault, _trace: traceback.print_exception(fault, file=sys.__stderr__)
    alter = _named(sys.argv[2]) if len(sys.argv) > 2 else _unaltered
    for module in HEAVY:
        importlib.import_module(module)
    # Indexed once; it has no thread yet that a fork could lose.
    worker = asyncio.run(Worker.start(ROOT))
    signal.signal(signal.SIGCHLD, lambda _number, _frame: _reap())
    # Faults are what is expected here; the table tells of those that matter.
    logging.getLogger().addHandler(logging.NullHandler())
    # azure-ai-ml asks for it at each submission, and the first time it reads every module's source path.
    inspect.stack()
    # What was imported is never garbage: collecting it again in each child would copy all its pages.
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            sys.stdin.close()
            os.environ.update(json.loads(line))
            try:
                serve(address, worker, alter)
            finally:
                os._exit(0)


if __name__ == "__main__":
    main()
