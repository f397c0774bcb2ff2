"""What uploaders and chat clients do to the app in `bench.load`, from a process of its own."""

from __future__ import annotations

import asyncio
import itertools
import json
import secrets
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import aiohttp
from azure.storage.blob import ContainerClient

from local.event_grid import blob_created

QUESTION = [{"role": "user", "content": "How do I keep bread fresh?"}]


@dataclass(frozen=True)
class Plan:
    """What to do, and where.

    Attributes:
        seconds: How long.
        uploads_a_minute: Datasets that are uploaded, evenly spread, each with content of its own.
        chats: Clients that send the next request when the last was answered.
        model: Whom they ask.
        rows: The dataset.
    """

    seconds: float
    uploads_a_minute: float
    chats: int
    model: str
    rows: bytes
    functions_url: str
    function_key: str
    blob_connection_string: str
    webhook: str


@dataclass
class Done:
    """What was done.

    Attributes:
        uploaded: When each dataset's event was sent (UTC), by the dataset's name.
        statuses: Of the answers to chats, with how many there were.
    """

    uploaded: dict[str, datetime] = field(default_factory=dict)
    statuses: Counter[int] = field(default_factory=Counter)


def generate(plan: Plan) -> Done:
    """Make the load, and tell what came of it."""
    return asyncio.run(_generate(plan))


async def _generate(plan: Plan) -> Done:
    done = Done()
    until = time.monotonic() + plan.seconds
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(120)) as http:
        with ContainerClient.from_connection_string(plan.blob_connection_string, "uploads") as uploads:
            await asyncio.gather(
                _upload_on(plan, http, uploads, until, done),
                *(_chat_on(plan, http, until, done) for _ in range(plan.chats)),
            )
    return done


async def _upload_on(
    plan: Plan, http: aiohttp.ClientSession, uploads: ContainerClient, until: float, done: Done
) -> None:
    """One upload each so often, however long each takes."""
    began, under_way = time.monotonic(), set()
    for number in itertools.count():
        at = began + number * 60 / plan.uploads_a_minute
        if at >= until:
            break
        await asyncio.sleep(at - time.monotonic())
        under_way.add(asyncio.create_task(_upload(plan, http, uploads, f"load{secrets.token_hex(4)}", done)))
    await asyncio.gather(*under_way)


async def _upload(
    plan: Plan, http: aiohttp.ClientSession, uploads: ContainerClient, name: str, done: Done
) -> None:
    path, rows = f"{name}.jsonl", plan.rows.replace(b" the ", f" {name} ".encode())

    def put() -> dict[str, Any]:
        blob = uploads.get_blob_client(path)
        blob.upload_blob(rows)
        return blob_created("uploads", blob.get_blob_properties(), blob.url)

    event = await asyncio.to_thread(put)
    done.uploaded[name] = datetime.now(UTC)
    # Event Grid delivers until it is heard.
    while True:
        headers = {"aeg-event-type": "Notification"}
        async with http.post(plan.webhook, json=[event], headers=headers) as answer:
            if answer.status in {200, 202}:
                return
        await asyncio.sleep(1)


async def _chat_on(plan: Plan, http: aiohttp.ClientSession, until: float, done: Done) -> None:
    body = json.dumps({"model": plan.model, "messages": QUESTION, "max_tokens": 16})
    headers = {"Authorization": f"Bearer {plan.function_key}", "Content-Type": "application/json"}
    while time.monotonic() < until:
        address = f"{plan.functions_url}/api/v1/chat/completions"
        async with http.post(address, data=body, headers=headers) as answer:
            await answer.read()
            done.statuses[answer.status] += 1
