"""In by blob upload, out by HTTP: nothing between is replaced."""

from __future__ import annotations

import json
import ssl

import httpx
import pytest

from local.processes import wait_until
from local.stack import Stack
from tests.e2e.runs import SAMPLES, follow, run_of, sample, stored, upload


def test_an_upload_becomes_an_endpoint_and_goes_again(stack: Stack, api: httpx.Client) -> None:
    """A dataset is checked, trained, registered, deployed, scored and torn down, its upload untouched."""
    upload(stack, "whole-way.jsonl", sample("whole way"))
    uploaded = stored(stack, "whole-way.jsonl")
    run_id = run_of(api, "whole-way")
    run = follow(api, run_id, "live")
    assert run["report"]["verdict"] == "accepted"
    assert run["metrics"]["train_loss"] > 0
    assert run["metrics"]["eval_loss"] > 0
    assert run["model"]["version"]
    assert run["smoke_test"]
    assert all(test["reply"] and test["expected"] for test in run["smoke_test"])

    test = run["smoke_test"][0]
    question = {"messages": test["prompt"], "max_new_tokens": 50}
    answer = api.post(f"/api/endpoints/{run_id}/score", json=question)
    assert answer.status_code == 200
    assert len(answer.text) > 2

    assert api.post(f"/api/endpoints/{run_id}/extend", json={"hours": 1}).status_code == 200
    assert api.delete(f"/api/endpoints/{run_id}").status_code == 202
    gone = follow(api, run_id, "deleted")
    assert [entry["stage"] for entry in gone["history"]] == [
        *("received", "validated", "training", "trained", "registered"),
        *("deploying", "live", "deleting", "deleted"),
    ]
    assert wait_until(
        lambda: api.post(f"/api/endpoints/{run_id}/score", json=question).status_code == 410, 240
    )
    assert stored(stack, "whole-way.jsonl") == uploaded


def test_a_broken_dataset_is_rejected_before_it_costs_anything(stack: Stack, api: httpx.Client) -> None:
    """Its report lists faults by line, Azure ML was never asked for a job, and the upload is as it was."""
    upload(stack, "broken.jsonl", (SAMPLES / "broken.jsonl").read_bytes())
    uploaded = stored(stack, "broken.jsonl")
    run_id = run_of(api, "broken")
    run = follow(api, run_id, "rejected")
    assert [entry["stage"] for entry in run["history"]] == ["received", "rejected"]
    report = api.get(f"/api/runs/{run_id}/report").json()
    lines = {issue["line"] for issue in report["issues"] if issue["line"]}
    assert len(lines) >= 12
    trust = ssl.create_default_context(cafile=stack.ca_bundle)
    with httpx.Client(verify=trust, trust_env=False, timeout=60) as client:
        calls = client.get(f"{stack.azureml_url}/_emulator/calls").json()
    assert run_id not in json.dumps(calls)
    assert stored(stack, "broken.jsonl") == uploaded


@pytest.mark.parametrize(
    ("method", "path", "content", "status"),
    [
        ("GET", "/api/runs/ft-unknown-0000000000", b"", 404),
        ("GET", "/api/runs/..%2f..%2fetc%2fpasswd", b"", 404),
        ("POST", "/api/runs/ft-unknown-0000000000/cancel", b"", 404),
        ("DELETE", "/api/endpoints/ft-unknown-0000000000", b"", 404),
        ("POST", "/api/endpoints/ft-unknown-0000000000/score", b"{not json", 400),
        ("POST", "/api/endpoints/ft-unknown-0000000000/score", b" " * (1024 * 1024 + 1), 413),
    ],
)
def test_bad_requests_are_problems(
    api: httpx.Client, method: str, path: str, content: bytes, status: int
) -> None:
    """Unknown runs, malformed bodies and large ones are refused as problem+json, none with a 500."""
    answer = api.request(method, path, content=content)
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("application/problem+json")


@pytest.mark.parametrize("path", ["/api/runs", "/api/runs/ft-unknown-0000000000"])
def test_a_key_is_needed(stack: Stack, path: str) -> None:
    """Without the function key every route but health is 401."""
    with httpx.Client(base_url=stack.functions_url, trust_env=False, timeout=60) as client:
        answer = client.get(path)
        assert answer.status_code == 401
        assert answer.headers["content-type"] == "application/problem+json"
        assert client.get("/api/health").json()["status"] == "ok"
