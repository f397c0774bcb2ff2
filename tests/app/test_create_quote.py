"""`POST /api/quotes` says what a run's own quote would, and leaves nothing behind."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from handlers.http.create_quote import create_quote
from shared.domain.dataset import Split
from shared.domain.errors import FinetuneError
from shared.domain.run.cost import Prices
from shared.domain.run.job_time import JobTime, time_key
from shared.domain.run.stages import Stage
from tests.app.fakes import World
from tests.app.worlds import SETTINGS, drive, upload

A100 = "Standard_NC24ads_A100_v4"


def asked(world: World, body: Any, **caps: float) -> Any:
    """The answer to a request, decoded."""
    settings = msgspec.structs.replace(SETTINGS, **caps)
    return json.loads(create_quote(json.dumps(body).encode(), settings, world.services).body)


def test_it_says_what_the_run_would_carry() -> None:
    """The same tokens, rows and options give the quote that is on the run's record."""
    world = World()
    world.prices = Prices({A100: 4.0}, "EUR")
    run = drive(world, upload(world), Stage.LIVE)
    assert run.plan is not None
    assert run.report is not None
    key = time_key(run.plan.base_model_name, A100, 1, run.plan.parameters)
    world.job_times.remember(key, JobTime(run_id="ft-x-0123456789", tokens=1000, seconds=3600))
    begun = list(world.cloud.begun)
    rows = run.report.rows
    body = {
        "tokens": run.report.tokens,
        "rows": sum(rows.values()),
        "training_rows": rows[Split.TRAIN],
        "options": {},
    }
    first = asked(world, body)
    assert run.quote is not None
    assert first["quote"]["trained_tokens"] == run.quote.trained_tokens
    assert first["quote"]["training_hours"]["likely"] == round(run.quote.trained_tokens / 1000, 4)
    assert (first["refusal"], first["month"]) == (None, None)
    del body["training_rows"]
    again = asked(world, body | {"options": {"parameters": {"num_train_epochs": 6}, "lifetime_hours": 2}})
    assert again["quote"]["trained_tokens"] == pytest.approx(6 * run.report.tokens * 0.8, rel=0.05)
    assert again["quote"]["endpoint_cost"] == 8
    assert world.cloud.begun == begun


def test_it_says_whether_the_caps_allow_it() -> None:
    """By MAX_RUN_COST, and by what is left of the month."""
    world = World()
    world.prices = Prices({A100: 4.0}, "EUR")
    body = {"tokens": 1000, "rows": 100}
    over = asked(world, body, max_run_cost=90.0)
    assert over["refusal"]["code"] == "RunCostExceeded"
    drive(world, upload(world), Stage.LIVE)
    month = asked(world, body, max_monthly_cost=150.0)
    assert month["refusal"]["code"] == "MonthlyCostExceeded"
    assert month["month"]["cap"] == 150
    assert 90 < month["month"]["used"] <= 100
    assert asked(world, body, max_monthly_cost=250.0)["refusal"] is None


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"tokens": 0, "rows": 1}, 400),
        ({"tokens": 10, "rows": "many"}, 400),
        ({"tokens": 10, "rows": 5, "training_rows": 6}, 400),
        ({"tokens": 10**30, "rows": 5}, 400),
        ({"tokens": 10, "rows": 5, "more": 1}, 400),
        ([], 400),
        ({"tokens": 10, "rows": 5, "options": {"lifetime": 3}}, 422),
        ({"tokens": 10, "rows": 5, "options": {"base_model": "Phi-5"}}, 422),
        ({"tokens": 10, "rows": 5, "options": []}, 422),
    ],
)
def test_other_bodies_are_refused_in_words(body: Any, status: int) -> None:
    """Never with 500, and options as a run's own are."""
    from handlers.http.errors import STATUSES
    from shared.domain.errors import RequestError

    with pytest.raises(FinetuneError) as refused:
        asked(World(), body)
    told = refused.value
    assert (told.status if isinstance(told, RequestError) else STATUSES[type(told)]) == status
