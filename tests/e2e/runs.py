"""Steps that the end-to-end tests share: put a blob in, wait for a run to get somewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
from azure.storage.blob import BlobClient

from local.processes import wait_until
from local.stack import Stack

SAMPLES = Path(__file__).parents[2] / "local" / "samples"
OVER = {"deleted", "rejected", "duplicate", "failed", "canceled"}
STAGE_SECONDS = 240.0


def sample(word: str) -> bytes:
    """The sample dataset with a word in its first answer, so that no other test has trained on the same."""
    content = (SAMPLES / "ultrachat-sample.jsonl").read_bytes()
    question, mark, rest = content.partition(b'"role": "user"}, {"content": "')
    return question + mark + f"({word}) ".encode() + rest


def upload(stack: Stack, name: str, content: bytes) -> None:
    """Put a blob into `uploads`, as anybody would."""
    with BlobClient.from_connection_string(stack.blob_connection_string, "uploads", name) as blob:
        blob.upload_blob(content)


def stored(stack: Stack, name: str) -> tuple[str, bytes]:
    """A blob of `uploads` as it is now: its ETag, which any write would change, and its bytes."""
    with BlobClient.from_connection_string(stack.blob_connection_string, "uploads", name) as blob:
        return blob.get_blob_properties().etag, blob.download_blob().readall()


def run_of(api: httpx.Client, dataset: str) -> str:
    """Wait until there is a run for a dataset, and tell its id."""
    found: list[dict[str, Any]] = []

    def opened() -> bool:
        found[:] = api.get("/api/runs", params={"dataset": dataset}).raise_for_status().json()["runs"]
        return bool(found)

    assert wait_until(opened, STAGE_SECONDS), f"no run was opened for {dataset}"
    run_id: str = found[0]["run_id"]
    return run_id


def follow(api: httpx.Client, run_id: str, *stages: str) -> dict[str, Any]:
    """Wait until a run is in one of the stages, or over, and return it."""
    seen: dict[str, Any] = {}

    def arrived() -> bool:
        seen.update(api.get(f"/api/runs/{run_id}").raise_for_status().json())
        return seen["stage"] in {*stages, *OVER}

    assert wait_until(arrived, STAGE_SECONDS), (
        f"{run_id} is still {seen.get('stage')}: {seen.get('last_fault')}"
    )
    assert seen["stage"] in stages, f"{run_id} is {seen['stage']}: {seen.get('error')}"
    return seen
