"""What callers may ask, in every stage: what is answered, and what is then on the record."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from handlers.http.acknowledge_run import acknowledge_run
from handlers.http.request_changes import cancel_run, delete_endpoint, extend_endpoint, retry_run, start_run
from handlers.http.responses import Response
from shared.domain.errors import CorruptRunError, RequestError
from shared.domain.limits import Limits
from shared.domain.run.parts import Failure
from shared.domain.run.stages import Stage
from shared.ports import Services
from tests.app.builders import NOW, RUN_ID, a_run
from tests.app.fakes import World
from tests.app.worlds import SETTINGS


def extend(run_id: str, services: Services, hours: Any = 1) -> Response:
    """Extend with the settings' usual limit."""
    return extend_endpoint(run_id, {"hours": hours}, limits=Limits(), services=services)


def start(run_id: str, services: Services) -> Response:
    """Start as it was."""
    return start_run(run_id, {}, settings=SETTINGS, services=services)


WITH_ENDPOINT = {Stage.DEPLOYING, Stage.LIVE, Stage.DELETING, Stage.STOPPED}
EXPECTED: dict[str, tuple[Callable[[str, Services], Response], Callable[[Stage], int]]] = {
    "cancel": (cancel_run, lambda stage: 409 if stage.terminal else 202),
    "retry": (retry_run, lambda stage: 409 if stage.at_rest else 202),
    "delete": (
        delete_endpoint,
        lambda stage: 410 if stage.terminal else 202 if stage in WITH_ENDPOINT else 409,
    ),
    "start": (start, lambda stage: 202 if stage is Stage.STOPPED else 409),
    "extend": (extend, lambda stage: {Stage.LIVE: 200}.get(stage, 410 if stage.terminal else 409)),
}


@pytest.mark.parametrize(
    "stage", [Stage.VALIDATED, Stage.DEPLOYING, Stage.LIVE, Stage.DELETING, Stage.DELETED, Stage.FAILED]
)
@pytest.mark.parametrize("action", EXPECTED)
def test_each_action_in_each_stage(action: str, stage: Stage) -> None:
    """The right status; what is accepted is on the record and due now, what is refused changes nothing."""
    world = World(now=NOW + timedelta(minutes=5))
    world.runs.create(a_run(stage, due=None if stage.terminal else NOW + timedelta(days=1)))
    before = world.runs.load(RUN_ID)
    ask, expected = EXPECTED[action]
    try:
        answer = ask(RUN_ID, world.services)
    except RequestError as fault:
        assert fault.status == expected(stage)
        assert world.runs.load(RUN_ID).run == before.run
        return
    assert answer.status == expected(stage)
    assert answer.advance == (RUN_ID,)
    after = world.runs.load(RUN_ID).run
    assert after.due == world.now
    assert after.requests != before.run.requests
    assert after.stage is stage
    assert world.cloud.begun == []


@pytest.mark.parametrize("action", ["cancel", "delete"])
def test_asking_twice_is_asking_once(action: str) -> None:
    """The first time stands, and nothing is written again."""
    world = World()
    world.runs.create(a_run(Stage.LIVE))
    ask, _ = EXPECTED[action]
    ask(RUN_ID, world.services)
    first = world.runs.load(RUN_ID)
    world.now += timedelta(hours=1)
    assert ask(RUN_ID, world.services).status == 202
    assert world.runs.load(RUN_ID) == first


def test_an_extension_adds_to_the_time_that_is_left() -> None:
    """Each one adds to the last, up to the longest lifetime and not beyond."""
    world = World()
    world.runs.create(a_run(Stage.LIVE))
    extend(RUN_ID, world.services, 4)
    answer = extend(RUN_ID, world.services, 0.5)
    shown = msgspec.json.decode(answer.body)
    assert shown["endpoint"]["expires_at"] == "2026-03-02T16:30:00Z"
    assert shown["endpoint"]["idle_at"] is None
    with pytest.raises(RequestError) as caught:
        extend(RUN_ID, world.services, 168)
    assert caught.value.status == 422
    assert "2026-03-08 12:00 UTC" in caught.value.message


@pytest.mark.parametrize("action", ["cancel", "delete"])
def test_what_is_about_to_be_deleted_is_not_extended(action: str) -> None:
    """An extension that is accepted holds; after an accepted deletion there is none."""
    world = World()
    world.runs.create(a_run(Stage.LIVE))
    EXPECTED[action][0](RUN_ID, world.services)
    before = world.runs.load(RUN_ID)
    with pytest.raises(RequestError) as caught:
        extend(RUN_ID, world.services)
    assert (caught.value.status, caught.value.code) == (409, "EndpointGoing")
    assert world.runs.load(RUN_ID) == before


@pytest.mark.parametrize(("hours", "accepted"), [(2, False), (6, False), (6.5, True)])
def test_an_extension_into_the_past_is_refused(hours: float, accepted: bool) -> None:
    """An endpoint that ran out of time six hours ago needs more than six to live on."""
    world = World(now=NOW + timedelta(hours=30))
    world.runs.create(a_run(Stage.LIVE))
    if accepted:
        assert extend(RUN_ID, world.services, hours).status == 200
        expires_at = world.runs.load(RUN_ID).run.expires_at
        assert expires_at is not None
        assert expires_at > world.now
        return
    with pytest.raises(RequestError) as caught:
        extend(RUN_ID, world.services, hours)
    assert (caught.value.status, caught.value.code) == (422, "ExtensionTooShort")
    assert "2026-03-02 12:00 UTC" in caught.value.message


@pytest.mark.parametrize("hours", [None, 0, -1, "4", True, [1], {}, 10**400, 24 * 365 + 1, 1e-12, 0.24])
def test_an_extension_that_means_nothing_is_400(hours: Any) -> None:
    """Hours are at least a quarter, and a year at most; what is refused leaves idling as it was."""
    world = World()
    world.runs.create(a_run(Stage.LIVE))
    idle_at = world.runs.load(RUN_ID).run.idle_at
    with pytest.raises(RequestError) as caught:
        extend(RUN_ID, world.services, hours)
    assert caught.value.status == 400
    assert world.runs.load(RUN_ID).run.idle_at == idle_at is not None


def test_retrying_brings_a_suspended_run_back() -> None:
    """It is due again, whether or not its message still is somewhere."""
    world = World()
    world.runs.create(a_run(Stage.TRAINING, due=NOW + timedelta(hours=1)))
    world.runs.suspend(RUN_ID, "why", until=NOW + timedelta(hours=1))
    assert retry_run(RUN_ID, world.services).advance == (RUN_ID,)
    (entry,) = world.runs.entries()
    assert entry.is_due(NOW)


def test_an_unreadable_run_can_be_retried_but_not_changed() -> None:
    """Somebody who has mended the record has it looked at again; requests need a record to be on."""
    world = World()
    world.runs.create(a_run(Stage.TRAINING))
    world.runs.suspend(RUN_ID, "CorruptRunError", until=NOW + timedelta(hours=1))
    world.runs.corrupt(RUN_ID)
    assert retry_run(RUN_ID, world.services).status == 202
    for action in ("cancel", "delete", "extend"):
        with pytest.raises(CorruptRunError):
            EXPECTED[action][0](RUN_ID, world.services)


def test_a_second_start_with_other_options_is_refused() -> None:
    """The first one holds; the same again is the same request, say after an answer that was lost."""
    world = World()
    world.runs.create(a_run(Stage.STOPPED))

    def again(**options: Any) -> Response:
        return start_run(RUN_ID, options, settings=SETTINGS, services=world.services)

    assert again(idle_minutes=30).status == 202
    assert again(idle_minutes=30).status == 202
    for other in ({"idle_minutes": 31}, {}, {"idle_minutes": 30, "lifetime_hours": 2}):
        with pytest.raises(RequestError, match="about to start") as caught:
            again(**other)
        assert (caught.value.status, caught.value.code) == (409, "AlreadyStarting")


@pytest.mark.parametrize("stage", [Stage.FAILED, Stage.STOPPED, Stage.LIVE])
def test_only_an_end_can_be_acknowledged(stage: Stage) -> None:
    """It is on the record, wakes nobody, and is written once."""
    world = World()
    error = Failure(code="EvalLossTooHigh", message="2.5 is above 2", stage=Stage.TRAINED, at=NOW)
    world.runs.create(a_run(stage, error=error))
    if stage is Stage.LIVE:
        with pytest.raises(RequestError, match="has not ended: it is live") as refused:
            acknowledge_run(RUN_ID, world.services)
        assert refused.value.status == 409
        return
    assert world.runs.entries()[0].needs_attention(NOW)
    answer = acknowledge_run(RUN_ID, world.services)
    assert (answer.status, answer.advance) == (200, ())
    assert msgspec.json.decode(answer.body)["acknowledged"]
    first = world.runs.load(RUN_ID)
    assert first.run.due is None
    assert not world.runs.entries()[0].needs_attention(NOW)
    world.now += timedelta(hours=1)
    acknowledge_run(RUN_ID, world.services)
    assert world.runs.load(RUN_ID) == first
