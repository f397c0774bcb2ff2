"""The contracts of the ports in `coordination`, for the fakes and for Azurite alike."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest
from azure.core.pipeline.transport import RequestsTransport
from azure.storage.blob import BlobLeaseClient

from local.azurite import Azurite
from shared.adapters.storage import run_lock as run_lock_module
from shared.adapters.storage.content_index import BlobContentIndex
from shared.adapters.storage.current_models import BlobCurrentModels
from shared.adapters.storage.job_times import BlobJobTimes
from shared.adapters.storage.run_lock import BlobRunLock
from shared.adapters.storage.slots import BlobSlots
from shared.domain.errors import (
    RunBusyError,
)
from shared.domain.run.current_model import Canary, CurrentModel, NameMeaning, Switch, SwitchKind
from shared.domain.run.job_time import KEPT, JobTime, time_key
from shared.domain.run.names import is_run_id
from shared.domain.run.slots import SlotKind
from shared.ports import ContentIndex, CurrentModels, JobTimes, RunLock, Slots
from tests.app.builders import NOW, RUN_ID
from tests.app.conftest import OwnContainers, seen_through
from tests.app.fake_storage import (
    MemoryContentIndex,
    MemoryCurrentModels,
    MemoryJobTimes,
    MemoryRunLock,
    MemorySlots,
)


@pytest.fixture(params=["memory", "blobs"])
def run_lock(request: pytest.FixtureRequest) -> RunLock:
    """An empty one, of either kind."""
    if request.param == "memory":
        return MemoryRunLock()
    return BlobRunLock(request.getfixturevalue("containers"))


@pytest.fixture(params=["memory", "blobs"])
def content_index(request: pytest.FixtureRequest) -> ContentIndex:
    """An empty one, of either kind."""
    if request.param == "memory":
        return MemoryContentIndex()
    return BlobContentIndex(request.getfixturevalue("containers"))


@pytest.fixture(params=["memory", "blobs"])
def slots(request: pytest.FixtureRequest) -> Slots:
    """An empty one, of either kind."""
    if request.param == "memory":
        return MemorySlots()
    return BlobSlots(request.getfixturevalue("containers"))


@pytest.fixture(params=["memory", "blobs"])
def job_times(request: pytest.FixtureRequest) -> JobTimes:
    """The port of either kind."""
    if request.param == "memory":
        return MemoryJobTimes()
    return BlobJobTimes(request.getfixturevalue("containers"))


@pytest.fixture(params=["memory", "blobs"])
def current_models(request: pytest.FixtureRequest) -> CurrentModels:
    """The port of either kind, empty."""
    if request.param == "memory":
        return MemoryCurrentModels()
    return BlobCurrentModels(request.getfixturevalue("containers"))


def test_a_name_is_switched_under_its_version(current_models: CurrentModels) -> None:
    """Of two writers of one version one succeeds; one listing tells what every name means, in any script."""
    name = "Kundendienst/größer"
    assert current_models.load(name) is None
    assert current_models.names() == {}
    empty = CurrentModel(dataset=name)
    assert current_models.replace(empty, None)
    assert not current_models.replace(empty, None)
    assert current_models.names() == {name: NameMeaning(())}
    stored = current_models.load(name)
    assert stored is not None
    switch = Switch(kind=SwitchKind.PROMOTED, run_id=RUN_ID, previous=None, at=NOW, by="Ada", why="größer")
    assert current_models.replace(empty.with_switch(switch), stored.etag)
    assert not current_models.replace(empty, stored.etag)
    again = current_models.load(name)
    assert again is not None
    assert again.model.history == (switch,)
    assert current_models.names() == {name: NameMeaning((RUN_ID,))}
    canary = Canary(run_id="ft-other-0123456789", share=10, since=NOW)
    assert current_models.replace(msgspec.structs.replace(again.model, canary=canary), again.etag)
    assert current_models.names() == {name: NameMeaning((RUN_ID,), canary.run_id, 10)}


def test_a_run_is_held_by_one_worker_at_a_time(run_lock: RunLock) -> None:
    """The second worker is told so; when the first is done, or fails, the run is free."""
    with run_lock.acquire(RUN_ID):
        with pytest.raises(RunBusyError), run_lock.acquire(RUN_ID):
            raise AssertionError("held twice")
        with run_lock.acquire("ft-other-0123456789"):
            pass
    assert run_lock.was_locked(RUN_ID)
    assert not run_lock.was_locked("ft-never-0123456789")
    with pytest.raises(ZeroDivisionError), run_lock.acquire(RUN_ID):
        raise ZeroDivisionError
    with run_lock.acquire(RUN_ID):
        pass


def test_of_many_workers_one_holds_the_run(run_lock: RunLock) -> None:
    """However many ask at the same moment for a run that nobody ever held, one gets it."""
    barrier = threading.Barrier(8)
    won: list[int] = []
    lost: list[int] = []

    def work(worker: int) -> None:
        barrier.wait(120)
        try:
            with run_lock.acquire(RUN_ID):
                won.append(worker)
                done.wait(120)
        except RunBusyError:
            lost.append(worker)
        if len(lost) == 7:
            done.set()

    done = threading.Event()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert (len(won), len(lost)) == (1, 7)


def test_content_is_claimed_once(content_index: ContentIndex) -> None:
    """The first claim holds, for the same run as often as it asks, and can be handed over once."""
    assert content_index.claim("d", "ft-a-0000000001") == "ft-a-0000000001"
    assert content_index.claim("d", "ft-a-0000000002") == "ft-a-0000000001"
    assert content_index.claim("d", "ft-a-0000000001") == "ft-a-0000000001"
    assert content_index.take_over("d", "ft-a-0000000002", previous="ft-a-0000000001")
    assert not content_index.take_over("d", "ft-a-0000000003", previous="ft-a-0000000001")
    assert content_index.claim("d", "ft-a-0000000003") == "ft-a-0000000002"
    assert content_index.claim("e", "ft-a-0000000003") == "ft-a-0000000003"


def test_the_newest_times_of_jobs_are_kept(job_times: JobTimes) -> None:
    """Each run once, however often it is told; keys apart."""
    key = time_key("Phi-4", f"size-{uuid.uuid4().hex}", 1, {})
    assert job_times.recall(key) == ()
    jobs = [JobTime(run_id=f"ft-x-{number:010x}", tokens=100, seconds=number) for number in range(KEPT + 2)]
    for job in (*jobs, jobs[-1]):
        job_times.remember(key, job)
    assert job_times.recall(key) == tuple(jobs[2:])
    again = msgspec.structs.replace(jobs[5], seconds=7.5)
    job_times.remember(key, again)
    assert [job for job in job_times.recall(key) if job.run_id == again.run_id] == [again]
    assert job_times.recall(f"{key}0") == ()


@pytest.mark.parametrize("act", ["claim", "take over"])
def test_of_many_claims_one_holds(content_index: ContentIndex, act: str) -> None:
    """Ten runs with the same content at once: all agree on the one that has it."""
    runs = [f"ft-a-{number:010x}" for number in range(10)]
    content_index.claim("taken", "ft-z-0123456789")
    claim: Callable[[str], Any] = {
        "claim": lambda run: content_index.claim("free", run) == run,
        "take over": lambda run: content_index.take_over("taken", run, previous="ft-z-0123456789"),
    }[act]
    with ThreadPoolExecutor(10) as pool:
        assert sum(pool.map(claim, runs)) == 1


@pytest.mark.parametrize("kind", SlotKind)
def test_holders_are_written_over_the_version_that_was_read(slots: Slots, kind: SlotKind) -> None:
    """Of two that read the same list one writes it; the other is told, and reads the new one."""
    nobody = slots.holders(kind)
    assert nobody == (frozenset(), None)
    assert slots.replace(kind, [RUN_ID], nobody.etag)
    assert not slots.replace(kind, ["ft-other-0123456789"], nobody.etag)
    one = slots.holders(kind)
    assert one.runs == {RUN_ID}
    assert slots.replace(kind, {"ft-other-0123456789", RUN_ID}, one.etag)
    assert not slots.replace(kind, [], one.etag)
    both = slots.holders(kind)
    assert both.runs == {RUN_ID, "ft-other-0123456789"}
    assert slots.replace(kind, [], both.etag)
    assert slots.holders(kind).runs == frozenset()


def test_a_corrupt_list_of_holders_is_read(containers: OwnContainers) -> None:
    """Text that is no run id is ignored."""
    slots = BlobSlots(containers)
    blob = containers.get_container_client("coordination").get_blob_client(f"slots/{SlotKind.ENDPOINT}")
    blob.upload_blob(b"\x00\xff {\n" + RUN_ID.encode())
    spoilt = slots.holders(SlotKind.ENDPOINT)
    assert RUN_ID in spoilt.runs
    assert slots.replace(SlotKind.ENDPOINT, [RUN_ID], spoilt.etag)
    assert slots.holders(SlotKind.ENDPOINT).runs == {RUN_ID}


class HearingRenewals(RequestsTransport):  # type: ignore[misc]
    """A network that tells when a lease is renewed."""

    def __init__(self) -> None:
        super().__init__()
        self.renewed = threading.Event()

    def send(self, request: Any, **kwargs: Any) -> Any:
        """Send, and listen."""
        response = super().send(request, **kwargs)
        if request.headers.get("x-ms-lease-action") == "renew" and response.status_code == 200:
            self.renewed.set()
        return response


def test_a_lease_is_renewed_for_as_long_as_it_is_held(
    azurite: Azurite, containers: OwnContainers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Work that takes longer than a lease does not lose it."""
    assert run_lock_module.RENEW_SECONDS * 2 < run_lock_module.LEASE_SECONDS
    monkeypatch.setattr(run_lock_module, "RENEW_SECONDS", 0.01)
    transport = HearingRenewals()
    with seen_through(azurite, containers, transport) as heard, BlobRunLock(heard).acquire(RUN_ID):
        assert transport.renewed.wait(60)


def test_a_lost_lease_does_not_break_its_holder(containers: OwnContainers) -> None:
    """When somebody breaks the lease, the work in hand goes on; its writes are conditional anyway."""
    run_lock = BlobRunLock(containers)
    with run_lock.acquire(RUN_ID):
        blob = containers.get_container_client("coordination").get_blob_client(f"run/{RUN_ID}")
        BlobLeaseClient(blob).break_lease(lease_break_period=0)
        with run_lock.acquire(RUN_ID):
            pass
    with run_lock.acquire(RUN_ID):
        pass


def test_a_damaged_entry_of_the_content_index_is_taken_over(containers: OwnContainers) -> None:
    """What somebody wrote there by hand names no run, and stops none."""
    index = BlobContentIndex(containers)
    containers.get_container_client("coordination").upload_blob("content/damaged", b"\xff\xfe\x00")
    holder = index.claim("damaged", RUN_ID)
    assert not is_run_id(holder)
    assert index.take_over("damaged", RUN_ID, previous=holder)
    assert index.claim("damaged", "ft-other-0123456789") == RUN_ID
