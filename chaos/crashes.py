"""A worker that is killed before every call that it makes, and after every call that changes something.

Each scenario is first run once unharmed, to record its calls. Then it is run again for each of them, and the
host delivers again what the dead worker had in hand. A worker that dies after a read has changed nothing that
one that dies before it, or before the next call, has not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, repeat
from typing import Any, NamedTuple

from chaos.harness import Case, Harness, Verdict
from chaos.host import Host
from chaos.wire import FaultKind, Injection
from chaos.world import Upload
from shared.domain.run.stages import Stage

_PARTICULAR = re.compile(r"d?[0-9a-f]{10,}")
"""What tells the addresses of one run from those of another."""

BEGINNING, END = 50, 30
"""Calls that are tried of a long way off the main one: between them it repeats the same rounds."""

MOST_TRIES = 4
"""Runs that are given to a kill until it meets a call."""

_BASE = "/deployments/base"

_READ = re.compile(r"(GET|HEAD) ")


@dataclass(frozen=True, slots=True)
class Scenario:
    """A way that a run can take.

    Attributes:
        name: As in the table.
        end: Where it leads.
        since: The stage from which it differs from the main scenario: earlier calls are that one's.
        stall: Whether a busy service keeps the run in that stage until the next tick.
        request: The function that a caller calls once the run is found in that stage.
        started: Whether a caller has the stopped run's model deployed again; only calls from then on count.
        faults: What Azure ML is told to do to the run of a name.
        base: Whether the base model is evaluated, too; its deployment must be gone before there is traffic.
            Only calls from the first to the last to it count.
    """

    name: str
    end: Stage
    since: Stage = Stage.RECEIVED
    stall: bool = False
    request: str | None = None
    started: bool = False
    faults: Callable[[str], list[dict[str, Any]]] = lambda _run_id: []
    base: bool = False


def _failing_job(run_id: str) -> list[dict[str, Any]]:
    job = {"child": "chat_completion_finetune", "message": "CUDA out of memory."}
    return [{"match": {"target": run_id}, "job": job}]


def _crashing_deployments(run_id: str, count: int | None = None) -> list[dict[str, Any]]:
    error = {"message": "ResourceNotReady: User container has crashed or terminated."}
    match = {"operation": "deployment.create", "target": f"{run_id}/main"}
    return [{"match": match, "operation": {"status": "Failed", "error": error}, "count": count}]


MAIN = Scenario("upload to teardown", Stage.STOPPED)
SCENARIOS = (
    Scenario("cancel while training", Stage.CANCELED, Stage.TRAINING, stall=True, request="cancel_run"),
    Scenario("cancel while deploying", Stage.CANCELED, Stage.DEPLOYING, stall=True, request="cancel_run"),
    Scenario("delete while live", Stage.DELETED, Stage.LIVE, request="delete_endpoint"),
    Scenario("job fails", Stage.FAILED, Stage.TRAINING, faults=_failing_job),
    Scenario("base model evaluated", Stage.STOPPED, Stage.DEPLOYING, base=True),
    Scenario("stopped and started again", Stage.STOPPED, started=True),
    Scenario("every deployment fails", Stage.STOPPED, Stage.DEPLOYING, faults=_crashing_deployments),
    # The last one: the strategy that works then is tried first from then on.
    Scenario(
        "the third deployment works",
        Stage.STOPPED,
        Stage.DEPLOYING,
        faults=partial(_crashing_deployments, count=2),
    ),
)


class Recording(NamedTuple):
    """The calls of a scenario, and the number of the first that comes after the caller's request."""

    calls: list[tuple[str, str]]
    requested: int


def record(harness: Harness, scenario: Scenario) -> Recording:
    """Run a scenario unharmed and note its calls.

    Raises:
        RuntimeError: If it does not end as it should even so.
    """
    host = harness.host(iter([_stall(scenario)]), upload=_upload(harness, scenario))
    verdict, requested = _carry(harness, scenario, host, injected=1)
    if verdict.note:
        raise RuntimeError(f"{scenario.name}, with nobody in its way: {verdict.note}")
    return Recording(host.calls, requested)


def crashes(harness: Harness, main: list[tuple[str, str]], every: int = 1) -> Iterator[Case]:
    """Every kill of every scenario.

    Args:
        harness: Where they are tried.
        main: The calls of the main scenario.
        every: Try each so-many-th call alone.
    """
    yield from _kills(harness, MAIN, main, 0, every)
    for scenario in SCENARIOS:
        calls, requested = record(harness, scenario)
        first = 0 if scenario.started else requested or _parting(main, calls)
        if scenario.base:
            to_base = [number for number, (_, target) in enumerate(calls) if _BASE in target]
            first, calls = to_base[0], calls[: to_base[-1] + 1]
        yield from _kills(harness, scenario, calls, first, every)


def _kills(
    harness: Harness, scenario: Scenario, calls: list[tuple[str, str]], first: int, every: int
) -> Iterator[Case]:
    numbers: Sequence[int] = range(first, len(calls), every)
    if len(numbers) > BEGINNING + END and scenario is not MAIN:
        numbers = [*numbers[:BEGINNING], *numbers[-END:]]
    for number in numbers:
        for fault in kills_of(calls[number]):
            yield Case(f"{fault} a call: {scenario.name}", partial(killed, harness, scenario, number, fault))


def kills_of(call: tuple[str, str]) -> tuple[FaultKind, ...]:
    """The kills that can make a difference at a call, given as in `Recording.calls`."""
    return (FaultKind.KILL_BEFORE,) if _READ.match(call[1]) else (FaultKind.KILL_BEFORE, FaultKind.KILL_AFTER)


def killed(harness: Harness, scenario: Scenario, call: int, fault: FaultKind) -> Verdict:
    """Run a scenario whose first worker is killed at a call.

    A run whose turn for a slot comes sooner makes fewer calls than the recorded one and may be over before
    that call. Then another run is killed at the last call that this one made.
    """
    for _ in range(MOST_TRIES):
        injection = Injection(fault, call=call)
        # Who comes after a worker that died early is held, too: the request is for that stage.
        unharmed: list[list[Injection]] = [[]] if scenario.started else []
        plans = chain(unharmed, [[injection, *_stall(scenario)]], repeat(_stall(scenario)))
        host = harness.host(plans, upload=_upload(harness, scenario))
        verdict, _ = _carry(harness, scenario, host)
        if host.deaths or verdict.note:
            break
        call = min(call, len(host.calls)) - 1
    # The stall is not what is counted.
    return verdict._replace(injected=host.deaths)


def _site(call: tuple[str, str]) -> tuple[str, str]:
    """Stage and address, without what differs from one run to the next."""
    stage, target = call
    return stage, _PARTICULAR.sub("…", target.partition("?")[0])


def _parting(main: list[tuple[str, str]], calls: list[tuple[str, str]]) -> int:
    """The number of the last call before two scenarios part: it is answered differently."""
    pairs = zip(map(_site, main), map(_site, calls), strict=False)
    return next((number for number, (one, other) in enumerate(pairs) if one != other), len(calls)) - 1


def _carry(
    harness: Harness, scenario: Scenario, host: Host, injected: int | None = None
) -> tuple[Verdict, int]:
    requested = 0
    gone: list[bool] = []
    for fault in scenario.faults(host.upload.run_id):
        harness.world.emulator.add_fault(**fault)

    def request(stage: Stage) -> None:
        nonlocal requested
        if stage is scenario.since and scenario.request is not None:
            requested = len(host.calls)
            host.deliver(scenario.request, host.upload.run_id)
        if stage is Stage.LIVE:
            gone.append(harness.world.deployments(host.upload) == ["main"])

    end = host.carry(request)
    if scenario.started and end is not None:
        end = host.resume("start_run")
    verdict = harness.assess(
        host,
        end,
        frozenset({scenario.end}),
        injected=injected,
        started=int(scenario.started),
        redeployed=int(scenario.base),
        holds=all(gone),
    )
    return verdict, requested


def _upload(harness: Harness, scenario: Scenario) -> Upload:
    return harness.world.upload(options={"evaluate_base": True} if scenario.base else {})


def _stall(scenario: Scenario) -> list[Injection]:
    """Not by number: runs that acquire slots at the same time may make more calls than the recorded one.

    Nor at any call: a new worker first asks for what it can do without.
    """
    busy = Injection(
        FaultKind.STATUS, path="/subscriptions/", stage=scenario.since, status=429, retry_after=30
    )
    return [busy] if scenario.stall else []
