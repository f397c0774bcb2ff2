"""A request for a stopped model deploys it again, once, where the operator or the upload allows it."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from handlers.events.advance_message import handle_advance_message
from handlers.http.request_changes import delete_endpoint
from handlers.http.responses import Response
from shared.app import App
from shared.domain.run.stages import Stage
from shared.serving.endpoint_directory import LISTED_AGAIN
from tests.app.edge import BY_NAME, app_of, ask
from tests.app.fakes import World
from tests.app.worlds import SETTINGS, drive, upload

KEY = "a key"
ASKED = msgspec.structs.replace(SETTINGS, api_keys=KEY, start_on_request=True)
CHAT = {"model": "support", "messages": [{"role": "user", "content": "Hello?"}]}


async def chats(app: App, times: int) -> list[Response]:
    """So many chats at once."""
    body = json.dumps(CHAT).encode()
    route, headers = BY_NAME["chat_completions"], {"authorization": f"Bearer {KEY}"}
    return await asyncio.gather(*(ask(route, lambda: app, headers=headers, body=body) for _ in range(times)))


def models(app: App) -> dict[str, str]:
    """The status of each model that is listed."""
    headers = {"authorization": f"Bearer {KEY}"}
    answer = asyncio.run(ask(BY_NAME["list_models"], lambda: app, headers=headers))
    assert isinstance(answer.body, bytes)
    return {one["id"]: one["status"] for one in json.loads(answer.body)["data"]}


def fault(answer: Response) -> Any:
    """OpenAI's error in an answer."""
    assert isinstance(answer.body, bytes)
    return json.loads(answer.body)["error"]


def test_twenty_requests_at_once_make_one_deployment() -> None:
    """Each is told when to come again, by the time that the run's last start took; then the model answers."""
    world = World()
    run_id = upload(world, settings=ASKED)
    world.cloud.slow = True
    drive(world, run_id, Stage.STOPPED, ASKED)
    app = app_of(world, ASKED)
    assert models(app) == {"support": "stopped", run_id: "stopped"}
    world.advance_queue.waiting.clear()
    deployed = len(world.cloud.deployed)

    answers = asyncio.run(chats(app, 20))
    assert {answer.status for answer in answers} == {503}
    assert {fault(answer)["code"] for answer in answers} == {"model_starting"}
    assert {answer.headers["Retry-After"] for answer in answers} == {"15"}, "as it took three polls before"
    assert world.advance_queue.waiting == [(run_id, timedelta())]

    handle_advance_message(run_id, delivery=1, settings=ASKED, services=world.services)
    world.now += LISTED_AGAIN
    assert models(app) == {"support": "starting", run_id: "starting"}
    (again,) = asyncio.run(chats(app, 1))
    assert fault(again)["code"] == "model_starting"
    drive(world, run_id, Stage.LIVE, ASKED)
    assert len(world.cloud.deployed) == deployed + 1
    assert [call for call, _ in world.cloud.begun].count("submit") == 1
    world.now += LISTED_AGAIN
    assert {answer.status for answer in asyncio.run(chats(app_of(world, ASKED), 20))} == {200}


@pytest.mark.parametrize("why", ["not allowed", "an error stopped it", "deleted"])
def test_a_request_starts_nothing_else(why: str) -> None:
    """Without the setting, after an error, which a person has to look at, or once it is deleted for good."""
    settings = msgspec.structs.replace(ASKED, start_on_request=why != "not allowed")
    world = World()
    run_id = upload(world, settings=settings)
    if why == "an error stopped it":
        drive(world, run_id, Stage.LIVE, settings)
        world.cloud.seen.clear()
        world.now += timedelta(minutes=1)
    drive(world, run_id, Stage.STOPPED, settings)
    if why == "deleted":
        delete_endpoint(run_id, world.services)
        drive(world, run_id, Stage.DELETED, settings)
    app = app_of(world, settings)
    assert models(app).get("support") == (None if why == "deleted" else "stopped")
    (answer,) = asyncio.run(chats(app, 1))
    assert (answer.status, fault(answer)["code"]) == (
        (404, "model_not_found") if why == "deleted" else (409, "Stopped")
    )
    assert world.runs.load(run_id).run.start_request is None
