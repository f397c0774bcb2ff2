"""The step that evaluates a deployment, over fakes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from shared.domain.errors import ScoringError
from shared.domain.evaluation.record import Evaluation
from shared.domain.evaluation.rows import read_rows
from shared.domain.run.parts import StartRequest
from shared.domain.run.run import Run, restart
from shared.domain.run.stages import Stage
from shared.workflow.advance import advance_run
from shared.workflow.steps import ask_rows
from tests.app.builders import NOW, a_run
from tests.app.fake_azure_ml import said
from tests.app.fakes import World
from tests.app.worlds import SETTINGS, Crash, Trip, drive, fragile, rows, upload

pytestmark = pytest.mark.unit

TWELVE = msgspec.structs.replace(SETTINGS, evaluation_rows=12)


def question(body: Mapping[str, Any]) -> str:
    """What the last message of a request asks."""
    messages = body["messages"] if "messages" in body else body["input_data"]["input_string"][0]
    text: str = messages[-1]["content"]
    return text


def answering(world: World, wrong: frozenset[str] = frozenset()) -> Counter[str]:
    """Have deployments answer rows right but for some; returns how often each question was asked."""
    asked: Counter[str] = Counter()

    def answer(body: Mapping[str, Any]) -> Any:
        text = question(body)
        asked[text] += 1
        if text in wrong:
            raise ScoringError(502, "it fails", code="ModelError", upstream_status=424)
        number = int(text.split()[2])
        return said(f"It is {2 * number}, I should think.", body)

    world.cloud.answers = answer
    return asked


def evaluated(world: World, run: Run) -> list[dict[str, Any]]:
    """The stored rows, decoded."""
    stored = world.evaluations.load(run.run_id)
    assert stored is not None
    return [msgspec.to_builtins(row) for row in read_rows(stored.body)]


def test_a_deployment_is_measured_before_it_gets_traffic() -> None:
    """The drawn rows are asked once each, the smoke test's among them; record and file say the outcome."""
    world = World()
    asked = answering(world)
    live = drive(world, upload(world, body=rows(200), settings=TWELVE), Stage.LIVE, TWELVE)
    evaluation = live.evaluation
    assert evaluation is not None
    assert (evaluation.rows, evaluation.asked) == (12, 12)
    assert evaluation.ended is not None
    assert len(asked) == asked.total() == 12
    assert {deployment for _, _, deployment in world.cloud.scored} == {"main"}
    routed = world.cloud.begun.index(("route_traffic", live.run_id))
    assert routed == len(world.cloud.begun) - 1
    metrics = evaluation.metrics
    assert metrics["chrf"].value == metrics["exact_match"].value == 100
    assert (metrics["empty"].value, metrics["cut"].value, metrics["length_ratio"].value) == (0, 0, 1)
    assert metrics["latency_p95"].low <= metrics["latency_p95"].value <= metrics["latency_p95"].high
    stored = evaluated(world, live)
    assert len(stored) == 12
    assert [row["prompt"] for row in stored[:3]] == [test.prompt for test in live.smoke_tests or ()]
    assert all(row["answers"]["candidate"]["scores"]["chrf"] == 100 for row in stored)


def test_rows_that_a_model_fails_on_cost_no_run() -> None:
    """They are asked three times, with pauses, and left out; the others are measured."""
    world = World()
    sampled = {f"What is {number} times two?" for number in range(200)}
    probe = World()
    asked = answering(probe)
    drive(probe, upload(probe, body=rows(200), settings=TWELVE), Stage.LIVE, TWELVE)
    failing = frozenset(list(asked)[5:7])
    assert failing < sampled
    asked = answering(world, failing)
    live = drive(world, upload(world, body=rows(200), settings=TWELVE), Stage.LIVE, TWELVE)
    assert live.evaluation is not None
    assert live.evaluation.asked == 10
    assert {text: asked[text] for text in failing} == dict.fromkeys(failing, 3)
    assert all(asked[text] == 1 for text in asked.keys() - failing)


def test_an_evaluation_ends_with_its_time() -> None:
    """A deployment that fails on all but the smoke test's rows goes live when the time is over."""
    world, hundred = World(), msgspec.structs.replace(TWELVE, evaluation_rows=100)
    asked = answering(world)
    right = world.cloud.answers

    def dying(body: Mapping[str, Any]) -> Any:
        if asked.total() < 3:
            return right(body)
        raise ScoringError(503, "it is busy", code="TooManyRequests", upstream_status=429)

    world.cloud.answers = dying
    live = drive(world, upload(world, body=rows(2_000), settings=hundred), Stage.LIVE, hundred)
    assert live.evaluation is not None
    assert live.evaluation.ended is not None
    assert live.evaluation.asked == 3
    assert timedelta(minutes=10) <= live.evaluation.ended - live.evaluation.began < timedelta(minutes=11)


@pytest.mark.parametrize("after", [False, True])
def test_no_row_is_asked_again_once_its_answer_is_stored(
    after: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker is killed at each call of an evaluation in pieces; the next one asks what is not stored."""
    monkeypatch.setattr(ask_rows, "PIECE_SECONDS", 0.0)
    ports = frozenset({"evaluations", "scoring"})
    whole, calls = World(), Trip(only=ports)
    answering(whole)
    _live(whole, calls)
    assert calls.calls.count("evaluations.save") == 3
    for at in range(calls.calls.index("evaluations.load"), len(calls.calls)):
        world = World()
        asked = answering(world)
        live = _live(world, Trip(at=at, after=after, only=ports))
        assert live.evaluation is not None
        assert live.evaluation.asked == 12
        # What is lost is one piece at most, and none once it is stored.
        lost = 0 if after and calls.calls[at] == "evaluations.save" else ask_rows.MOST_AT_ONCE
        assert asked.total() - 12 <= lost, (at, calls.calls[at])


def _live(world: World, trip: Trip) -> Run:
    """Carry a run until it is live, with a host that calls again when a worker dies."""
    services = fragile(world.services, trip)
    run_id = upload(world, body=rows(200), settings=TWELVE)
    for _ in range(60):
        try:
            run = advance_run(run_id, settings=TWELVE, services=services)
        except Crash:
            continue
        assert run is not None
        if run.stage is Stage.LIVE:
            return run
        assert run.due is not None
        world.now = max(world.now, run.due)
        world.cloud.settle()
    raise AssertionError("the run did not go live")


def test_a_deployment_started_again_is_not_measured_again() -> None:
    """The model is the same: its evaluation stays on the record."""
    live = a_run(Stage.LIVE, evaluation=Evaluation(began=NOW, rows=1, fingerprint="", asked=1, ended=NOW))
    stopped = msgspec.structs.replace(live, stage=Stage.STOPPED, options=TWELVE.default_options())
    again = restart(stopped, StartRequest(at=NOW, after=0), NOW)
    assert not again.to_be_evaluated
