"""What somebody changes by hand on a live endpoint: seen by the next reconciliation, restored or reported."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from handlers.timers.reconcile_resources import reconcile_resources
from shared.domain.errors import ServiceRefusedError
from shared.domain.run.names import RUN_TAG
from shared.domain.run.observation import DeploymentStatus, EndpointStatus, Provisioning
from shared.domain.run.run import Run
from shared.domain.run.stages import Stage
from tests.app.fakes import World
from tests.app.worlds import SETTINGS, advance, drive, upload

READY = Provisioning.READY


def live_world() -> tuple[World, str]:
    """A run that went live, as it would after minutes."""
    world = World()
    run_id = upload(world)
    drive(world, run_id, Stage.LIVE)
    return world, run_id


def reconcile(world: World) -> Run:
    """One tick of the reconciler, and the messages that it sends."""
    (run_id,) = reconcile_resources(settings=SETTINGS, services=world.services)
    return advance(world, run_id)


def with_deployment(**changes: object) -> Callable[[EndpointStatus], EndpointStatus]:
    """A change of the deployment."""
    return lambda seen: seen._replace(deployment=DeploymentStatus(READY)._replace(**changes))


RESTORED: dict[str, tuple[Callable[[EndpointStatus], EndpointStatus], list[str]]] = {
    "deployment deleted": (
        lambda seen: seen._replace(deployment=None, traffic={}),
        ["deploy", "route_traffic"],
    ),
    "traffic set to 0": (lambda seen: seen._replace(traffic={"main": 0}), ["route_traffic"]),
    "traffic removed": (lambda seen: seen._replace(traffic={}), ["route_traffic"]),
}

REPORTED: dict[str, tuple[Callable[[EndpointStatus], EndpointStatus], str]] = {
    "private": (lambda seen: seen._replace(public=False), "closed to the public network"),
    "other sign-in": (lambda seen: seen._replace(auth_mode="key"), "takes key instead of aad_token"),
    "mirrored": (lambda seen: seen._replace(mirrored=("spy",)), "sends copies of its requests to spy"),
    "other deployment": (lambda seen: seen._replace(traffic={"green": 100}), "sends traffic to green"),
    "split": (lambda seen: seen._replace(traffic={"green": 50, "main": 50}), "sends traffic to green"),
    "failed": (lambda seen: seen._replace(state=Provisioning.FAILED, failure="quota"), "has failed: quota"),
    "going": (lambda seen: seen._replace(state=Provisioning.DELETING), "is being deleted, not by this app"),
    "crashed": (with_deployment(state=Provisioning.FAILED, failure="crashed"), "has failed: crashed"),
    "other model": (with_deployment(model="/models/gpt/versions/1"), "has another model"),
    "larger VM": (with_deployment(instance_type="Standard_ND96isr_H100_v5"), "is on Standard_ND96isr"),
    "more VMs": (with_deployment(instances=10), "has 10 VMs instead of 1"),
    "being changed": (with_deployment(state=Provisioning.PENDING), "is being changed"),
}


@pytest.mark.parametrize("change", RESTORED)
def test_what_an_endpoint_cannot_answer_without_is_restored(change: str) -> None:
    """Within one reconciliation the calls are made; then nobody is asked for, and the end is the same."""
    world, run_id = live_world()
    expires = world.runs.load(run_id).run.expires_at
    alter, calls = RESTORED[change]
    world.cloud.seen[run_id] = alter(world.cloud.seen[run_id])
    world.cloud.begun.clear()
    run = reconcile(world)
    assert [call for call, _ in world.cloud.begun] == calls
    while run.attention is not None:
        assert run.due is not None
        world.now = run.due
        run = advance(world, run_id)
    assert world.cloud.seen[run_id].traffic == {"main": 100}
    assert world.cloud.seen[run_id].deployment is not None
    assert (run.stage, run.expires_at, run.due) == (Stage.LIVE, expires, run.ends_at)


@pytest.mark.parametrize("change", REPORTED)
def test_what_may_be_somebodys_decision_is_reported(change: str) -> None:
    """Nothing is called, the run stays live and asks for a person, until it is as it was."""
    world, run_id = live_world()
    before = world.cloud.seen[run_id]
    alter, words = REPORTED[change]
    world.cloud.seen[run_id] = alter(before)
    world.cloud.begun.clear()
    run = reconcile(world)
    assert run.stage is Stage.LIVE
    assert words in (run.attention or "")
    (entry,) = world.runs.entries()
    assert entry.needs_attention(world.now)
    world.cloud.seen[run_id] = before
    assert run.due is not None
    world.now = run.due
    assert advance(world, run_id).attention is None
    assert world.cloud.begun == []


def test_a_restoration_that_is_refused_waits_with_attention() -> None:
    """No quota for the deployment: the endpoint keeps its end, and is deleted then."""
    world, run_id = live_world()
    world.cloud.seen[run_id] = world.cloud.seen[run_id]._replace(deployment=None, traffic={})
    world.cloud.faults["deploy"] = [ServiceRefusedError("no quota", code="OutOfQuota")] * 500
    run = reconcile(world)
    assert (run.stage, run.attention) == (Stage.LIVE, "OutOfQuota: no quota")
    while run.stage is Stage.LIVE:
        assert run.due is not None
        world.now = run.due
        run = advance(world, run_id)
    assert drive(world, run_id, Stage.STOPPED).serving == run.serving
    assert world.cloud.seen == {}


def test_an_endpoint_that_lost_its_tags_is_never_deleted() -> None:
    """Somebody took it over: the run says so while it is live, and when it ends."""
    world, run_id = live_world()
    world.cloud.tags[run_id] = {RUN_TAG: "another-team"}
    reconcile_resources(settings=SETTINGS, services=world.services)
    run = advance(world, run_id)
    assert "has lost this run's tags" in (run.attention or "")
    world.now += timedelta(days=2)
    run = drive(world, run_id, Stage.STOPPED)
    assert run.error is not None
    assert run.error.code == "EndpointLeft"
    assert "delete" not in dict(world.cloud.begun)
    assert run_id in world.cloud.seen
