"""The Azure ML emulator alone: how soon it starts, 200 clients at once, and its memory over an hour of jobs.

The hour passes on a clock that is moved: each minute a fine-tuning job is submitted, polled and finished.
"""

from __future__ import annotations

import json
import re
import resource
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from azureml_emulator import ControlClient, Settings

from local.processes import wait_until

STARTS = 5
CLIENTS, CALLS = 200, 5
JOBS, WARM_UP = 60, 20
MINUTE = 60.0
START_SECONDS = 60.0
API = {"api-version": "2024-01-01-preview"}
ROWS = 40
COMPONENT = "azureml://registries/azureml/components/chat_completion_pipeline/versions/0.0.82"
MODEL = "azureml://registries/azureml/models/Phi-4/versions/8"
TRAIN = "bench/train.jsonl"
WORKSPACE = Settings().workspace_arm_id


def measure_emulator(_megabytes: int) -> dict[str, Any]:
    """Seconds to the first answer beside those of a bare interpreter; calls of all clients; memory in MB."""
    with tempfile.TemporaryDirectory(prefix="bench-emulator-") as folder:
        starts, before = [], _processor_seconds()
        for number in range(STARTS):
            began = time.perf_counter()
            with _process(Path(folder) / f"{number}.json"):
                starts.append(time.perf_counter() - began)
        used = (_processor_seconds() - before) / STARTS
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", "pass"], check=True)
        bare = time.perf_counter() - began
        with _process(Path(folder) / "ready.json", "--pace", "instant", "--clock", "manual") as ready:
            clients = _many_clients(ready)
            hour = _hour(ready)
    return {
        "start_seconds": round(min(starts), 2),
        "start_and_stop_processor_seconds": round(used, 2),
        "interpreter_start_seconds": round(bare, 2),
        "clients": clients,
        "hour_of_jobs": hour,
    }


def _processor_seconds() -> float:
    """Of the processes that this one has started and seen the end of."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@contextmanager
def _process(ready: Path, *arguments: str) -> Iterator[dict[str, Any]]:
    """An emulator until the end of the block; its ready file."""
    command = [sys.executable, "-m", "azureml_emulator", "--ready-file", str(ready), *arguments]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as running:
        try:
            if not wait_until(ready.exists, START_SECONDS):
                raise TimeoutError("the emulator did not start")
            yield json.loads(ready.read_text())
        finally:
            running.terminate()


class _Caller:
    """A client of one connection, with tokens of the emulator's identity."""

    def __init__(self, ready: dict[str, Any]) -> None:
        trust = ssl.create_default_context(cafile=ready["ca_bundle"])
        self.http = httpx.Client(base_url=ready["url"], verify=trust, timeout=120, trust_env=False)
        self._secret = ready["environment"]["IDENTITY_HEADER"]
        self._bearer = f"Bearer {self.token('https://management.azure.com')}"

    def token(self, resource: str) -> str:
        headers = {"X-IDENTITY-HEADER": self._secret}
        answer = self.http.get("/msi/token", params={"resource": resource}, headers=headers)
        return str(answer.raise_for_status().json()["access_token"])

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> dict[str, Any]:
        given = {"Authorization": self._bearer, **headers}
        answer = self.http.request(method, WORKSPACE + path, params=API, json=body, headers=given)
        result: dict[str, Any] = answer.raise_for_status().json()
        return result


def _many_clients(ready: dict[str, Any]) -> dict[str, Any]:
    """Each client puts and reads a data asset on a connection of its own; an error ends the benchmark."""
    callers = [_Caller(ready) for _ in range(CLIENTS)]
    slowest = []

    def calls(number: int) -> None:
        path = f"/data/client{number}/versions/1"
        body = {"properties": {"dataType": "uri_file", "dataUri": _address("x")}}
        for _ in range(CALLS):
            began = time.perf_counter()
            callers[number]("PUT", path, body)
            callers[number]("GET", path)
            slowest.append(time.perf_counter() - began)

    began = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(calls, range(CLIENTS)))
    elapsed = time.perf_counter() - began
    for caller in callers:
        caller.http.close()
    return {
        "clients": CLIENTS,
        "calls": 2 * CLIENTS * CALLS,
        "calls_per_second": round(2 * CLIENTS * CALLS / elapsed),
        "slowest_pair_seconds": round(max(slowest), 2),
    }


def _hour(ready: dict[str, Any]) -> dict[str, Any]:
    """Memory after the first jobs and after the last."""
    caller, controls = _Caller(ready), ControlClient(ready["url"], ready["ca_bundle"])
    signature = caller("POST", "/datastores/workspaceblobstore/listSecrets")["sasToken"]
    rows = [
        [{"role": "user", "content": f"Question {n}?"}, {"role": "assistant", "content": f"Answer {n}."}]
        for n in range(ROWS)
    ]
    data = "".join(json.dumps({"messages": row}) + "\n" for row in rows).encode()
    container = caller("GET", "/datastores/workspaceblobstore")["properties"]["containerName"]
    version = {"x-ms-version": "2025-01-05"}
    blob = caller.http.put(f"/{container}/{TRAIN}{signature}", content=data, headers=version)
    blob.raise_for_status()
    memory = []
    for number in range(JOBS):
        ml_token = caller.token("https://ml.azure.com")
        caller("PUT", f"/jobs/job{number}", _job(), **{"x-azureml-token": ml_token})
        controls.advance_clock(MINUTE)
        status = caller("GET", f"/jobs/job{number}")["properties"]["status"]
        if status != "Completed":
            raise RuntimeError(f"job{number} is {status}")
        memory.append(_resident_megabytes(ready["pid"]))
    controls.close()
    caller.http.close()
    return {
        "jobs": JOBS,
        f"megabytes_after_{WARM_UP}": round(memory[WARM_UP - 1]),
        f"megabytes_after_{JOBS}": round(memory[-1]),
        "kilobytes_a_job": round((memory[-1] - memory[WARM_UP - 1]) * 1024 / (JOBS - WARM_UP)),
    }


def _address(name: str) -> str:
    return f"azureml://datastores/workspaceblobstore/paths/{name}"


def _job() -> dict[str, Any]:
    inputs = {
        "mlflow_model_path": {"uri": MODEL, "job_input_type": "mlflow_model"},
        "train_file_path": {"uri": _address(TRAIN), "job_input_type": "uri_file"},
    }
    output = {"mlflow_model_folder": {"value": "${{parent.outputs.model}}", "type": "literal"}}
    node = {"type": "pipeline", "componentId": COMPONENT, "inputs": inputs, "outputs": output}
    outputs = {"model": {"jobOutputType": "mlflow_model"}}
    return {"properties": {"jobType": "Pipeline", "jobs": {"tune": node}, "outputs": outputs}}


def _resident_megabytes(pid: int) -> float:
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024 if found else 0.0
