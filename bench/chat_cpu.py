"""CPU that the app itself spends on a chat request and on showing a run, with every port in memory."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from handlers.http.openai.chat_completions import complete_chat
from handlers.http.requests import Request
from handlers.http.show_run import show_run
from shared.domain.run.stages import Stage
from tests.app.builders import RUN_ID, a_run
from tests.app.edge import app_of
from tests.app.fakes import World
from tests.app.worlds import SETTINGS

REQUESTS = 2000
KEY = "key"
CHAT = {
    "model": RUN_ID,
    "messages": [{"role": "user", "content": "How do I keep bread fresh?"}],
    "temperature": 0,
    "max_tokens": 40,
}


def measure_chat_cpu(_megabytes: int) -> dict[str, Any]:
    """Microseconds of CPU per request, best of three rounds."""
    return asyncio.run(_measure())


async def _measure() -> dict[str, Any]:
    world = World()
    world.runs.create(a_run(Stage.LIVE))
    services = world.services
    settings = msgspec.structs.replace(SETTINGS, api_keys=KEY)
    app = app_of(world, settings)
    request = Request("", {}, {}, {"authorization": f"Bearer {KEY}"}, json.dumps(CHAT).encode())

    async def show() -> None:
        show_run(RUN_ID, if_none_match=None, services=services)

    return {
        "chat_microseconds": await _cpu(lambda: complete_chat(request, app)),
        "show_run_microseconds": await _cpu(show),
    }


async def _cpu(call: Callable[[], Awaitable[Any]]) -> float:
    rounds = []
    for _ in range(3):
        began = time.process_time()
        for _ in range(REQUESTS):
            await call()
        rounds.append((time.process_time() - began) / REQUESTS * 1e6)
    return round(min(rounds), 1)
