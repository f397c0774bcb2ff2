"""The promises of `Claims`, held to the fake and to blobs in Azurite alike."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from azure.core.pipeline.transport import RequestsTransport
from azure.storage.blob import BlobLeaseClient

from local.azurite import Azurite
from shared.adapters import claims as claims_module
from shared.adapters.claims import BlobClaims
from shared.domain.errors import (
    RunBusyError,
)
from shared.domain.places import Place
from shared.ports import Claims
from tests.app.builders import RUN_ID
from tests.app.conftest import OwnContainers, seen_through
from tests.app.fake_storage import MemoryClaims


@pytest.fixture(params=["memory", "blobs"])
def claims(request: pytest.FixtureRequest) -> Claims:
    """No claims yet, of either kind."""
    if request.param == "memory":
        return MemoryClaims()
    return BlobClaims(request.getfixturevalue("containers"))


def test_a_run_is_held_by_one_worker_at_a_time(claims: Claims) -> None:
    """The second worker is told so; when the first is done, or fails, the run is free."""
    with claims.hold(RUN_ID):
        with pytest.raises(RunBusyError), claims.hold(RUN_ID):
            raise AssertionError("held twice")
        with claims.hold("ft-other-0123456789"):
            pass
    with pytest.raises(ZeroDivisionError), claims.hold(RUN_ID):
        raise ZeroDivisionError
    with claims.hold(RUN_ID):
        pass


def test_of_many_workers_one_holds_the_run(claims: Claims) -> None:
    """However many ask at the same moment for a run that nobody ever held, one gets it."""
    gate = threading.Barrier(8)
    won: list[int] = []
    lost: list[int] = []

    def work(worker: int) -> None:
        gate.wait(120)
        try:
            with claims.hold(RUN_ID):
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


def test_content_is_claimed_once(claims: Claims) -> None:
    """The first claim holds, for the same run as often as it asks, and can be handed over once."""
    assert claims.claim_content("d", "ft-a-0000000001") == "ft-a-0000000001"
    assert claims.claim_content("d", "ft-a-0000000002") == "ft-a-0000000001"
    assert claims.claim_content("d", "ft-a-0000000001") == "ft-a-0000000001"
    assert claims.take_over_content("d", "ft-a-0000000002", previous="ft-a-0000000001")
    assert not claims.take_over_content("d", "ft-a-0000000003", previous="ft-a-0000000001")
    assert claims.claim_content("d", "ft-a-0000000003") == "ft-a-0000000002"
    assert claims.claim_content("e", "ft-a-0000000003") == "ft-a-0000000003"


@pytest.mark.parametrize("act", ["claim", "take over"])
def test_of_many_claims_one_holds(claims: Claims, act: str) -> None:
    """Ten runs with the same content at once: all agree on the one that has it."""
    runs = [f"ft-a-{number:010x}" for number in range(10)]
    claims.claim_content("taken", "ft-z-0123456789")
    claim: Callable[[str], Any] = {
        "claim": lambda run: claims.claim_content("free", run) == run,
        "take over": lambda run: claims.take_over_content("taken", run, previous="ft-z-0123456789"),
    }[act]
    with ThreadPoolExecutor(10) as pool:
        assert sum(pool.map(claim, runs)) == 1


@pytest.mark.parametrize("place", Place)
def test_places_are_written_over_the_version_that_was_read(claims: Claims, place: Place) -> None:
    """Of two that read the same list one writes it; the other is told, and reads the new one."""
    nobody = claims.places(place)
    assert nobody == (frozenset(), None)
    assert claims.replace_places(place, [RUN_ID], nobody.etag)
    assert not claims.replace_places(place, ["ft-other-0123456789"], nobody.etag)
    one = claims.places(place)
    assert one.runs == {RUN_ID}
    assert claims.replace_places(place, {"ft-other-0123456789", RUN_ID}, one.etag)
    assert not claims.replace_places(place, [], one.etag)
    both = claims.places(place)
    assert both.runs == {RUN_ID, "ft-other-0123456789"}
    assert claims.replace_places(place, [], both.etag)
    assert claims.places(place).runs == frozenset()


def test_a_list_of_places_that_a_hand_has_spoilt_is_read(containers: OwnContainers) -> None:
    """What is not a run's name there is nobody's, and stops nobody."""
    claims = BlobClaims(containers)
    blob = containers.get_container_client("claims").get_blob_client(f"place/{Place.ENDPOINT}")
    blob.upload_blob(b"\x00\xff {\n" + RUN_ID.encode())
    spoilt = claims.places(Place.ENDPOINT)
    assert RUN_ID in spoilt.runs
    assert claims.replace_places(Place.ENDPOINT, [RUN_ID], spoilt.etag)
    assert claims.places(Place.ENDPOINT).runs == {RUN_ID}


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
    assert claims_module.RENEW_SECONDS * 2 < claims_module.LEASE_SECONDS
    monkeypatch.setattr(claims_module, "RENEW_SECONDS", 0.01)
    transport = HearingRenewals()
    with seen_through(azurite, containers, transport) as heard, BlobClaims(heard).hold(RUN_ID):
        assert transport.renewed.wait(60)


def test_a_lost_lease_does_not_break_its_holder(containers: OwnContainers) -> None:
    """When somebody breaks the lease, the work in hand goes on; its writes are conditional anyway."""
    claims = BlobClaims(containers)
    with claims.hold(RUN_ID):
        blob = containers.get_container_client("claims").get_blob_client(f"run/{RUN_ID}")
        BlobLeaseClient(blob).break_lease(lease_break_period=0)
        with claims.hold(RUN_ID):
            pass
    with claims.hold(RUN_ID):
        pass
