"""How soon the app sees that Azure ML is done with something, at the polling times of a deployment.

The emulator takes a tenth of the times that the service was recorded with; the app's own times are those of
`infra/main.bicep`. Some runs go from upload to live side by side. What is measured is the time from the
service being ready to the record having it, at each of a run's waits, and what of the time from upload to
live is not the service's.
"""

from __future__ import annotations

import json
import ssl
import tempfile
import time
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import httpx
from azure.storage.blob import BlobClient
from azureml_emulator import TIMED

from local.processes import wait_until
from local.settings import ROOT
from local.stack import Stack

SAMPLE = ROOT / "local" / "samples" / "ultrachat-sample.jsonl"
RUNS = 5
APART_SECONDS = 7.0
SECONDS = 900.0
PRODUCTION = {
    "SETTLE_SECONDS": "10",
    "JOB_POLL_SECONDS": "60",
    "OPERATION_POLL_SECONDS": "5",
    "ADVANCE_SCHEDULE": "0 * * * * *",
    "MAX_TRAINING_RUNS": "0",
    "MAX_LIVE_ENDPOINTS": "0",
}
A_TENTH = replace(
    TIMED,
    name="a tenth of timed",
    compute=TIMED.compute / 10,
    endpoint=TIMED.endpoint / 10,
    deployment=TIMED.deployment / 10,
    job_queue=TIMED.job_queue / 10,
    job_nodes=tuple(seconds / 10 for seconds in TIMED.job_nodes),
)


def measure_readiness(_megabytes: int) -> dict[str, Any]:
    """Median and longest of the gaps, by what was waited for; and the app's share of upload to live."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-readiness-") as folder,
        Stack(folder=Path(folder), host="local", settings=PRODUCTION) as stack,
        stack.client() as api,
    ):
        trust = ssl.create_default_context(cafile=stack.ca_bundle)
        with httpx.Client(base_url=stack.azureml_url, verify=trust, trust_env=False) as azureml:
            azureml.patch("/_emulator/state", json={"pace": asdict(A_TENTH)}).raise_for_status()
            uploaded = {}
            for number in range(RUNS):
                name = f"ready-{number}"
                content = SAMPLE.read_bytes().replace(b"sourdough", f"sourdough {number}".encode())
                with BlobClient.from_connection_string(
                    stack.blob_connection_string, "uploads", f"{name}.jsonl"
                ) as blob:
                    blob.upload_blob(content)
                uploaded[name] = datetime.now(UTC)
                time.sleep(APART_SECONDS)

            def live() -> list[dict[str, Any]]:
                return list(api.get("/api/runs", params={"stage": "live"}).json()["runs"])

            if not wait_until(lambda: len(live()) == RUNS, SECONDS):
                raise TimeoutError(f"{len(live())} of {RUNS} runs went live")
            runs = [api.get(f"/api/runs/{run['run_id']}").json() for run in live()]
            kept = azureml.get("/_emulator/resources", params={"kinds": "jobs,operations"}).json()
    return _of_runs(runs, uploaded, kept)


def _of_runs(
    runs: list[dict[str, Any]], uploaded: dict[str, datetime], kept: dict[str, Any]
) -> dict[str, Any]:
    gaps: dict[str, list[float]] = {}
    shares = []
    for run in runs:
        entered = {entry["stage"]: _time(entry["at"]) for entry in run["history"]}
        spans = _service_spans(run["run_id"], kept)
        seen = {
            "job": entered["trained"],
            "endpoint.create": spans["deployment.create"][0],
            "deployment.create": spans["endpoint.update"][0],
            "endpoint.update": entered["live"],
        }
        for what, at in seen.items():
            gaps.setdefault(what, []).append((at - spans[what][1]).total_seconds())
        service = sum((end - begin).total_seconds() for begin, end in spans.values())
        whole = (entered["live"] - uploaded[run["dataset"]]).total_seconds()
        shares.append(whole - service)
    every = [gap for found in gaps.values() for gap in found]
    return {
        "runs": len(runs),
        "seconds_from_ready_to_seen": {
            what: {"median": round(median(found), 1), "longest": round(max(found), 1)}
            for what, found in gaps.items()
        },
        "median_of_all": round(median(every), 1),
        "median_under_5_seconds": median(every) < 5,
        "seconds_of_the_app_from_upload_to_live": [round(share, 1) for share in sorted(shares)],
        "at_most_20_seconds": max(shares) <= 20,
    }


def _service_spans(run_id: str, kept: dict[str, Any]) -> dict[str, tuple[datetime, datetime]]:
    """When Azure ML began and ended each thing that the run waited for."""
    job = next(job for job in kept["jobs"] if job["name"] == run_id)
    spans = {"job": (_time(job["submitted"]), max(_time(node["ends"]) for node in job["nodes"]))}
    for operation in kept["operations"]:
        if operation["target"].partition("/")[0] == run_id:
            spans[operation["kind"]] = (_time(operation["started"]), _time(operation["ends"]))
    return spans


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


if __name__ == "__main__":
    print(json.dumps(measure_readiness(0), indent=2))
