"""Faults: what is to go wrong goes wrong, when and as often as it was told to."""

from __future__ import annotations

import time
from typing import Any

import httpx
import pytest
from emulator_rest import Rest


def test_a_status_takes_the_place_of_the_answer(rest: Rest) -> None:
    """With its body and headers; once, by default; the call shows in the log of calls."""
    rest.emulator.add_fault(
        match={"operation": "workspaces.get"},
        status=429,
        headers={"Retry-After": "7"},
        body={"error": {"code": "TooManyRequests", "message": "slow down"}},
    )
    answer = rest("GET", "")
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "7")
    assert answer.json()["error"]["code"] == "TooManyRequests"
    assert rest("GET", "").status_code == 200
    assert [call["status"] for call in rest.emulator.calls("workspaces.get")] == [429, 200]


def test_nth_and_count_pick_the_occasions(rest: Rest) -> None:
    """From the second on, twice."""
    rest.emulator.add_fault(match={"method": "GET", "path": "/computes$"}, nth=2, count=2, status=500)
    assert [rest("GET", "/computes").status_code for _ in range(5)] == [200, 500, 500, 200, 200]


def test_a_fault_without_a_count_lasts(rest: Rest) -> None:
    """Until faults are cleared."""
    rest.emulator.add_fault(match={"path": "/computes"}, count=None, status=503)
    assert {rest("GET", "/computes").status_code for _ in range(5)} == {503}
    assert rest.http.delete("/_emulator/faults").status_code == 204
    assert rest("GET", "/computes").status_code == 200


def test_a_lost_answer_is_a_call_that_was_served(rest: Rest) -> None:
    """The connection breaks, and the endpoint is there."""
    rest.emulator.add_fault(match={"operation": "endpoints.put"}, lost_answer=True)
    with pytest.raises(httpx.TransportError):
        rest.endpoint()
    assert rest("GET", "/onlineEndpoints/chat").status_code == 200


def test_a_reset_is_a_call_that_was_not(rest: Rest) -> None:
    """The connection breaks, and nothing has happened."""
    rest.emulator.add_fault(match={"operation": "endpoints.put"}, reset=True)
    with pytest.raises(httpx.TransportError):
        rest.endpoint()
    assert rest("GET", "/onlineEndpoints/chat").status_code == 404
    assert rest.emulator.calls("endpoints.put")[0]["status"] is None


@pytest.mark.parametrize("effect", ["delay", "slow_body"])
def test_slow_answers_arrive_whole(rest: Rest, effect: str) -> None:
    """Late, and not a byte short."""
    swift = rest("GET", "/computes")
    rest.emulator.add_fault(match={"path": "/computes"}, **{effect: 0.2})
    began = time.monotonic()
    assert rest("GET", "/computes").content == swift.content
    assert time.monotonic() - began >= 0.2


def test_an_operation_that_never_ends(rest: Rest) -> None:
    """Updating for ever, and the endpoint Creating."""
    rest.emulator.add_fault(match={"operation": "endpoint.create"}, operation={"status": "Never"})
    operation = rest.endpoint().headers["Azure-AsyncOperation"]
    assert {rest("GET", operation).json()["status"] for _ in range(3)} == {"Updating"}
    assert rest("GET", "/onlineEndpoints/chat").json()["properties"]["provisioningState"] == "Creating"


@pytest.mark.parametrize(("pace", "wait"), [("instant", "20"), ("fast", "200"), ("timed", None)])
def test_how_long_a_poller_is_asked_to_wait(rest: Rest, pace: str, wait: str | None) -> None:
    """Milliseconds at the paces that are made for tests; nothing at the recorded one, as recorded."""
    rest.http.patch("/_emulator/state", json={"pace": pace})
    rest.emulator.add_fault(count=None, operation={"status": "Never"})
    polled = [
        rest("GET", started.headers[header])
        for started, header in (
            (rest.endpoint(), "Azure-AsyncOperation"),
            (rest.compute(), "Azure-AsyncOperation"),
            (rest("DELETE", "/onlineEndpoints/chat"), "Location"),
        )
    ]
    assert [answer.headers.get("x-ms-retry-after-ms") for answer in polled] == [wait] * 3
    assert [answer.headers.get("Retry-After") for answer in polled] == [None] * 3


def test_an_operation_that_is_canceled(rest: Rest) -> None:
    """A status of its own."""
    rest.emulator.add_fault(match={"operation": "compute.put"}, operation={"status": "Canceled"})
    operation = rest.compute().headers["Azure-AsyncOperation"]
    assert rest("GET", operation).json()["status"] == "Canceled"
    assert rest("GET", "/computes/gpu").json()["properties"]["provisioningState"] == "Canceled"


def test_a_delete_that_fails_leaves_the_endpoint(rest: Rest) -> None:
    """Failed, still there, and a second try goes through."""
    rest.endpoint()
    failure = {"status": "Failed", "error": {"code": "InternalServerError", "message": "no"}}
    rest.emulator.add_fault(match={"operation": "endpoint.delete", "target": "chat"}, operation=failure)
    operation = rest("DELETE", "/onlineEndpoints/chat").headers["Azure-AsyncOperation"]
    assert rest("GET", operation).json()["error"]["message"] == "no"
    assert rest("GET", "/onlineEndpoints/chat").status_code == 200
    rest("DELETE", "/onlineEndpoints/chat")
    assert rest("GET", "/onlineEndpoints/chat").status_code == 404


def test_an_endpoint_can_be_slow_to_go(rest: Rest) -> None:
    """Deleting for as long as the fault says, whatever the pace."""
    rest.endpoint()
    slow = {"status": "Succeeded", "seconds": 600}
    rest.emulator.add_fault(match={"operation": "endpoint.delete"}, operation=slow)
    rest("DELETE", "/onlineEndpoints/chat")
    assert rest("GET", "/onlineEndpoints/chat").json()["properties"]["provisioningState"] == "Deleting"


@pytest.mark.parametrize(
    "fault",
    [{"statu": 500}, {"match": {"path": "("}}, {"operation": {"state": "Failed"}}, {"status": "500"}, "x"],
)
def test_a_malformed_fault_is_refused(rest: Rest, fault: Any) -> None:
    """A name mistyped is not a fault that never comes."""
    answer = rest.http.post("/_emulator/faults", json=fault)
    assert answer.status_code == 400
    assert rest.http.get("/_emulator/faults").json()["value"] == []


def test_faults_come_one_by_one_or_as_a_list(rest: Rest) -> None:
    """Both forms are taken, and listed with what they have seen."""
    rest.http.post("/_emulator/faults", json={"status": 500, "match": {"path": "/computes"}})
    rest.http.post("/_emulator/faults", json=[{"delay": 0.01}, {"reset": True, "nth": 99}])
    rest("GET", "/computes")
    faults = rest.http.get("/_emulator/faults").json()["value"]
    assert [fault["seen"] for fault in faults] == [1, 0, 0]
