"""A worker that is killed before and after every call that it makes, in every stage.

Each course is first run once unharmed, to record its calls. Then it is run again for each of them and each
side of it, and the host delivers again what the dead worker had in hand.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain, repeat
from typing import Any, NamedTuple

from chaos.arena import Arena, Case, Verdict
from chaos.host import Host
from chaos.wire import Strike, Trouble
from shared.domain.stages import Stage

_PARTICULAR = re.compile(r"d?[0-9a-f]{10,}")
"""What tells the addresses of one run from those of another."""

KILLS = (Trouble.KILL_BEFORE, Trouble.KILL_AFTER)


@dataclass(frozen=True, slots=True)
class Course:
    """A way that a run can take.

    Attributes:
        name: As in the table.
        end: Where it leads.
        since: The stage from which it differs from the main course: earlier calls are that one's.
        hold: Whether to keep the run in that stage until the next tick, by a busy service.
        wish: The function that a caller calls once the run is found in that stage.
        faults: What Azure ML is told to do to the run of a name.
    """

    name: str
    end: Stage
    since: Stage = Stage.RECEIVED
    hold: bool = False
    wish: str | None = None
    faults: Callable[[str], list[dict[str, Any]]] = lambda _run_id: []


def _failing_job(run_id: str) -> list[dict[str, Any]]:
    job = {"child": "chat_completion_finetune", "message": "CUDA out of memory."}
    return [{"match": {"target": run_id}, "job": job}]


def _crashing_deployment(run_id: str) -> list[dict[str, Any]]:
    error = {"message": "ResourceNotReady: User container has crashed or terminated."}
    match = {"operation": "deployment.create", "target": f"{run_id}/main"}
    return [{"match": match, "operation": {"status": "Failed", "error": error}}]


MAIN = Course("upload to teardown", Stage.DELETED)
COURSES = (
    Course("cancel while training", Stage.CANCELED, Stage.TRAINING, hold=True, wish="cancel_run"),
    Course("cancel while deploying", Stage.CANCELED, Stage.DEPLOYING, hold=True, wish="cancel_run"),
    Course("delete while live", Stage.DELETED, Stage.LIVE, wish="delete_endpoint"),
    Course("job fails", Stage.FAILED, Stage.TRAINING, faults=_failing_job),
    Course("deployment fails", Stage.FAILED, Stage.DEPLOYING, faults=_crashing_deployment),
)


class Recording(NamedTuple):
    """The calls of a course, and the number of the first that comes after the caller's wish."""

    calls: list[tuple[str, str]]
    wished: int


def record(arena: Arena, course: Course) -> Recording:
    """Run a course unharmed and note its calls.

    Raises:
        RuntimeError: If it does not end as it should even so.
    """
    host = arena.host(iter([_hold(course)]))
    verdict, wished = _carry(arena, course, host, injected=1)
    if verdict.note:
        raise RuntimeError(f"{course.name}, with nobody in its way: {verdict.note}")
    return Recording(host.calls, wished)


def crashes(arena: Arena, main: list[tuple[str, str]], every: int = 1) -> Iterator[Case]:
    """Every kill of every course.

    Args:
        arena: Where they are tried.
        main: The calls of the main course.
        every: Try each so-many-th call alone.
    """
    yield from _kills(arena, MAIN, main, 0, every)
    for course in COURSES:
        calls, wished = record(arena, course)
        yield from _kills(arena, course, calls, wished or _parting(main, calls), every)


def _kills(
    arena: Arena, course: Course, calls: list[tuple[str, str]], first: int, every: int
) -> Iterator[Case]:
    for number in range(first, len(calls), every):
        for trouble in KILLS:
            strike = Strike(trouble, call=number)
            yield Case(f"{trouble} a call: {course.name}", partial(killed, arena, course, strike))


def killed(arena: Arena, course: Course, strike: Strike) -> Verdict:
    """Run a course whose first worker dies as the strike says."""
    # Who comes after a worker that died early is held, too: the wish is for that stage.
    host = arena.host(chain([[strike, *_hold(course)]], repeat(_hold(course))))
    verdict, _ = _carry(arena, course, host)
    # The hold is not what is counted.
    return verdict._replace(injected=host.deaths)


def _site(call: tuple[str, str]) -> tuple[str, str]:
    """Stage and address, without what differs from one run to the next."""
    stage, target = call
    return stage, _PARTICULAR.sub("…", target.partition("?")[0])


def _parting(main: list[tuple[str, str]], calls: list[tuple[str, str]]) -> int:
    """The number of the last call before two courses part: it is answered differently."""
    pairs = zip(map(_site, main), map(_site, calls), strict=False)
    return next((number for number, (one, other) in enumerate(pairs) if one != other), len(calls)) - 1


def _carry(arena: Arena, course: Course, host: Host, injected: int | None = None) -> tuple[Verdict, int]:
    wished = 0
    for fault in course.faults(host.upload.run_id):
        arena.world.emulator.add_fault(**fault)

    def wish(stage: Stage) -> None:
        nonlocal wished
        if stage is course.since and course.wish is not None:
            wished = len(host.calls)
            host.deliver(course.wish, host.upload.run_id)

    end = host.carry(wish)
    return arena.judge(host, end, frozenset({course.end}), injected=injected), wished


def _hold(course: Course) -> list[Strike]:
    """Not by number: runs that want a place at once may make a call more than the one that was recorded.

    Nor at any call: a new worker first asks for what it can do without.
    """
    busy = Strike(Trouble.STATUS, path="/subscriptions/", stage=course.since, status=429, retry_after=30)
    return [busy] if course.hold else []
