"""`finetune quote` and `finetune upload --quote` show what a run would take and cost, and send nothing."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import httpx
import msgspec
import pytest

from handlers.http.create_quote import create_quote
from handlers.http.errors import problem_of
from handlers.http.show_preflight import show_preflight
from shared.domain.errors import FinetuneError
from shared.domain.run.cost import Prices
from tests.app.fakes import World
from tests.app.worlds import SETTINGS
from tests.cli.answers import App, Call


@pytest.fixture
def world(app: App) -> World:
    """What the app knows, which answers by its own code."""
    world = World()
    world.prices = Prices({"Standard_NC24ads_A100_v4": 4.0}, "EUR")
    capped = msgspec.structs.replace(SETTINGS, max_run_cost=150.0)

    def answer(request: httpx.Request) -> httpx.Response:
        handle = create_quote if request.url.path == "/api/quotes" else show_preflight
        try:
            answered = handle(request.content, capped, world.services)
        except FinetuneError as fault:
            answered = problem_of(fault)
        assert isinstance(answered.body, bytes)
        return httpx.Response(answered.status, content=answered.body)

    app.preflight = answer
    return world


@pytest.fixture
def dataset(tmp_path: Path) -> str:
    """Forty rows."""
    path = tmp_path / "chat.jsonl"
    path.write_text(
        "".join(json.dumps({"prompt": f"q{at}", "completion": f"a{at}"}) + "\n" for at in range(40))
    )
    return str(path)


@pytest.mark.parametrize("command", [("quote",), ("upload", "--quote")])
def test_the_quote_of_a_dataset(
    command: tuple[str, ...],
    world: World,
    app: App,
    call: Call,
    dataset: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The dataset is counted here, the app estimates; no storage account is needed, and nothing is sent."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    code, out, err = call(*command, dataset, "--lifetime-hours", "10")
    assert code == 0, err
    assert "to train on" in out
    assert "unknown until a run of this model and size has trained" in out
    assert "10 h on 1 x Standard_NC24ads_A100_v4, 40.00 EUR" in out
    body = json.loads(app.asked[-1].content)
    assert (body["rows"], body["training_rows"]) == (40, 32)
    assert body["options"] == {"lifetime_hours": 10.0}


def test_what_may_not_cost_so_much_is_told(world: World, call: Call, dataset: str) -> None:
    """The exit code says that the app would reject the run; a program gets the API's own object."""
    code, out, _ = call("quote", dataset, "--lifetime-hours", "30")
    assert code == 0
    assert json.loads(out)["quote"]["endpoint_cost"] == 120
    code, out, _ = call("quote", dataset, "--lifetime-hours", "38")
    assert code == 1
    assert json.loads(out)["refusal"]["code"] == "RunCostExceeded"
