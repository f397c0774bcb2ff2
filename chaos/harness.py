"""One case after another: what it does to a run, and what the auditor says of the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from types import TracebackType
from typing import NamedTuple, Self

from azureml_emulator import INSTANT, FaultHandle, Pace

from chaos.fleet import Fleet
from chaos.host import Host, Plans
from chaos.world import Upload, World, world
from shared.domain.run.stages import Stage

LONGEST_SECONDS = 240.0
"""Azurite stands still for minutes when it collects garbage, which it does when it has run for ten."""


class Verdict(NamedTuple):
    """What came of one case.

    Attributes:
        injected: How many times the fault was really met.
        runs: How many runs it was about.
        expected: How many of them ended as they should have.
        duplicates: Jobs, model versions, endpoints and deployments beyond the first of a run.
        leaked: Endpoints that are there, and jobs that run, after the end.
        lost: Runs that never ended.
        note: What to tell when anything of that is wrong.
        hit_calls: `METHOD target` of the calls that were hit.
        longest: Seconds of the longest invocation.
    """

    injected: int
    runs: int
    expected: int
    duplicates: int
    leaked: int
    lost: int
    note: str = ""
    hit_calls: tuple[str, ...] = ()
    longest: float = 0.0


class Case(NamedTuple):
    """Something to try: the fault's name, as in the table, and how to try it."""

    fault: str
    run: Callable[[], Verdict]


class Harness:
    """Where cases are tried: emulators and workers, started anew now and then.

    Attributes:
        world: The emulators.
        fleet: The workers.
    """

    world: World
    fleet: Fleet

    def __init__(self, alter: str | None = None, **environment: str) -> None:
        """Describe it; entering the context starts it.

        Args:
            alter: See `Fleet`.
            environment: Variables that workers have besides the usual ones.
        """
        self._alter, self._environment = alter, environment
        self._exits = ExitStack()
        self._pace = INSTANT
        self._started = 0.0

    def __enter__(self) -> Self:
        self.world = self._exits.enter_context(world())
        self.fleet = self._exits.enter_context(
            Fleet(self.world.environment(**self._environment), self._alter)
        )
        self._started = time.monotonic()
        self.set_pace(self._pace)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exits.close()

    def set_pace(self, pace: Pace) -> None:
        """Say how long things take in Azure ML from now on."""
        self._pace = pace
        self.world.emulator.set_pace(pace)

    def renew(self) -> None:
        """Start everything anew if it has run for long. No case may be under way."""
        if time.monotonic() - self._started > LONGEST_SECONDS:
            self._exits.close()
            self.__enter__()

    def host(self, plans: Plans | None = None, *, warm: bool = False, upload: Upload | None = None) -> Host:
        """A host with that upload, or with a new one; see `Host`."""
        return Host(self.world, self.fleet, upload or self.world.upload(), plans, warm=warm)

    def assess(
        self,
        host: Host,
        end: Stage | None,
        expected: frozenset[Stage],
        *,
        injected: int | None = None,
        faults: Sequence[FaultHandle] = (),
        holds: bool = True,
        redeployed: int = 0,
        started: int = 0,
    ) -> Verdict:
        """Compare the end with what it should be.

        Args:
            host: What carried the run.
            end: The stage that it ended in; None if it did not.
            expected: The stages that it may end in.
            injected: How often the fault was met; if left out, how many calls were hit, and how often
                the emulator met its faults.
            faults: Those faults.
            holds: Whether everything else that the case looks at was right.
            redeployed: Deployments beside the run's own: the base model's, or made anew since somebody else
                deleted one.
            started: How often somebody had the run's model deployed again.
        """
        audit = host.world.audit(host.upload)
        audit = replace(audit, deployments=audit.deployments - redeployed)
        right = end in expected and holds
        at_end = end in {Stage.STOPPED, Stage.DELETED}
        record = host.world.record(host.upload.run_id) if at_end else None
        if record is not None and record.error is None:
            # It went all the way: then there was one of everything, and only what had failed was made again.
            right = right and (audit.jobs, audit.models, audit.endpoints - audit.replaced) == (1, 1, 1)
            right = right and 1 <= audit.deployments <= audit.attempts + audit.replaced
            # A later fault takes the place of `EndpointFailed` on the record, and leaves the count.
            failed = record.rebuilds > 0 or (
                record.last_fault is not None and record.last_fault.code == "EndpointFailed"
            )
            right = right and (failed or audit.replaced == started)
        wrong = not right or audit.duplicates or audit.running or end is None
        note = self._explain(host, end) if wrong else ""
        if not wrong:
            host.world.forget(host.upload)
        met = len(host.hit_calls) + sum(fault.hits for fault in faults) if injected is None else injected
        hit_calls = tuple(host.hit_calls)
        lost = int(end is None)
        return Verdict(
            met, 1, int(right), audit.duplicates, audit.running, lost, note, hit_calls, host.longest
        )

    def _explain(self, host: Host, end: Stage | None) -> str:
        entry = host.world.entry(host.upload.run_id)
        why = ""
        if entry is not None and entry.stage is not None:
            record = host.world.record(host.upload.run_id)
            failure = record.error or record.last_fault
            why = f"; {failure.code}: {failure.message}" if failure else ""
        hits = ", ".join(_short(call) for call in host.hit_calls[:6])
        return (
            f"{host.upload.run_id} ended as {end}; {host.world.audit(host.upload)}{why}; "
            f"hit: {hits or 'nothing'}; deaths: {host.deaths}; raised: {dict(host.faults)}"
        )


def _short(call: str) -> str:
    method, _, target = call.partition(" ")
    return f"{method} …{target.partition('?')[0][-60:]}"
