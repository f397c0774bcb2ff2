"""What a run is estimated to take and to cost."""

from __future__ import annotations

import json
from datetime import timedelta

import msgspec
import pytest

from shared.domain.errors import TransientServiceError
from shared.domain.run.cost import Prices
from shared.domain.run.job_time import (
    JobTime,
    estimate_hours,
    time_key,
    trained_tokens,
)
from shared.domain.run.parts import Metrics
from shared.domain.run.stages import Stage
from tests.app.builders import NOW
from tests.app.fakes import World
from tests.app.worlds import SETTINGS, drive, rows, upload

A100 = "Standard_NC24ads_A100_v4"


def job(tokens: int, seconds: float, run_id: str = "ft-one-0123456789") -> JobTime:
    """An earlier job."""
    return JobTime(run_id=run_id, tokens=tokens, seconds=seconds)


def test_before_the_first_job_nothing_is_estimated() -> None:
    """No throughput is built in."""
    assert estimate_hours(1000, []) is None


def test_one_job_tells_its_throughput_and_no_spread() -> None:
    """Twice the tokens take twice the time, as far as one can tell."""
    found = estimate_hours(20_000, [job(10_000, 3600)])
    assert found is not None
    assert (found.low, found.likely, found.high, found.runs) == (2, 2, 2, 1)


def test_jobs_of_different_length_tell_what_any_job_takes() -> None:
    """Half an hour to start, and an hour for 10,000 tokens."""
    earlier = [job(10_000, 5400), job(20_000, 9000), job(40_000, 16_200)]
    found = estimate_hours(30_000, earlier)
    assert found is not None
    assert found.likely == pytest.approx(3.5)
    assert (found.low, found.high) == (found.likely, found.likely)


def test_the_spread_is_that_of_earlier_jobs() -> None:
    """One odd job widens it and does not move the estimate."""
    earlier = [job(10_000, 3600), job(10_000, 3600), job(10_000, 7200), job(10_100, 3500)]
    found = estimate_hours(10_000, earlier)
    assert found is not None
    assert found.likely == pytest.approx(1, abs=0.01)
    assert found.high == pytest.approx(2, abs=0.01)
    assert found.low < 0.98


def test_time_is_compared_between_like_jobs_only() -> None:
    """Base model, size, nodes, and whether all weights are trained; how a size is written does not matter."""
    key = time_key("Phi-4", A100, 1, {"apply_lora": "true"})
    assert key == time_key("phi-4", A100.upper(), 1, {"apply_lora": "true", "learning_rate": 1.0})
    others = {
        time_key("Phi-4-mini", A100, 1, {"apply_lora": "true"}),
        time_key("Phi-4", "Standard_NC48ads_A100_v4", 1, {"apply_lora": "true"}),
        time_key("Phi-4", A100, 2, {"apply_lora": "true"}),
        time_key("Phi-4", A100, 1, {}),
    }
    assert len(others | {key}) == 5


def test_epochs_and_steps_say_how_many_tokens_are_trained_on() -> None:
    """Steps win over epochs, and count batches of all GPUs."""
    assert trained_tokens(1000, 100, 80, 1, {"num_train_epochs": 3}) == 2400
    batches = {"max_steps": 50, "per_device_train_batch_size": 2, "gradient_accumulation_steps": 4}
    assert trained_tokens(1000, 100, 80, 2, batches) == 10 * 50 * 2 * 4 * 2
    assert trained_tokens(0, 0, 0, 1, {}) == 0


def test_a_run_carries_its_quote_and_teaches_the_next() -> None:
    """The first is unknown; the second is told by what MLflow said of the first job's nodes."""
    world = World()
    world.prices = Prices({A100: 4.0}, "EUR")
    world.cloud.logged = Metrics(
        latest={}, history={}, eval_loss=1.0, began=NOW, ended=NOW + timedelta(hours=2)
    )
    first = drive(world, upload(world), Stage.LIVE)
    assert first.quote is not None
    assert first.quote.training_hours is None
    assert first.quote.total_cost is None
    assert first.quote.endpoint_cost == 96
    second = drive(world, upload(world, "other.jsonl", rows(120, "b")), Stage.LIVE)
    assert second.quote is not None
    assert second.quote.training_hours is not None
    assert second.quote.training_hours.likely == pytest.approx(4, rel=0.1)
    assert second.quote.total_cost is not None
    assert second.quote.total_cost.likely == pytest.approx(96 + 16, rel=0.05)


def test_a_run_does_not_wait_for_prices_that_nothing_depends_on() -> None:
    """Unless there is a cap on cost."""

    class Down:
        def of(self, sizes: object) -> Prices:
            raise TransientServiceError("down", code="ServiceUnreachable")

    world = World()
    world.price_list = Down()
    run_id = upload(world)
    assert drive(world, run_id, Stage.LIVE).quote is not None
    capped = msgspec.structs.replace(SETTINGS, max_monthly_cost=100.0)
    waiting = upload(world, "other.jsonl", rows(61), capped)
    with pytest.raises(AssertionError, match="ServiceUnreachable"):
        drive(world, waiting, Stage.TRAINING, capped)


def test_the_quote_is_shown() -> None:
    """With what it is made of; what is not known is null."""
    from handlers.http.show_run import show_run

    world = World()
    world.prices = Prices({A100: 4.0}, "EUR")
    run_id = upload(world)
    drive(world, run_id, Stage.LIVE)
    shown = json.loads(show_run(run_id, if_none_match=None, services=world.services, prices=Prices()).body)
    assert shown["quote"]["endpoint_cost"] == 96
    assert shown["quote"]["training_hours"] is None
    assert shown["quote"]["currency"] == "EUR"
