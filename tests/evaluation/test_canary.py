"""A canary: a share of the requests for a while, then the name, and back to nothing when it does badly."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from handlers.http.datasets import roll_back
from shared.domain.run.current_model import CurrentModel, SwitchKind
from shared.domain.run.run import Run
from shared.domain.run.stages import Stage
from shared.serving.canary import LEAST_REQUESTS, CanaryWatch
from shared.serving.endpoint_directory import EndpointDirectory
from shared.workflow.advance import advance_run
from tests.app.fakes import World
from tests.app.worlds import SETTINGS, Crash, Trip, drive, fragile, rows, upload

pytestmark = pytest.mark.unit

STEPS = msgspec.structs.replace(SETTINGS, promotion_traffic=(10, 50, 100), promotion_step_minutes=10.0)
LATER = timedelta(minutes=10)


def two(world: World) -> tuple[Run, Run]:
    """The current model, and a candidate that has just gone live with its first share."""
    first = drive(world, upload(world, settings=STEPS), Stage.LIVE, STEPS)
    second = drive(world, upload(world, body=rows(60, " again"), settings=STEPS), Stage.LIVE, STEPS)
    assert first.promotion is not None
    assert first.promotion.promoted
    assert second.promotion is not None
    assert not second.promotion.promoted
    return first, second


def history(world: World) -> CurrentModel:
    """What is known of the dataset's name."""
    stored = world.current_models.load("support")
    assert stored is not None
    return stored.model


def look(world: World, run: Run, services: Any = None) -> Run:
    """Advance the run once."""
    done = advance_run(run.run_id, settings=STEPS, services=services or world.services)
    assert done is not None
    return done


async def answers(world: World, draw: float) -> str:
    """The endpoint that a request by name gets, if chance draws so."""
    directory = EndpointDirectory(replace(world.services, jitter=lambda: draw))
    return (await directory.resolve_model("support")).name


async def test_a_candidate_gets_more_and_more_and_then_the_name() -> None:
    """10 %, 50 %, then all; a request finds either model, and the history one switch."""
    world = World()
    first, second = two(world)
    for share in (10, 50):
        canary = history(world).canary
        assert canary is not None
        assert (canary.run_id, canary.share) == (second.run_id, share)
        assert await answers(world, share / 100 - 0.01) == second.run_id
        assert await answers(world, share / 100) == first.run_id
        early = look(world, second)
        assert early.promotion == second.promotion
        world.now += LATER
        second = look(world, second)
    assert second.promotion is not None
    assert (second.promotion.promoted, second.promotion.next_at) == (True, None)
    assert await answers(world, 0.99) == second.run_id
    model = history(world)
    assert (model.canary, [one.run_id for one in model.history]) == (None, [first.run_id, second.run_id])


@pytest.mark.parametrize(
    ("failed", "seconds", "reason"),
    [
        (True, 0.1, "100% of 20 requests failed, against 0%"),
        (False, 9.0, "95th percentile is 9.0 s, against 0.1"),
    ],
)
async def test_errors_and_latency_send_it_back_to_nothing(failed: bool, seconds: float, reason: str) -> None:
    """The current model answers all requests at once; why is in the history and on the run."""
    world = World()
    first, second = two(world)
    directory = EndpointDirectory(world.services)
    watch = CanaryWatch(world.services, directory)
    for _ in range(LEAST_REQUESTS):
        await watch.note("support", first.run_id, failed=False, seconds=0.1)
    for _ in range(LEAST_REQUESTS - 1):
        await watch.note("support", second.run_id, failed=failed, seconds=seconds)
    assert history(world).canary is not None
    await watch.note("support", second.run_id, failed=failed, seconds=seconds)
    model = history(world)
    assert model.canary is None
    last = model.history[-1]
    assert (last.kind, last.previous, last.run_id) == (SwitchKind.WITHDRAWN, second.run_id, first.run_id)
    assert reason in last.why
    assert (await directory.resolve_model("support")).name == first.run_id
    world.now += LATER
    told = look(world, second).promotion
    assert told is not None
    assert not told.promoted
    assert reason in told.why


async def test_one_that_does_well_keeps_its_share() -> None:
    """A few errors, or as many as the current model has, prove nothing; nor do twice a few milliseconds."""
    world = World()
    first, second = two(world)
    watch = CanaryWatch(world.services, EndpointDirectory(world.services))
    for number in range(5 * LEAST_REQUESTS):
        await watch.note("support", first.run_id, failed=number % 4 == 0, seconds=0.1)
        await watch.note("support", second.run_id, failed=number % 4 == 0, seconds=0.4)
    assert history(world).canary is not None


async def test_a_canary_that_is_stopped_or_rolled_back_gets_nothing() -> None:
    """A request never fails for it; a person's rollback ends it, and the current model stays."""
    world = World()
    first, second = two(world)
    directory = EndpointDirectory(world.services)
    roll_back("support", {"by": "Ada"}, services=world.services, directory=directory)
    model = history(world)
    assert (model.canary, model.stack) == (None, (first.run_id,))
    assert (model.history[-1].kind, model.history[-1].by) == (SwitchKind.WITHDRAWN, "Ada")
    world = World()
    first, second = two(world)
    stored = world.runs.load(second.run_id)
    world.runs.replace(msgspec.structs.replace(stored.run, stage=Stage.STOPPED, due=None), stored.etag)
    assert await answers(world, 0.0) == first.run_id


@pytest.mark.parametrize("after", [False, True])
def test_a_crash_raises_no_share_too_early(after: bool) -> None:
    """Whoever dies while a share is raised: it is raised once each ten minutes."""
    ports = frozenset({"current_models", "runs"})
    calls = Trip(only=ports)
    world = World()
    _, second = two(world)
    world.now += LATER
    look(world, second, fragile(world.services, calls))
    for at in range(len(calls.calls)):
        world = World()
        _, second = two(world)
        world.now += LATER
        services = fragile(world.services, Trip(at=at, after=after, only=ports))
        for _ in range(3):
            try:
                look(world, second, services)
            except Crash:
                continue
        canary = history(world).canary
        assert canary is not None
        assert canary.share == 50
