"""A host that delivers at least once: what Event Grid, the timers and the queue promise, and no more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta

import msgspec

from chaos.fleet import Fleet, Worker, WorkerDiedError
from chaos.wire import Injection
from chaos.worker import Invocation, Outcome
from chaos.world import Upload, World
from shared.domain.run.stages import Stage

MOST_DELIVERIES = 5
"""Of a queue message, before it is poison: `maxDequeueCount` in host.json."""

REDELIVERY = timedelta(seconds=30)
"""`visibilityTimeout` in host.json."""

TIMER = timedelta(minutes=1)
"""`ADVANCE_SCHEDULE`; also the length of a lease."""

_EARLY = frozenset({Stage.RECEIVED, Stage.VALIDATED})

MOST_TICKS = 300
"""A run that is not over after this many ticks of the timer is lost."""

Plans = Iterator[list[Injection]]


class Host:
    """Carries one run to its end, on workers that may die at any moment.

    Attributes:
        now: The time, which moves on to when the run is due instead of passing.
        deaths: How many workers died.
        faults: How often an invocation raised, by what it raised.
        calls: Every call of the first worker's life: the run's stage, and `METHOD target`.
        hit_calls: Calls that the plans have hit.
        longest: Duration of the longest invocation, seconds.
        suspended: How often an operator had to bring the run back.
        drops: How many more messages of the queue get lost.
        on_pause: What others do while a worker stands still.
    """

    def __init__(
        self,
        world: World,
        fleet: Fleet,
        upload: Upload,
        plans: Plans | None = None,
        *,
        warm: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Begin with a worker that has done nothing yet.

        Args:
            world: What the workers talk to.
            fleet: Where workers come from.
            upload: What is delivered first.
            plans: A plan for the wire of each worker in turn; none when they run out.
            warm: Whether to take workers that have served other runs, as a busy host would, instead of
                new ones, which make all the calls that there are.
            environment: Variables of this host's workers, if they are not the fleet's; such workers are new.
        """
        self.world, self.fleet, self.upload = world, fleet, upload
        self.now = datetime.now(UTC)
        self.deaths = 0
        self.faults: Counter[str] = Counter()
        self.calls: list[tuple[str, str]] = []
        self.hit_calls: list[str] = []
        self.longest = 0.0
        self.suspended = 0
        self.drops = 0
        self.on_pause: Callable[[], None] = lambda: None
        self._warm = warm and environment is None
        self._environment = dict(environment or {})
        self._plans = plans or iter(())
        self._worker: Worker | None = None
        self._seen: set[Stage] = set()

    def carry(
        self, at_stage: Callable[[Stage], None] = lambda _stage: None, *, opened_by: str | None = None
    ) -> Stage | None:
        """Deliver the upload and everything that follows from it, until the run is over.

        Args:
            at_stage: Called before the first tick that finds the run in a stage: where people interfere.
            opened_by: The timer that is to find the upload, whose event is lost.

        Returns:
            The stage that the run ended in, or None if it is lost.
        """
        try:
            if opened_by is None:
                self.deliver("dataset_uploaded", self.upload.path)
            else:
                self.deliver(opened_by)
            return self._follow(at_stage)
        finally:
            self.close()

    def resume(self, request: str) -> Stage | None:
        """Deliver a caller's request to a run at rest, and everything that follows from it."""
        try:
            for message in self.deliver(request, self.upload.run_id):
                self.deliver("advance_run", message)
            return self._follow(lambda _stage: None)
        finally:
            self.close()

    def _follow(self, at_stage: Callable[[Stage], None]) -> Stage | None:
        for _ in range(MOST_TICKS):
            entry = self.world.entry(self.upload.run_id)
            if entry is None or entry.stage is None:
                return None
            if entry.stage.at_rest:
                return entry.stage
            if entry.stage not in self._seen:
                self._seen.add(entry.stage)
                at_stage(entry.stage)
            if entry.suspended is not None:
                self.suspended += 1
                self.deliver("retry_run", self.upload.run_id)
            self.tick(entry.due)
        return None

    def tick(self, due: datetime | None) -> None:
        """Let the time come at which the run is due, and the timer and the queue do what they do then."""
        self.now = max(self.now + TIMER, due or self.now)
        # Nobody is at work here, and a lease that could not be released has run out by now.
        self.world.expire_lease(self.upload.run_id)
        for message in self.deliver("schedule_due_runs"):
            if message != self.upload.run_id:
                continue
            if self.drops:
                self.drops -= 1
                continue
            self.deliver("advance_run", message)

    def deliver(self, function: str, argument: str = "") -> list[str]:
        """Deliver an event until it is taken, or poison; returns what was put on the queue."""
        for delivery in range(1, MOST_TICKS):
            count = min(delivery, MOST_DELIVERIES)
            outcome = self._attempt(Invocation(function, self.now, argument, count))
            if outcome is not None and outcome.error is None:
                return outcome.messages
            if outcome is not None:
                self.faults[outcome.error or ""] += 1
                if delivery >= MOST_DELIVERIES:
                    break
            self.now += REDELIVERY
        return []

    def run_concurrently(self, function: str, argument: str = "") -> Outcome:
        """Have another worker of the same app, without a plan, carry out one invocation at the same time."""
        worker = self._engage()
        outcome = worker.run(Invocation(function, self.now, argument, injections=[]))
        self._let_go(worker, dead=False)
        return outcome

    def close(self, *, dead: bool = False) -> None:
        """Let the worker go."""
        if self._worker is not None:
            self._let_go(self._worker, dead=dead)
            self._worker = None

    def _let_go(self, worker: Worker, *, dead: bool) -> None:
        if self._warm and not dead:
            self.fleet.release(worker)
        else:
            worker.close()

    def _engage(self) -> Worker:
        if self._warm:
            return self.fleet.acquire()
        # A datastore of its own, so that its creation is part of the run.
        return self.fleet.spawn(**{"DATASTORE_NAME": f"s_{self.upload.dataset}", **self._environment})

    def _attempt(self, invocation: Invocation) -> Outcome | None:
        if self._worker is None:
            self._worker = self._engage()
            entry = self.world.entry(self.upload.run_id)
            stage = entry.stage if entry is not None and entry.stage is not None else Stage.RECEIVED
            plan = next(self._plans, [])
            invocation = msgspec.structs.replace(invocation, injections=plan, stage=stage)
        try:
            outcome = self._worker.run(invocation, self.on_pause)
        except WorkerDiedError as death:
            self.deaths += 1
            if death.at is not None:
                self.hit_calls.append(death.at[1])
            self.close(dead=True)
            # The lease outlives its holder; sixty seconds of waiting would show nothing more.
            self.world.expire_lease(self.upload.run_id)
            entry = self.world.entry(self.upload.run_id)
            # Once the job is there, another instance of the app does as well as a new process.
            self._warm = self._warm or (entry is not None and entry.stage not in _EARLY)
            return None
        self.longest = max(self.longest, outcome.seconds)
        if self.deaths == 0:
            self.calls = outcome.calls
        self.hit_calls += outcome.hit_calls
        return outcome
