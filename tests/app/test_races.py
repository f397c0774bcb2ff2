"""Races with real threads over real storage: one winner, no lost update, nothing asked for twice."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import msgspec
import pytest

from handlers.http.request_changes import cancel_run, delete_endpoint, extend_endpoint
from handlers.timers.reconcile_resources import reconcile_resources
from shared.adapters.storage.content_index import BlobContentIndex
from shared.adapters.storage.datasets import BlobDatasets, BlobUploads
from shared.adapters.storage.reports import BlobReports
from shared.adapters.storage.run_lock import BlobRunLock
from shared.adapters.storage.run_store import BlobRunStore
from shared.adapters.storage.slots import BlobSlots
from shared.domain.errors import RequestError, RunChangedError
from shared.domain.limits import Limits
from shared.domain.run.names import RUN_TAG
from shared.domain.run.observation import EndpointStatus, JobStatus, Provisioning
from shared.domain.run.parts import TrainingPlan
from shared.domain.run.run import Run
from shared.domain.run.stages import Stage
from shared.ports import Services
from shared.serving.endpoint_directory import EndpointDirectory
from shared.workflow.advance import advance_run
from shared.workflow.open_run import take_upload
from tests.app.builders import NOW, RUN_ID, a_run
from tests.app.conftest import OwnContainers
from tests.app.fakes import World
from tests.app.worlds import SETTINGS as USUAL
from tests.app.worlds import rows, stages

SETTINGS = msgspec.structs.replace(USUAL, refusal_deadline_minutes=1e-9)
"""The clock stands still in a race: what is absent is believed to be so at once."""

ROUNDS = 3


@pytest.fixture
def world() -> World:
    """What is not storage: the cloud and the clock."""
    return World()


@pytest.fixture
def services(world: World, containers: OwnContainers) -> Services:
    """Everything of storage is real."""
    return replace(
        world.services,
        runs=BlobRunStore(containers),
        run_lock=BlobRunLock(containers),
        content_index=BlobContentIndex(containers),
        slots=BlobSlots(containers),
        uploads=BlobUploads(containers),
        datasets=BlobDatasets(containers, "finetune_datasets"),
        reports=BlobReports(containers),
    )


def at_once(*acts: Callable[[], Any]) -> list[Any]:
    """Run all at the same moment; what each returned, or the error it raised."""
    barrier = threading.Barrier(len(acts))

    def start(act: Callable[[], Any]) -> Any:
        barrier.wait(120)
        try:
            return act()
        except (RequestError, RunChangedError) as fault:
            return fault

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(start, acts))


def event(services: Services, path: str) -> Callable[[], Any]:
    """What the blob trigger does when it is told of an upload."""

    def handle() -> Any:
        (run_id,) = take_upload(path, container="uploads", settings=SETTINGS, services=services)
        advance_run(run_id, settings=SETTINGS, services=services)
        return run_id

    return handle


def put(containers: OwnContainers, path: str, body: bytes) -> None:
    """Upload a file."""
    containers.get_container_client("uploads").upload_blob(path, body)


def calls(world: World) -> list[str]:
    """What was begun in the cloud."""
    return [call for call, _ in world.cloud.begun]


def test_ten_deliveries_of_one_event_are_one_run(
    world: World, services: Services, containers: OwnContainers
) -> None:
    """One run, one job, whoever wins."""
    put(containers, "support.jsonl", rows())
    names = at_once(*[event(services, "support.jsonl")] * 10)
    assert len(set(names)) == 1
    advance_run(names[0], settings=SETTINGS, services=services)
    assert [entry.run_id for entry in services.runs.entries()] == [names[0]]
    assert calls(world).count("submit") == 1
    assert calls(world).count("create") == 1


def test_the_same_rows_under_ten_names_are_trained_once(
    world: World, services: Services, containers: OwnContainers
) -> None:
    """One of the runs trains, and every other ends as its duplicate."""
    paths = [f"copy-{number}.jsonl" for number in range(10)]
    for path in paths:
        put(containers, path, rows())
    names = at_once(*(event(services, path) for path in paths))
    for name in names:
        # Some had to wait for their turn to validate.
        if services.runs.load(name).run.stage is Stage.RECEIVED:
            advance_run(name, settings=SETTINGS, services=services)
    runs = [services.runs.load(name).run for name in names]
    (winner,) = (run for run in runs if run.stage is not Stage.DUPLICATE)
    # It may have had to wait for runs before it that turned out to be duplicates.
    advance_run(winner.run_id, settings=SETTINGS, services=services)
    assert {run.duplicate_of for run in runs if run is not winner} == {winner.run_id}
    assert calls(world).count("submit") == 1


def test_of_two_advances_one_works(world: World, services: Services, containers: OwnContainers) -> None:
    """The others, who come while it is at work, go away at once, and every step is taken once."""
    put(containers, "support.jsonl", rows())
    (run_id,) = take_upload("support.jsonl", container="uploads", settings=SETTINGS, services=services)
    others: list[Any] = []

    def advance() -> Any:
        return advance_run(run_id, settings=SETTINGS, services=services)

    submit = world.cloud.submit

    def meanwhile(run: Run, plan: TrainingPlan, **config: Any) -> None:
        others.extend(at_once(advance, advance, advance))
        submit(run, plan, **config)

    world.cloud.submit = meanwhile  # type: ignore[method-assign]
    worker = advance()
    assert others == [None] * 3
    assert worker is not None
    assert worker.stage is Stage.LIVE
    assert stages(services.runs.load(run_id).run).count("training") == 1
    assert all(calls(world).count(call) == 1 for call in ("submit", "register", "create", "deploy"))


def test_of_two_advances_at_the_same_moment_no_step_is_taken_twice(
    world: World, services: Services, containers: OwnContainers
) -> None:
    """Whoever takes hold of the run first; who comes when it is through finds nothing to do."""
    put(containers, "support.jsonl", rows())
    (run_id,) = take_upload("support.jsonl", container="uploads", settings=SETTINGS, services=services)
    at_once(*[lambda: advance_run(run_id, settings=SETTINGS, services=services)] * 3)
    assert services.runs.load(run_id).run.stage is Stage.LIVE
    assert all(calls(world).count(call) == 1 for call in ("submit", "register", "create", "deploy"))


def race(services: Services, acts: Sequence[Callable[[], Any]]) -> list[Any]:
    """Some callers against an advance; then one more advance, as the message of each caller would cause."""

    def advance() -> Any:
        return advance_run(RUN_ID, settings=SETTINGS, services=services)

    *answers, _ = at_once(*acts, advance)
    advance()
    return answers


@pytest.mark.parametrize("number", range(ROUNDS))
def test_a_cancellation_against_an_advance_is_never_lost(
    number: int, world: World, services: Services
) -> None:
    """Accepted means canceled, wherever the run had got to: job stopped, nothing left."""
    stage = (Stage.TRAINING, Stage.TRAINED, Stage.REGISTERED)[number % 3]
    services.runs.create(a_run(stage))
    world.cloud.jobs[RUN_ID] = JobStatus("Running" if stage is Stage.TRAINING else "Completed")
    world.cloud.slow = stage is Stage.TRAINING
    (answer,) = race(services, [lambda: cancel_run(RUN_ID, services)])
    world.cloud.settle()
    advance_run(RUN_ID, settings=SETTINGS, services=services)
    run = services.runs.load(RUN_ID).run
    assert answer.status == 202
    assert run.requests.cancel_at == NOW
    assert run.stage in {Stage.CANCELED, Stage.DELETED}
    assert world.cloud.seen == {}
    assert world.cloud.jobs[RUN_ID].state.over


@pytest.mark.parametrize("number", range(ROUNDS))
def test_an_extension_against_the_expiry_is_kept_or_refused(
    number: int, world: World, services: Services
) -> None:
    """An endpoint whose extension was accepted lives on; one that was refused is gone."""
    services.runs.create(a_run(Stage.LIVE, run_id=RUN_ID))
    world.cloud.seen[RUN_ID] = EndpointStatus(Provisioning.READY, "https://e/score", {"main": 100})
    world.now = NOW + timedelta(hours=24, seconds=number)

    def extend() -> Any:
        return extend_endpoint(RUN_ID, {"hours": 4}, limits=Limits(), services=services)

    (answer,) = race(services, [extend])
    run = services.runs.load(RUN_ID).run
    if isinstance(answer, RequestError):
        assert answer.status == 409
        assert run.stage is Stage.STOPPED
    else:
        assert run.requests.extended_to == NOW + timedelta(hours=28)
        assert (run.stage, list(world.cloud.seen)) == (Stage.LIVE, [RUN_ID])


def test_many_callers_against_an_advance_lose_nothing(world: World, services: Services) -> None:
    """Extensions, uses and a deletion at once, while a worker writes: each is accounted for."""
    services.runs.create(a_run(Stage.LIVE, options=msgspec.structs.replace(a_run().options, idle_minutes=0)))
    world.cloud.seen[RUN_ID] = EndpointStatus(Provisioning.READY, "https://e/score", {"main": 100})
    world.now = NOW + timedelta(minutes=5)

    def extend() -> Any:
        return extend_endpoint(RUN_ID, {"hours": 1}, limits=Limits(), services=services)

    def use() -> Any:
        return asyncio.run(EndpointDirectory(services).resolve(RUN_ID))

    answers = race(services, [extend] * 5 + [use] * 2)
    assert not [answer for answer in answers if isinstance(answer, Exception)]
    run = services.runs.load(RUN_ID).run
    assert run.requests.extended_to == NOW + timedelta(hours=24 + 5)
    assert run.last_used == world.now
    assert run.stage is Stage.LIVE

    race(services, [lambda: delete_endpoint(RUN_ID, services), extend])
    run = services.runs.load(RUN_ID).run
    assert run.stage is Stage.DELETED
    assert world.cloud.seen == {}


@pytest.mark.parametrize("number", range(ROUNDS))
def test_a_reconciliation_during_a_deployment_deletes_nothing(
    number: int, world: World, services: Services
) -> None:
    """However the listing falls between the steps of a deployment, its endpoint is not an orphan."""
    services.runs.create(a_run(Stage.REGISTERED))
    world.cloud.jobs[RUN_ID] = JobStatus("Completed")
    race(services, [lambda: reconcile_resources(settings=SETTINGS, services=services)] * (1 + number % 3))
    run = services.runs.load(RUN_ID).run
    assert run.stage is Stage.LIVE
    assert world.cloud.tags[RUN_ID] == {RUN_TAG: RUN_ID}
    assert "delete" not in calls(world)


def test_runs_opened_at_once_share_the_slots_that_there_are(
    world: World, services: Services, containers: OwnContainers
) -> None:
    """With two training slots, eight runs that decide at once submit two jobs, and later the rest."""
    world.cloud.slow = True
    world.cloud.create_compute("gpu-cluster", "Standard_NC24ads_A100_v4", max_nodes=1)
    world.cloud.settle()
    two = msgspec.structs.replace(SETTINGS, max_training_runs=2)
    names = []
    for number in range(8):
        path = f"{'abcdefgh'[number]}.jsonl"
        put(containers, path, rows(tag=str(number)))
        names.extend(take_upload(path, container="uploads", settings=two, services=services))
    for finished in range(2, 10, 2):
        at_once(*(lambda name=name: advance_run(name, settings=two, services=services) for name in names))
        assert len(world.cloud.jobs) == min(finished, 8)
        world.cloud.settle()
        world.now += timedelta(minutes=5)
        for name in names:
            assert name is not None
            advance_run(name, settings=two, services=services)


@pytest.mark.parametrize("number", range(ROUNDS))
def test_runs_that_decide_at_once_have_no_more_endpoints_than_slots(
    number: int, world: World, services: Services
) -> None:
    """Six models become ready in the same moment, in any order; two endpoints come up, then the next two."""
    two = msgspec.structs.replace(SETTINGS, max_live_endpoints=2)
    names = [f"ft-d{position}-0123456789" for position in range(6)]
    for position, name in enumerate(names):
        late = timedelta(seconds=(position * 5 + number) % 6)
        dataset = "abcdef"[position]
        services.runs.create(a_run(Stage.TRAINING, run_id=name, dataset=dataset, now=NOW + late))
        world.cloud.jobs[name] = JobStatus("Completed")
    for served in (2, 4, 6):
        at_once(*(partial(advance_run, name, settings=two, services=services) for name in names))
        for name in names:
            advance_run(name, settings=two, services=services)
        assert calls(world).count("create") == served
        for name in list(world.cloud.seen):
            delete_endpoint(name, services)
            advance_run(name, settings=two, services=services)
        assert world.cloud.seen == {}
