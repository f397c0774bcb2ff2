"""The base model beside a candidate: asked the same, without traffic, and gone before the run is live."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from shared.domain.errors import ServiceRefusedError
from shared.domain.evaluation.record import Verdict
from shared.domain.run.index_metadata import entry_of
from shared.domain.run.run import Run
from shared.domain.run.stages import Stage
from shared.domain.training.capacity import Quota
from shared.workflow.advance import advance_run
from tests.app.fake_azure_ml import A100_FAMILY, said
from tests.app.fakes import World
from tests.app.worlds import SETTINGS, Crash, Trip, drive, fragile, rows, upload

pytestmark = pytest.mark.unit

BOTH = msgspec.structs.replace(SETTINGS, evaluation_rows=12, evaluate_base=True)


def answering(world: World) -> None:
    """Have the base model answer every row wrong, and the candidate right."""

    def answer(body: Mapping[str, Any]) -> Any:
        words = body["messages"][-1]["content"].split()
        factor = 2 if world.cloud.scored[-1][2] == "main" else 777
        return said(f"It is {factor * int(words[2]) if len(words) > 2 else 0}, I should think.", body)

    world.cloud.answers = answer


def to_live(world: World) -> Run:
    """A run of 12 test rows, driven until it is live."""
    return drive(world, upload(world, body=rows(200), settings=BOTH), Stage.LIVE, BOTH)


def begun(world: World) -> list[str]:
    """What was asked of the endpoint, in order."""
    return [call for call, _ in world.cloud.begun]


def test_the_base_model_is_compared_with_and_gone_before_traffic() -> None:
    """It is asked the same rows in a deployment without traffic, which is deleted first."""
    world = World()
    answering(world)
    live = to_live(world)
    assert live.evaluation is not None
    assert live.evaluation.base_asked == 12
    comparison = live.evaluation.base_comparison
    assert comparison is not None
    assert comparison.verdict is Verdict.BETTER
    assert live.evaluation.comparison is None
    calls = begun(world)
    assert calls[-4:] == ["deploy", "deploy_base", "delete_base", "route_traffic"]
    endpoint = world.cloud.seen[live.run_id]
    assert (endpoint.base, endpoint.traffic) == (None, {"main": 100})
    assert live.base is not None
    assert live.base.gone


def test_without_quota_it_is_left_out() -> None:
    """What is missing is on the record; nothing is asked of Azure ML, and the run is live."""
    world = World()
    world.cloud.slow = True
    answering(world)
    run_id = upload(world, body=rows(200), settings=BOTH)
    drive(world, run_id, Stage.DEPLOYING, BOTH)
    world.cloud.quota = {A100_FAMILY.lower(): Quota(used=90, limit=96)}
    live = drive(world, run_id, Stage.LIVE, BOTH)
    assert "deploy_base" not in begun(world)
    assert live.base is not None
    assert live.base.why == f"the base model needs 48 vCPUs of {A100_FAMILY}, and 6 of 96 are left"
    assert live.evaluation is not None
    assert (live.evaluation.asked, live.evaluation.base_comparison) == (12, None)


@pytest.mark.parametrize(("limit", "fits"), [(1, False), (2, True)])
def test_its_vm_counts_among_those_of_endpoints(limit: int, fits: bool) -> None:
    """Whoever uploads may ask for it; no VM is beyond the operator's limit, and others wait for its slot."""
    settings = msgspec.structs.replace(BOTH, max_live_endpoints=limit)
    world = World()
    answering(world)
    run_id = upload(world, body=rows(200), settings=settings)
    live = drive(world, run_id, Stage.LIVE, settings)
    assert ("deploy_base" in begun(world)) is fits
    assert live.base is not None
    assert "MAX_LIVE_ENDPOINTS" in (live.base.why or "") or fits
    assert live.endpoint_vms == 1
    both = msgspec.structs.replace(live, base=msgspec.structs.replace(live.base, gone=False))
    assert entry_of(both).instances == 2


def test_a_base_model_that_cannot_be_deployed_costs_no_run() -> None:
    """Refused, or failed as a container does: the reason is on the record, and it is gone."""
    world = World()
    answering(world)
    refusal = ServiceRefusedError("Not enough quota available", code="OutOfQuota", status=400)
    world.cloud.faults["deploy_base"] = [refusal]
    live = to_live(world)
    assert live.base is not None
    assert live.base.why == "OutOfQuota: Not enough quota available"
    world = World()
    answering(world)
    world.cloud.base_crashes = True
    live = to_live(world)
    assert live.base is not None
    assert live.base.why == "User container has crashed or terminated: Liveness probe failed."
    assert begun(world).count("delete_base") == 1
    assert world.cloud.seen[live.run_id].base is None


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("canceled", [False, True])
def test_it_is_gone_at_every_crash_point(after: bool, canceled: bool) -> None:
    """Whoever dies at whatever call: no run is live, and none has ended, beside a base model."""
    ports = frozenset({"endpoints", "evaluations", "workspace"})

    def carried(trip: Trip) -> World:
        world = World()
        world.cloud.slow = True
        answering(world)
        services, died = fragile(world.services, trip), False
        run_id = upload(world, settings=BOTH)
        for _ in range(120):
            try:
                run = advance_run(run_id, settings=BOTH, services=services)
            except Crash:
                died = True
                continue
            assert run is not None
            if run.stage in {Stage.LIVE, Stage.CANCELED}:
                assert all(one.base is None for one in world.cloud.seen.values())
                return world
            if died and canceled and not run.requests.cancel_at:
                stored = world.runs.load(run_id)
                asked = msgspec.structs.replace(stored.run.requests, cancel_at=world.now)
                world.runs.replace(msgspec.structs.replace(stored.run, requests=asked), stored.etag)
                continue
            assert run.due is not None
            world.now = max(world.now, run.due)
            world.cloud.settle()
        raise AssertionError("the run went nowhere")

    whole = Trip(only=ports)
    assert "delete_base" in begun(carried(whole))
    first = whole.calls.index("workspace.vm_sizes", whole.calls.index("endpoints.create"))
    for at in range(first, len(whole.calls)):
        world = carried(Trip(at=at, after=after, only=ports))
        assert begun(world).count("deploy_base") <= 2
