"""Driving runs through a world of fakes, as the triggers would."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from shared.config import Settings
from shared.domain.run.names import run_id_for
from shared.domain.run.run import Run
from shared.domain.run.stages import Stage
from shared.ports import Services
from shared.workflow.advance import advance_run
from shared.workflow.open_run import take_upload
from tests.app.fakes import World

EXAMPLE = json.loads((Path(__file__).parents[2] / "local.settings.json.example").read_text())["Values"]
SETTINGS = Settings.from_env(
    {
        **EXAMPLE,
        "BASE_MODEL": "Phi-4",
        "SETTLE_SECONDS": "0",
        "DEPLOYMENT_DEADLINE_MINUTES": "120",
        "EVALUATION_ROWS": "4",
    }
)
MOST_ADVANCES = 300


def rows(count: int = 60, tag: str = "") -> bytes:
    """A dataset of so many good conversations."""
    return b"".join(
        json.dumps(
            {
                "messages": [
                    {"role": "user", "content": f"What is {number} times two{tag}?"},
                    {"role": "assistant", "content": f"It is {2 * number}, I should think."},
                ]
            }
        ).encode()
        + b"\n"
        for number in range(count)
    )


def upload(
    world: World, path: str = "support.jsonl", body: bytes | None = None, settings: Settings = SETTINGS
) -> str:
    """Upload a file and open its run, as the blob trigger does."""
    world.uploads.put(path, rows() if body is None else body)
    (run_id,) = take_upload(path, container="uploads", settings=settings, services=world.services)
    return run_id


def advance(world: World, run_id: str, settings: Settings = SETTINGS) -> Run:
    """Advance once, as the queue does."""
    run = advance_run(run_id, settings=settings, services=world.services)
    assert run is not None
    return run


def drive(world: World, run_id: str, until: Stage, settings: Settings = SETTINGS) -> Run:
    """Advance whenever the run is due, with all operations done by then, until it reaches a stage."""
    for _ in range(MOST_ADVANCES):
        run = advance(world, run_id, settings)
        if run.stage is until:
            return run
        assert run.due is not None, f"{run_id} is {run.stage}: {run.error}"
        world.now = max(world.now, run.due)
        world.cloud.settle()
    raise AssertionError(f"{run_id} is still {run.stage}: {run.last_fault}")


def stages(run: Run) -> list[str]:
    """The way that a run has taken."""
    return [entry.stage.value for entry in run.history]


class Crash(BaseException):
    """The process dies."""


@dataclass
class Trip:
    """Counts the calls of all ports, and lets one of them go wrong, before or after it does its work."""

    at: int = -1
    after: bool = False
    error: Callable[[], BaseException] = Crash
    only: frozenset[str] | None = None
    calls: list[str] = field(default_factory=list)

    def step(self, name: str, call: Callable[[], Any]) -> Any:
        """Make a call, or let it fail."""
        if self.only is not None and name.partition(".")[0] not in self.only:
            return call()
        self.calls.append(name)
        hit = len(self.calls) - 1 == self.at
        if hit and not self.after:
            raise self.error()
        result = call()
        if hit:
            raise self.error()
        return result


class Fragile:
    """A port whose calls are counted."""

    def __init__(self, name: str, port: Any, trip: Trip) -> None:
        self._name = name
        self._port = port
        self._trip = trip

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._port, name)
        return lambda *args, **kwargs: self._trip.step(
            f"{self._name}.{name}", lambda: attribute(*args, **kwargs)
        )


def fragile(services: Services, trip: Trip) -> Services:
    """The same services, with every call of every port counted."""
    uncounted = {"now", "jitter", "telemetry"}
    ports: dict[str, Any] = {
        each.name: Fragile(each.name, getattr(services, each.name), trip)
        for each in fields(Services)
        if each.name not in uncounted
    }
    return replace(services, **ports)


def whole_life(world: World, trip: Trip, survives: tuple[type[BaseException], ...]) -> Run:
    """From upload to stopped, with a host that calls again when an invocation fails."""
    services = fragile(world.services, trip)
    world.uploads.put("support.jsonl", rows())
    file = world.uploads.find("support.jsonl")
    assert file is not None
    run_id = run_id_for("uploads", file.path, file.etag)
    heard = False
    for _ in range(MOST_ADVANCES):
        try:
            if not heard:
                take_upload(file.path, container="uploads", settings=SETTINGS, services=services)
            run = advance_run(run_id, settings=SETTINGS, services=services)
            # An event is repeated until its function has come to its end.
            heard = True
        except survives:
            continue
        assert run is not None
        if run.at_rest:
            return run
        assert run.due is not None
        world.now = max(world.now + timedelta(seconds=1), run.due)
        world.cloud.settle()
    raise AssertionError("the run did not come to an end")
