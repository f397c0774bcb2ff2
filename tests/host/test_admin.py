"""`/admin`: state and manual invocation, for the master key alone."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest
from azure.storage.blob import BlobServiceClient

from tests.host.conftest import RunningHost, take


@pytest.fixture
def client(work_host: RunningHost) -> Iterator[httpx.Client]:
    """A client with the master key."""
    with work_host.client(**{"x-functions-key": work_host.master_key}) as client:
        yield client


def test_the_host_tells_its_state(work_host: RunningHost, client: httpx.Client) -> None:
    """State, id and functions are shown."""
    status = client.get("/admin/host/status").json()
    assert (status["state"], status["id"]) == ("Running", work_host.prefix)
    functions = {function["name"]: function["trigger"] for function in client.get("/admin/functions").json()}
    assert functions["tick"] == "timerTrigger"


def test_functions_run_on_request(work_host: RunningHost, client: httpx.Client) -> None:
    """Timer, queue and blob functions run with the input they are given."""
    with BlobServiceClient.from_connection_string(work_host.storage) as service:
        service.create_container(f"{work_host.prefix}-manual").upload_blob("a.jsonl", b"rows")
    inputs = {"tick": "", "work": '{"n": 4}', "uploaded": f"{work_host.prefix}-manual/a.jsonl"}
    for name, given in inputs.items():
        assert client.post(f"/admin/functions/{name}", json={"input": given}).status_code == 202
    results = [json.loads(result) for result in take(work_host.queue("results"), 3)]
    assert {"tick": False} in results
    assert {"blob": "a.jsonl", "content": "rows"} in results
    assert any(result.get("order") == {"n": 4} for result in results)


@pytest.mark.parametrize(
    ("name", "content", "status"),
    [
        ("tick", b"", 400),
        ("tick", b"[]", 400),
        ("uploaded", b'{"input": "nocontainer"}', 400),
        ("order", b'{"input": ""}', 400),
        ("unknown", b'{"input": ""}', 404),
    ],
)
def test_what_cannot_be_run_is_refused(client: httpx.Client, name: str, content: bytes, status: int) -> None:
    """No body, an unfit input, an HTTP function and an unknown one are problems."""
    answer = client.post(f"/admin/functions/{name}", content=content)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("path", ["/admin/host/status", "/admin/functions"])
def test_the_function_key_does_not_open_admin(work_host: RunningHost, path: str) -> None:
    """Only the master key does."""
    with work_host.client(**{"x-functions-key": work_host.key}) as client:
        assert client.get(path).status_code == 401
        assert client.post("/admin/functions/tick", json={"input": ""}).status_code == 401
