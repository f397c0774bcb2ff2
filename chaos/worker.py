"""A worker of the app in a process of its own, to be killed at will.

`python -m chaos.worker SOCKET` imports the app and its SDKs once and then forks a worker for each line of
its standard input, a JSON object of environment variables of its own. A worker connects to SOCKET and
carries out one invocation after another: what `function_app` does in each trigger, with the time given
from outside, so that waiting costs none.
"""

from __future__ import annotations

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

from chaos.wire import Injection, Wire, watch
from handlers.events.advance_message import handle_advance_message
from handlers.events.dataset_uploaded import open_run_for_upload
from handlers.http.request_changes import cancel_run, delete_endpoint, extend_endpoint, retry_run
from handlers.timers.reconcile_resources import reconcile_resources
from handlers.timers.schedule_due_runs import schedule_due_runs
from shared import adapters, bootstrap
from shared.config import Settings
from shared.domain.run.stages import Stage
from shared.ports import Services
from shared.workflow.advance import advance_run

HEAVY = (
    "azure.ai.ml.dsl._component_func",
    "azure.ai.ml.entities._component.component_factory",
    "azure.ai.ml.entities._job.pipeline._load_component",
    "azure.identity._credentials.app_service",
    "azureml.mlflow._store.tracking.store",
    "azureml.mlflow._tracking.request_header.azureml_request_header_provider",
    "aiohttp",
    "mlflow.tracking.request_header.registry",
    *(module.name for module in pkgutil.walk_packages(adapters.__path__, "shared.adapters.")),
)
"""What a first run imports: once for all workers instead of once in each."""

TELL_SECONDS = 100.0
"""An invocation that takes longer says on standard error where it stands, before the harness gives it up."""


class Invocation(msgspec.Struct, frozen=True, omit_defaults=True):
    """One call of a function by its host.

    Attributes:
        function: A key of `FUNCTIONS`.
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


def _dataset_uploaded(call: Invocation, settings: Settings, services: Services) -> list[str]:
    run_id = open_run_for_upload(call.argument, container="uploads", settings=settings, services=services)
    if run_id is not None:
        advance_run(run_id, settings=settings, services=services)
    return []


def _advance_run(call: Invocation, settings: Settings, services: Services) -> list[str]:
    handle_advance_message(call.argument, delivery=call.delivery, settings=settings, services=services)
    return []


def _extend(call: Invocation, settings: Settings, services: Services) -> list[str]:
    most = settings.endpoint_max_lifetime_hours
    return list(extend_endpoint(call.argument, {"hours": 2}, most_hours=most, services=services).advance)


FUNCTIONS: dict[str, Callable[[Invocation, Settings, Services], list[str]]] = {
    "dataset_uploaded": _dataset_uploaded,
    "advance_run": _advance_run,
    "schedule_due_runs": lambda _call, _settings, services: schedule_due_runs(services),
    "reconcile_resources": lambda _call, settings, services: reconcile_resources(
        settings=settings, services=services
    ),
    "cancel_run": lambda call, _settings, services: list(cancel_run(call.argument, services).advance),
    "delete_endpoint": lambda call, _settings, services: list(
        delete_endpoint(call.argument, services).advance
    ),
    "extend_endpoint": _extend,
    "retry_run": lambda call, _settings, services: list(retry_run(call.argument, services).advance),
}


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


def serve(address: str, alter: Callable[[Services], Services]) -> None:
    """Carry out invocations until the harness hangs up."""
    channel = _Channel(address)
    wire = Wire(
        lambda fault, target: channel.send(Outcome(halted=(fault, target))),
        lambda: None if channel.receive() else sys.exit(),
    )
    watch(wire)
    random.seed()
    settings = Settings.from_env(os.environ)
    clock: list[datetime] = []
    services: Services | None = None
    channel.send(os.getpid())
    while line := channel.receive():
        call = msgspec.json.decode(line, type=Invocation)
        clock[:] = [call.now]
        if call.injections is not None:
            wire.plan(call.injections, call.stage)
        began, error, messages = time.monotonic(), None, []
        faulthandler.dump_traceback_later(TELL_SECONDS, file=2)
        try:
            if services is None:
                services = alter(_services(settings, clock))
            messages = FUNCTIONS[call.function](call, settings, services)
        except Exception as fault:  # the host's own catch: whatever a function raises, it is delivered again
            error = f"{type(fault).__name__}: {fault}"
        faulthandler.cancel_dump_traceback_later()
        seconds = time.monotonic() - began
        channel.send(Outcome(error, messages, wire.calls, wire.hit_calls, seconds))
        wire.hit_calls = []


def _services(settings: Settings, clock: list[datetime]) -> Services:
    built = bootstrap.build_services(settings, bootstrap.credential())
    return replace(built, now=lambda: clock[0])


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
                serve(address, alter)
            finally:
                os._exit(0)


if __name__ == "__main__":
    main()
