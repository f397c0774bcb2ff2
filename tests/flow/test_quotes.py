"""Quotes against what jobs then take, prices from the price list, and training watched over the wire.

The emulated Azure ML takes as long as a real one, by a clock that the test turns: its jobs take a while to
start, and a time for each token.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from azure.identity import DefaultAzureCredential
from azureml_emulator import TIMED, Emulator

from local.azurite import Azurite
from shared.bootstrap import build_services
from shared.config import Settings
from shared.domain.run.run import Run
from shared.domain.run.stages import Stage
from tests.app.worlds import EXAMPLE, rows
from tests.flow.conftest import Flow

ERROR = 0.15
"""How far off a quote may be that other jobs of other sizes are behind."""


class Shared:
    """The flow's clock, as the emulator reads it."""

    def __init__(self, moments: list[datetime]) -> None:
        self._moments = moments

    def now(self) -> datetime:
        """The present moment."""
        return self._moments[0]


@pytest.fixture
def timed(flow: Flow, azurite: Azurite, monkeypatch: pytest.MonkeyPatch) -> Iterator[Flow]:
    """The app against an Azure ML that takes its time, with prices from Azure's list."""
    clock = [datetime.now(UTC)]
    with Emulator(
        pace=replace(TIMED, trained_token=0.5),
        clock=Shared(clock),
        strict=True,
        storage={"devstoreaccount1": azurite.connection_string},
    ) as emulator:
        for name, value in emulator.environment.items():
            monkeypatch.setenv(name, value)
        chosen = {
            **emulator.environment,
            "TrainingStorage": azurite.connection_string,
            "PRICES": "azure",
            "PRICE_CURRENCY": "EUR",
            "JOB_POLL_SECONDS": "180",
            "SETTLE_SECONDS": "0",
        }
        settings = Settings.from_env({**EXAMPLE, "BASE_MODEL": "Phi-4", **chosen})
        built = Flow(
            emulator, flow.storage, settings, build_services(settings, DefaultAzureCredential()), clock
        )
        yield replace(built, services=built.services_of(built.services))


def trained(flow: Flow, name: str, count: int) -> tuple[Run, list[Run]]:
    """A run whose metrics were read, and how it looked while it trained."""
    run_id = flow.upload(f"{name}.jsonl", rows(count, name))
    seen = []
    for _ in range(200):
        run = flow.advance(run_id)
        assert run.error is None, run.error
        if run.stage is Stage.TRAINING:
            seen.append(run)
        if run.metrics is not None:
            return run, seen
        assert run.due is not None
        flow.clock[0] = max(flow.clock[0], run.due)
    raise AssertionError(f"{name} did not train")


def hours_taken(run: Run) -> float:
    """How long the job of a run took."""
    assert run.metrics is not None
    assert run.metrics.began is not None
    assert run.metrics.ended is not None
    return (run.metrics.ended - run.metrics.began).total_seconds() / 3600


def test_quotes_come_near_what_jobs_take(timed: Flow) -> None:
    """The first is unknown; with two jobs of other sizes behind it the third is within 15 %."""
    first, watched = trained(timed, "one", 60)
    assert first.quote is not None
    assert first.quote.training_hours is None
    assert first.quote.endpoint_cost == pytest.approx(24 * 3.673 * 0.92, abs=0.01)
    assert first.quote.currency == "EUR"
    losses = _check_watched(watched)
    assert losses > 1
    trained(timed, "more", 240)
    last, _ = trained(timed, "last", 480)
    assert last.quote is not None
    told = last.quote.training_hours
    assert told is not None
    assert told.runs == 2
    took = hours_taken(last)
    assert took > 1.5 * hours_taken(first)
    assert told.likely == pytest.approx(took, rel=ERROR)
    assert last.quote.training_cost is not None
    assert last.quote.training_cost.likely == pytest.approx(told.likely * 3.673 * 0.92, abs=0.02)


def _check_watched(looks: list[Run]) -> int:
    """Training was read seldom, went forward, and its estimated end came near the real one."""
    known: list[Any] = []
    for run in looks:
        if run.progress is not None and run.progress not in known:
            known.append(run.progress)
    assert all((later.read_at - one.read_at).total_seconds() >= 540 for one, later in pairwise(known))
    epochs = [one.epoch for one in known if one.epoch is not None]
    assert epochs == sorted(epochs)
    ends = [one.ends_at for one in known if one.ends_at is not None]
    assert ends
    assert abs((ends[0] - ends[-1]).total_seconds()) < 900
    return len(epochs)
