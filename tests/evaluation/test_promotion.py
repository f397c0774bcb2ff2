"""Which model a dataset's name means: by evaluation, by hand, and for callers while it is switched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from handlers.http.dataset_views import DatasetView
from handlers.http.datasets import promote_run, roll_back, show_dataset
from shared.domain.errors import CorruptRunError, RequestError, UnknownRunError
from shared.domain.evaluation.record import Verdict
from shared.domain.run.current_model import CurrentModel, Switch, SwitchKind
from shared.domain.run.run import Run
from shared.domain.run.stages import Stage
from shared.serving.endpoint_directory import LISTED_FOR, EndpointDirectory
from shared.workflow.advance import advance_run
from tests.app.builders import NOW, a_run
from tests.app.fake_azure_ml import said
from tests.app.fakes import World
from tests.app.worlds import SETTINGS, Crash, Trip, drive, fragile, rows, upload

pytestmark = pytest.mark.unit

TWENTY = msgspec.structs.replace(SETTINGS, evaluation_rows=20)
RIGHT, WRONG = 2, 700
"""What a model multiplies by."""


def answering(world: World, factors: dict[str, int]) -> list[tuple[str, str]]:
    """Have each endpoint answer with its own factor; returns who was asked what."""
    asked: list[tuple[str, str]] = []

    def answer(body: Mapping[str, Any]) -> Any:
        text = body["messages"][-1]["content"]
        endpoint = world.cloud.scored[-1][0].name
        asked.append((endpoint, text))
        number = int(text.split()[2])
        return said(f"It is {factors.get(endpoint, RIGHT) * number}, I should think.", body)

    world.cloud.answers = answer
    return asked


def train(world: World, factors: dict[str, int], factor: int, **options: Any) -> Run:
    """Upload the dataset again, with the same test rows; the run's model multiplies by `factor`."""
    settings = msgspec.structs.replace(TWENTY, **options)
    number = len(world.runs.blobs)
    world.uploads.put("maths/test.jsonl", rows(40, " exactly"))
    run_id = upload(world, "maths/train.jsonl", rows(60, f" in lesson {number}"), settings)
    factors[run_id] = factor
    return drive(world, run_id, Stage.LIVE, settings)


def shown(world: World) -> DatasetView:
    """What the API says of the dataset."""
    body = show_dataset("maths", world.services).body
    assert isinstance(body, bytes)
    return msgspec.json.decode(body, type=DatasetView)


async def named(world: World, directory: EndpointDirectory) -> str:
    """The endpoint that the dataset's name leads to."""
    return (await directory.resolve_model("maths")).name


async def test_a_worse_model_never_takes_the_name() -> None:
    """A good candidate does, one trained on wrong answers does not; it answers by its own name."""
    world, factors = World(), dict[str, int]()
    answering(world, factors)
    directory = EndpointDirectory(world.services)
    first = train(world, factors, RIGHT)
    assert first.promotion is not None
    assert (first.promotion.promoted, first.promotion.why) == (True, "no other model has the dataset's name")
    worse = train(world, factors, WRONG)
    assert worse.evaluation is not None
    assert worse.evaluation.comparison is not None
    assert worse.evaluation.comparison.verdict is Verdict.WORSE
    assert worse.promotion is not None
    assert not worse.promotion.promoted
    assert worse.promotion.why == f"worse on 20 rows against {first.run_id}"
    assert await named(world, directory) == first.run_id
    assert (await directory.resolve_model(worse.run_id)).name == worse.run_id
    world.now += LISTED_FOR
    same = train(world, factors, RIGHT)
    assert same.promotion is not None
    assert same.promotion.promoted
    assert same.promotion.why == f"cannot tell from 20 rows against {first.run_id}"
    assert shown(world).current == same.run_id
    assert [switch.run_id for switch in shown(world).history] == [same.run_id, first.run_id]


async def test_the_policy_decides_and_is_each_runs_own() -> None:
    """`always` promotes a worse model, `manual` not even the first one."""
    world, factors = World(), dict[str, int]()
    answering(world, factors)
    waiting = train(world, factors, RIGHT, promotion="manual")
    assert waiting.promotion is not None
    assert not waiting.promotion.promoted
    with pytest.raises(RequestError, match="no live model is called maths"):
        await named(world, EndpointDirectory(world.services))
    train(world, factors, RIGHT)
    worse = train(world, factors, WRONG, promotion="always")
    assert shown(world).current == worse.run_id


def test_stored_answers_are_used_and_no_row_is_asked_twice() -> None:
    """The same test rows: the current model is not asked again, and a stopped one is compared with."""
    world, factors = World(), dict[str, int]()
    asked = answering(world, factors)
    first = train(world, factors, RIGHT)
    before = len(asked)
    second = train(world, factors, WRONG)
    assert {endpoint for endpoint, _ in asked[before:]} == {second.run_id}
    drive(world, first.run_id, Stage.STOPPED, TWENTY)
    third = train(world, factors, WRONG)
    assert third.promotion is not None
    assert third.promotion.why == f"worse on 20 rows against {first.run_id}"
    assert len(asked) == len(set(asked)) == 60


def test_other_test_rows_are_asked_of_the_live_model() -> None:
    """Rows that it has not answered before are put to the model that the name means."""
    world, factors = World(), dict[str, int]()
    asked = answering(world, factors)
    first = train(world, factors, RIGHT)
    before = len(asked)
    world.uploads.put("maths/test.jsonl", rows(40, " roughly"))
    run_id = upload(world, "maths/train.jsonl", rows(60, " again"), TWENTY)
    factors[run_id] = WRONG
    world.uploads.put("maths/test.jsonl", rows(40, " roughly"))
    run = drive(world, run_id, Stage.LIVE, TWENTY)
    assert sum(endpoint == first.run_id for endpoint, _ in asked[before:]) == 20
    assert run.evaluation is not None
    assert run.evaluation.against_asked == 20
    assert run.promotion is not None
    assert not run.promotion.promoted


def test_a_name_that_was_switched_meanwhile_is_compared_anew() -> None:
    """Two candidates at once: the second is held against the first, not against the model of before."""
    world, factors = World(), dict[str, int]()
    answering(world, factors)
    train(world, factors, WRONG)
    good, bad = (_until_routed(world, factors, factor) for factor in (RIGHT, WRONG))
    assert drive(world, good, Stage.LIVE, TWENTY).promotion is not None
    late = drive(world, bad, Stage.LIVE, TWENTY)
    assert late.promotion is not None
    assert (late.promotion.promoted, late.promotion.why) == (False, f"worse on 20 rows against {good}")
    assert shown(world).current == good


def _until_routed(world: World, factors: dict[str, int], factor: int) -> str:
    """A run that is evaluated, and has yet to get its traffic: Azure ML is busy just then."""
    world.uploads.put("maths/test.jsonl", rows(40, " exactly"))
    run_id = upload(world, "maths/train.jsonl", rows(60, f" at {len(world.runs.blobs)}"), TWENTY)
    factors[run_id] = factor
    world.busy("route_traffic")
    while world.cloud.faults["route_traffic"]:
        run = advance_run(run_id, settings=TWENTY, services=world.services)
        assert run is not None
        world.now = max(world.now, run.due or world.now)
        world.cloud.settle()
    assert run.evaluation is not None
    assert run.evaluation.ended is not None
    assert run.promotion is None
    return run_id


@pytest.mark.parametrize("after", [False, True])
def test_a_crash_anywhere_promotes_once(after: bool) -> None:
    """A worker dies before or after each call that concerns the name: there is one switch in the end."""
    ports = frozenset({"current_models", "runs"})
    whole, calls = World(), Trip(only=ports)
    _carried(whole, calls)
    assert calls.calls.count("current_models.replace") == 1
    for at, call in enumerate(calls.calls):
        if not call.startswith("current_models") and calls.calls[at - 1 : at + 2].count("runs.replace") == 0:
            continue
        world = World()
        live = _carried(world, Trip(at=at, after=after, only=ports))
        assert live.promotion is not None
        assert live.promotion.promoted
        stored = world.current_models.load("support")
        assert stored is not None
        assert [switch.run_id for switch in stored.model.history] == [live.run_id]


def _carried(world: World, trip: Trip) -> Run:
    services, run_id = fragile(world.services, trip), upload(world)
    for _ in range(60):
        try:
            run = advance_run(run_id, settings=SETTINGS, services=services)
        except Crash:
            continue
        assert run is not None
        if run.stage is Stage.LIVE:
            return run
        assert run.due is not None
        world.now = max(world.now, run.due)
        world.cloud.settle()
    raise AssertionError("the run did not go live")


async def test_a_person_promotes_and_rolls_back() -> None:
    """History has who, when and why; callers of the name get the other model with their next request."""
    world, factors = World(), dict[str, int]()
    answering(world, factors)
    directory = EndpointDirectory(world.services)
    first, worse = train(world, factors, RIGHT), train(world, factors, WRONG)
    body = {"run_id": worse.run_id, "by": "Ada", "why": "style"}
    for _ in range(2):
        promote_run("maths", body, services=world.services, directory=directory)
    assert await named(world, directory) == worse.run_id
    roll_back("maths", {}, services=world.services, directory=directory)
    assert await named(world, directory) == first.run_id
    told = [(switch.kind, switch.run_id, switch.by, switch.why) for switch in shown(world).history]
    assert told[:2] == [
        (SwitchKind.ROLLED_BACK, first.run_id, "a caller with a function key", "requested"),
        (SwitchKind.PROMOTED, worse.run_id, "Ada", "style"),
    ]
    assert len(told) == 3
    with pytest.raises(RequestError, match="no earlier model") as refused:
        roll_back("maths", {}, services=world.services, directory=directory)
    assert refused.value.status == 409


def test_what_cannot_be_promoted_is_refused_by_name() -> None:
    """Of another dataset, without a model, unknown, or a body that says something else."""
    world = World()
    directory = EndpointDirectory(world.services)
    world.runs.create(a_run(Stage.TRAINING))
    cases: list[tuple[str, dict[str, Any], int, str]] = [
        ("support", {"run_id": a_run().run_id}, 409, "only a model that is live or stopped"),
        ("other", {"run_id": a_run().run_id}, 409, "is a run of support, not of other"),
        ("support", {"run_id": 7}, 400, "run_id"),
        ("support", {"run_id": "x", "force": True}, 400, "force"),
    ]
    for name, body, status, message in cases:
        with pytest.raises(RequestError, match=message) as refused:
            promote_run(name, body, services=world.services, directory=directory)
        assert refused.value.status == status
    with pytest.raises(UnknownRunError):
        promote_run("support", {"run_id": "ft-x-0123456789"}, services=world.services, directory=directory)
    with pytest.raises(RequestError, match="no model of a dataset 'support'"):
        show_dataset("support", world.services)
    with pytest.raises(RequestError, match="no model of a dataset 'support'"):
        roll_back("support", {}, services=world.services, directory=directory)


def test_a_rollback_forgets_what_it_leads_away_from() -> None:
    """The stack: what was rolled back from is not gone back to when its successor is deleted."""
    model = CurrentModel(dataset="d")
    kinds = [(SwitchKind.PROMOTED, "a"), (SwitchKind.PROMOTED, "b"), (SwitchKind.ROLLED_BACK, "a")]
    for kind, run_id in [*kinds, (SwitchKind.PROMOTED, "c")]:
        model = model.with_switch(
            Switch(kind=kind, run_id=run_id, previous=None, at=NOW, by="somebody", why="a test")
        )
    assert model.stack == ("c", "a")


def test_a_history_that_cannot_be_read_keeps_no_run_from_going_live() -> None:
    """The model answers by its own name; why it did not take the dataset's is on the record."""
    world = World()
    answering(world, {})

    def broken(dataset: str) -> None:
        raise CorruptRunError(f"the current model of {dataset} cannot be read")

    world.current_models.load = broken  # type: ignore[method-assign]
    live = train(world, {}, RIGHT)
    assert live.promotion is not None
    assert (live.promotion.promoted, live.promotion.why) == (
        False,
        "the current model of maths cannot be read",
    )
