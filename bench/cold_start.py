"""Cold start: from the start of the process to the first HTTP answer, and to the first look at a job.

Beside it the app that one would write first (`bench/naive_app`): azure-ai-ml imported and its client
built at module level. Both are served by the same function host, whose own start is part of both figures.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
from azure.storage.queue import QueueClient, TextBase64EncodePolicy

from local.stack import Stack

ROOT = Path(__file__).parents[1]
ROUNDS = 5
WAIT_SECONDS = 60.0
POLL_SECONDS = 0.005


def measure_cold_start(_megabytes: int) -> dict[str, Any]:
    """Start each app a few times and take medians; seconds, and MiB of resident memory."""
    with tempfile.TemporaryDirectory(prefix="cold-start-") as folder:
        settings = {"COMPUTE_CLUSTER": "serverless", "JOB_POLL_SECONDS": "1"}
        with Stack(folder=Path(folder), host="local", pace="timed", settings=settings) as stack:
            run_id = _train(stack)
            stack.kill_functions()
            apps = {"this_app": ROOT, "naive_app": ROOT / "bench/naive_app"}
            rounds = [
                {name: _start(app, stack, run_id, Path(folder)) for name, app in apps.items()}
                for _ in range(ROUNDS)
            ]
    medians = {
        name: {key: round(statistics.median(one[name][key] for one in rounds), 3) for key in rounds[0][name]}
        for name in apps
    }
    ours, naive = medians["this_app"], medians["naive_app"]
    return {
        **medians,
        "this_app_over_naive_app": {key: round(ours[key] / naive[key], 3) for key in ours},
        "first_calls": measure_first_calls(dict(stack.environment)),
    }


def measure_first_calls(environment: Mapping[str, str]) -> dict[str, Any]:
    """24 requests at once, and the pause of the event loop: the app built once, and by `functools.cache`."""
    return {
        way: {
            measure: json.loads(
                subprocess.run(
                    [sys.executable, "-m", "bench.first_calls", measure, way],
                    env=environment,
                    cwd=ROOT,
                    capture_output=True,
                    check=True,
                    text=True,
                ).stdout
            )
            for measure in ("threads", "loop")
        }
        for way in ("cache", "once")
    }


def _train(stack: Stack) -> str:
    from azure.storage.blob import BlobServiceClient

    with (
        BlobServiceClient.from_connection_string(stack.blob_connection_string) as blobs,
        stack.client() as client,
    ):
        sample = (ROOT / "local/samples/ultrachat-sample.jsonl").read_bytes()
        blobs.get_blob_client("uploads", "cold.jsonl").upload_blob(sample)
        deadline = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < deadline:
            runs = client.get("/api/runs", params={"stage": "training"}).json()["runs"]
            if runs:
                return str(runs[0]["run_id"])
            time.sleep(0.2)
    raise TimeoutError("no run came to train")


def _start(app: Path, stack: Stack, run_id: str, folder: Path) -> dict[str, float]:
    ready = folder / "ready.json"
    ready.unlink(missing_ok=True)
    command = [
        sys.executable,
        "-m",
        "emulators.functions",
        "--app",
        str(app),
        "--port",
        "0",
        "--ready-file",
        str(ready),
    ]
    environment = {**stack.environment, "ADVANCE_SCHEDULE": "0 0 0 1 1 *"}
    began = time.perf_counter()
    with (folder / "host.log").open("w") as log:
        process = subprocess.Popen(command, env=environment, cwd=ROOT, stderr=log, stdout=log)
    try:
        keys = _until(lambda: json.loads(ready.read_text()) if ready.exists() else None)
        with httpx.Client(base_url=keys["url"], trust_env=False) as client:
            _until(
                lambda: client.get("/api/runs", headers={"x-functions-key": keys["function_key"]}).is_success
            )
            answered = time.perf_counter() - began
            memory = _resident_mebibytes(process.pid)
            looks = _looks_at_jobs(stack)
            with _advance_queue(stack) as queue:
                queue.send_message(run_id)
            _until(lambda: _looks_at_jobs(stack) > looks)
            advanced = time.perf_counter() - began
        return {
            "first_answer_seconds": answered,
            "first_answer_mebibytes": memory,
            "first_advance_seconds": advanced,
            "first_advance_mebibytes": _resident_mebibytes(process.pid),
        }
    finally:
        process.terminate()
        process.wait(WAIT_SECONDS)


def _advance_queue(stack: Stack) -> QueueClient:
    return QueueClient.from_connection_string(
        stack.blob_connection_string, "advance", message_encode_policy=TextBase64EncodePolicy()
    )


def _looks_at_jobs(stack: Stack) -> int:
    address = f"{stack.azureml_url}/_emulator/calls"
    calls = httpx.get(address, params={"operation": "jobs.get"}, verify=_tls(stack), trust_env=False).json()
    return len(calls["value"])


def _tls(stack: Stack) -> Any:
    import ssl

    return ssl.create_default_context(cafile=stack.ca_bundle)


def _until(check: Any) -> Any:
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        if found := check():
            return found
        time.sleep(POLL_SECONDS)
    raise TimeoutError("a host did not get there in time")


def _resident_mebibytes(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    kibibytes = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
    return kibibytes / 1024
