"""Scoring, three ways to the same endpoint: directly, through this app, and by the SDK's `invoke`.

One stack on this machine serves all three: the Azure ML emulator (TLS), the local function host, and this
program share its cores, so that requests a second are those of the whole machine. The model does next to
nothing; what is measured is the way to it.
"""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import tempfile
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median, quantiles
from typing import Any, NamedTuple

import aiohttp
import httpx
from azure.storage.blob import BlobClient

from local.processes import wait_until
from local.settings import ROOT
from local.stack import Stack

SAMPLE = ROOT / "local" / "samples" / "ultrachat-sample.jsonl"
LATENCIES = (0.0, 0.2)
CONCURRENCIES = (1, 16, 64)
PAIRS = {0.0: 200, 0.2: 40}
FIRST_TOKENS = 60
SECONDS = 3.0

CONTROL_PLANE_SECONDS = 0.1
"""Assumed, not measured: what one call of Azure Resource Manager takes. The emulator answers at once, and
`invoke` makes such calls for every request, so that it is measured both ways."""

LIVE_SECONDS = 180.0
PAYLOAD = {
    "input_data": {
        "input_string": [[{"role": "user", "content": "How do I keep bread fresh?"}]],
        "parameters": {"max_new_tokens": 1, "do_sample": False},
    },
    "params": {},
}
CHAT = {
    "messages": [{"role": "user", "content": "How do I keep bread fresh?"}],
    "max_tokens": 16,
    "stream": True,
}
ML_SCOPE = "https://ml.azure.com/.default"

Call = Callable[[], Awaitable[None]]


class Ways(NamedTuple):
    """The three ways, each a call that scores once."""

    direct: Call
    app: Call
    invoke: Call


def measure_scoring(_megabytes: int) -> dict[str, Any]:
    """Added latency and throughput, side by side."""
    with tempfile.TemporaryDirectory(prefix="bench-scoring-") as folder:
        settings = {"ENDPOINT_IDLE_MINUTES": "0", "SERVING_CONCURRENCY": str(max(CONCURRENCIES))}
        with Stack(folder=Path(folder), host="local", settings=settings) as stack:
            endpoint = _live_endpoint(stack)
            os.environ.update(stack.environment)
            return asyncio.run(_measure(stack, endpoint, Path(folder) / "request.json"))


async def _measure(stack: Stack, endpoint: str, request: Path) -> dict[str, Any]:
    from azure.ai.ml import MLClient
    from azure.identity import DefaultAzureCredential

    credential = DefaultAzureCredential()
    where = [stack.environment[name] for name in ("AZURE_SUBSCRIPTION_ID", "AZURE_RESOURCE_GROUP")]
    ml = MLClient(credential, *where, stack.environment["AZUREML_WORKSPACE"], enable_telemetry=False)
    deployment = ml.online_deployments.get("main", endpoint)
    deployment.request_settings.max_concurrent_requests_per_instance = max(CONCURRENCIES)
    ml.online_deployments.begin_create_or_update(deployment).result()
    request.write_text(json.dumps(PAYLOAD))
    token = credential.get_token(ML_SCOPE).token
    scoring_uri = str(ml.online_endpoints.get(endpoint).scoring_uri)
    trust = ssl.create_default_context(cafile=stack.ca_bundle)
    with ThreadPoolExecutor(max(CONCURRENCIES)) as threads:
        # Of the asynchronous clients the lightest, so that what is measured is not the client.
        connector = aiohttp.TCPConnector(limit=0, ssl=trust)
        async with aiohttp.ClientSession(connector=connector) as client:
            loop = asyncio.get_running_loop()
            app_uri = f"{stack.functions_url}/api/endpoints/{endpoint}/score"

            async def post(uri: str, headers: dict[str, str]) -> None:
                async with client.post(uri, json=PAYLOAD, headers=headers) as answer:
                    answer.raise_for_status()
                    await answer.read()

            async def direct() -> None:
                headers = {"Authorization": f"Bearer {token}"}
                await post(scoring_uri, headers)

            async def app() -> None:
                headers = {"x-functions-key": stack.function_key}
                await post(app_uri, headers)

            def invoke_once() -> None:
                ml.online_endpoints.invoke(endpoint_name=endpoint, request_file=str(request))

            async def invoke() -> None:
                await loop.run_in_executor(threads, invoke_once)

            async def first_token(uri: str, headers: dict[str, str]) -> float:
                began = time.perf_counter()
                async with client.post(uri, json=CHAT, headers=headers) as answer:
                    answer.raise_for_status()
                    async for line in answer.content:
                        if b'"content"' in line:
                            taken = time.perf_counter() - began
                            await answer.read()
                            return taken
                raise RuntimeError(f"{uri} streamed nothing")

            chat_uri = scoring_uri.removesuffix("/score") + "/v1/chat/completions"
            tokens = await _first_tokens(
                direct=lambda: first_token(chat_uri, {"Authorization": f"Bearer {token}"}),
                app=lambda: first_token(app_uri, {"x-functions-key": stack.function_key}),
            )
            ways = Ways(direct, app, invoke)
            measured = {
                f"endpoint_{round(latency * 1000)}_ms": await _at_latency(stack, endpoint, latency, ways)
                for latency in LATENCIES
            }
            return {**measured, "first_token": tokens}


async def _first_tokens(**ways: Callable[[], Awaitable[float]]) -> dict[str, float]:
    """Time to the first token of a streamed reply, the ways taking turns; median, ms."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(FIRST_TOKENS):
        for name, call in ways.items():
            taken[name].append(1000 * await call())
    medians = {f"{name}_median_ms": round(median(times), 2) for name, times in taken.items()}
    return {**medians, "added_median_ms": round(median(taken["app"]) - median(taken["direct"]), 2)}


async def _at_latency(stack: Stack, endpoint: str, latency: float, ways: Ways) -> dict[str, Any]:
    trust = ssl.create_default_context(cafile=stack.ca_bundle)
    async with httpx.AsyncClient(base_url=stack.azureml_url, verify=trust, trust_env=False) as emulator:
        fault = {"match": {"target": f"{endpoint}/main"}, "container": {"seconds": latency}, "count": None}
        await emulator.delete("/_emulator/faults")
        (await emulator.post("/_emulator/faults", json=fault)).raise_for_status()
        for call in ways:
            await call()
        measured = await _side_by_side(ways, PAIRS[latency])
        slow = {"match": {"path": "/subscriptions/"}, "delay": CONTROL_PLANE_SECONDS, "count": None}
        (await emulator.post("/_emulator/faults", json=slow)).raise_for_status()
        distant = await _throughput(ways.invoke, 16)
        await emulator.delete("/_emulator/faults")
    app = measured["requests_per_second"]["16"]["app"]
    return {
        **measured,
        "invoke_at_16_with_control_plane_of_100_ms": round(distant, 1),
        "app_over_that": round(app / distant, 1),
    }


async def _side_by_side(ways: Ways, pairs: int) -> dict[str, Any]:
    one_by_one = await _one_by_one(ways, pairs)
    throughput = {
        str(concurrency): {
            name: round(await _throughput(call, concurrency), 1) for name, call in ways._asdict().items()
        }
        for concurrency in CONCURRENCIES
    }
    added = one_by_one["app"]["median_ms"] - one_by_one["direct"]["median_ms"]
    at_16 = throughput["16"]
    return {
        "one_by_one": one_by_one,
        "added_median_ms": round(added, 2),
        "requests_per_second": throughput,
        "app_over_invoke_at_16": round(at_16["app"] / at_16["invoke"], 1),
        "burst_seconds": {
            "direct": round(await _burst(ways.direct), 3),
            "app": round(await _burst(ways.app), 3),
        },
    }


async def _one_by_one(ways: Ways, pairs: int) -> dict[str, dict[str, float]]:
    """Latency of single requests, the ways taking turns, so that a busy moment hits all of them."""
    taken: dict[str, list[float]] = {name: [] for name in ways._fields}
    for _ in range(pairs):
        for name, call in ways._asdict().items():
            began = time.perf_counter()
            await call()
            taken[name].append((time.perf_counter() - began) * 1000)
    return {
        name: {"median_ms": round(median(times), 2), "p99_ms": round(quantiles(times, n=100)[98], 2)}
        for name, times in taken.items()
    }


async def _throughput(call: Call, concurrency: int) -> float:
    """Requests a second that so many callers get, each asking again once it is answered."""
    ends = time.perf_counter() + SECONDS
    done = 0

    async def ask() -> None:
        nonlocal done
        while time.perf_counter() < ends:
            await call()
            done += 1

    began = time.perf_counter()
    await asyncio.gather(*(ask() for _ in range(concurrency)))
    return done / (time.perf_counter() - began)


async def _burst(call: Call) -> float:
    """How long it takes until a request of every caller, sent at once, is answered."""
    began = time.perf_counter()
    await asyncio.gather(*(call() for _ in range(max(CONCURRENCIES))))
    return time.perf_counter() - began


def _live_endpoint(stack: Stack) -> str:
    with BlobClient.from_connection_string(stack.blob_connection_string, "uploads", "bench.jsonl") as blob:
        blob.upload_blob(SAMPLE.read_bytes())
    with stack.client() as api:

        def live() -> list[dict[str, Any]]:
            return list(api.get("/api/runs", params={"dataset": "bench", "stage": "live"}).json()["runs"])

        if not wait_until(lambda: bool(live()), LIVE_SECONDS):
            raise TimeoutError("the run of the benchmark did not go live")
        return str(live()[0]["run_id"])
