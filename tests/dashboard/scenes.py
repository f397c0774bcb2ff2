"""Runs in every state that the dashboard shows, made on a real stack as users and services make them."""

from __future__ import annotations

import contextlib
import json
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
from azure.core import MatchConditions
from azure.core.exceptions import ResourceModifiedError
from azure.storage.blob import BlobClient, ContainerClient

from handlers.http.openapi.examples import RUN_PAGE
from local.processes import wait_until
from local.stack import Stack

SAMPLES = Path(__file__).parents[2] / "local" / "samples"
SAMPLE = (SAMPLES / "ultrachat-sample.jsonl").read_bytes()
BROKEN = (SAMPLES / "broken.jsonl").read_bytes()
PATIENCE_SECONDS = 240.0
SETTLED_SECONDS = 2.5
OUT_OF_MEMORY = {
    "job": {
        "child": "chat_completion_finetune",
        "message": "CUDA out of memory. Tried to allocate 1.17 GiB (GPU 0; 79.15 GiB total capacity; 77.02"
        " GiB already allocated). Lower per_device_train_batch_size, or choose a larger VM size.",
    }
}


def listed(run_id: str, stage: str | None, **facts: Any) -> dict[str, Any]:
    """A run as the API lists it: what a test has the browser receive instead of the stack's own answer."""
    entry = RUN_PAGE["runs"][0]
    unknown = ("opened_at", "entered_at", "due", "expires_at", "waiting_for", "reason", "eval_loss", "chrf")
    cost = {"node_hours": 0, "amount": None, "since": None, "nodes": 0, "price_per_hour": None}
    told = {"run_id": run_id, "dataset": run_id, "stage": stage, "cost": {"currency": "USD", **cost}}
    return entry | dict.fromkeys(unknown) | told | facts


class Scenes:
    """Makes runs and waits for them to get where they are wanted."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.api = stack.client()
        trust = ssl.create_default_context(cafile=stack.ca_bundle)
        self._azureml = httpx.Client(base_url=stack.azureml_url, verify=trust, trust_env=False, timeout=60)

    def close(self) -> None:
        """Close the connections."""
        self.api.close()
        self._azureml.close()

    def pace(self, name: str | Mapping[str, Any]) -> None:
        """How long things take in Azure ML, for what begins from now on."""
        self._azureml.patch("/_emulator/state", json={"pace": name}).raise_for_status()

    def fault(self, fault: Mapping[str, Any]) -> None:
        """Have something go wrong in Azure ML."""
        self._azureml.post("/_emulator/faults", json=fault).raise_for_status()

    def no_faults(self) -> None:
        """Have nothing go wrong any more."""
        self._azureml.delete("/_emulator/faults").raise_for_status()

    def upload(self, dataset: str, *, rows: bytes = SAMPLE, **options: Any) -> str:
        """Upload a dataset with its options, and wait until its run is there.

        Returns:
            The run's id.
        """
        self.put(f"{dataset}/run.json", json.dumps({"force": True, **options}).encode())
        self.put(f"{dataset}/train.jsonl", rows)
        found: list[str] = []

        def opened() -> bool:
            listed = self.api.get("/api/runs", params={"dataset": dataset}).raise_for_status().json()["runs"]
            found[:] = [entry["run_id"] for entry in listed]
            return bool(found)

        assert wait_until(opened, PATIENCE_SECONDS), f"no run was opened for {dataset}"
        return found[0]

    def run(self, run_id: str) -> dict[str, Any]:
        """A run, as the API shows it now."""
        shown: dict[str, Any] = self.api.get(f"/api/runs/{run_id}").raise_for_status().json()
        return shown

    def wait(self, run_id: str, stage: str) -> dict[str, Any]:
        """Wait until a run is in a stage."""
        seen: dict[str, Any] = {}

        def arrived() -> bool:
            seen.update(self.run(run_id))
            return bool(seen["stage"] == stage)

        assert wait_until(arrived, PATIENCE_SECONDS), f"{run_id} is {seen.get('stage')}, not {stage}: {seen}"
        return seen

    def live(self, dataset: str, **options: Any) -> str:
        """A run whose endpoint answers."""
        run_id = self.upload(dataset, **options)
        self.wait(run_id, "live")
        return run_id

    def training(self, dataset: str) -> str:
        """A run whose job takes its time."""
        self.pace("timed")
        run_id = self.upload(dataset)
        self.wait(run_id, "training")
        self.pace("instant")
        return run_id

    def failed(self, dataset: str) -> str:
        """A run whose training ran out of memory."""
        self.fault(OUT_OF_MEMORY)
        run_id = self.upload(dataset)
        self.wait(run_id, "failed")
        return run_id

    def rejected(self, dataset: str) -> str:
        """A run whose dataset has faults of every kind."""
        run_id = self.upload(dataset, rows=BROKEN)
        self.wait(run_id, "rejected")
        return run_id

    def struggling(self, dataset: str) -> str:
        """A run whose job Azure ML is too busy to take, until there are no faults any more."""
        words = {
            "error": {"code": "ServiceUnavailable", "message": "The workspace is busy; try again later."}
        }
        busy = {"match": {"operation": "jobs.put", "path": f"/jobs/ft-{dataset}"}}
        self.fault({**busy, "count": None, "status": 503, "body": words})
        run_id = self.upload(dataset)
        stumbled = wait_until(lambda: bool(self.run(run_id)["failures"]), PATIENCE_SECONDS)
        assert stumbled, self.run(run_id)
        return run_id

    def lasting_teardown(self, dataset: str) -> str:
        """A run whose endpoint Azure ML will not delete until there are no faults any more."""
        run_id = self.live(dataset)
        words = {"error": {"code": "Conflict", "message": "Another operation is in progress."}}
        stuck = {"match": {"operation": "endpoints.delete", "path": f"/onlineEndpoints/{run_id}"}}
        self.fault({**stuck, "count": None, "status": 409, "body": words})
        self.api.delete(f"/api/endpoints/{run_id}").raise_for_status()
        self.wait(run_id, "deleting")
        return run_id

    def suspended(self, dataset: str, reason: str) -> str:
        """A live run, marked as the app marks one when a message about it failed for the last time."""
        run_id = self.live(dataset)

        def lost() -> bool:
            listed = self.api.get("/api/runs", params={"attention": "true", "dataset": dataset})
            return listed.raise_for_status().json()["runs"] == []

        with ContainerClient.from_connection_string(self.stack.blob_connection_string, "runs") as container:
            blob = container.get_blob_client(f"{run_id}.json")
            # A message that was on its way still advances the run, which takes the mark away.
            while wait_until(lost, SETTLED_SECONDS):
                seen = blob.get_blob_properties()
                with contextlib.suppress(ResourceModifiedError):
                    blob.set_blob_metadata(
                        {**(seen.metadata or {}), "suspended": reason},
                        etag=seen.etag,
                        match_condition=MatchConditions.IfNotModified,
                    )
        return run_id

    def put(self, name: str, content: bytes) -> None:
        """Upload a blob."""
        with BlobClient.from_connection_string(self.stack.blob_connection_string, "uploads", name) as blob:
            blob.upload_blob(content, overwrite=True)

    def remove(self, name: str) -> None:
        """Delete an uploaded blob."""
        with BlobClient.from_connection_string(self.stack.blob_connection_string, "uploads", name) as blob:
            blob.delete_blob()
