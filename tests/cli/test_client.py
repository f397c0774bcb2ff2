"""The client's types are those of the API's description."""

from __future__ import annotations

import gzip
from typing import Any

import httpx
import msgspec
import pytest

from finetune.client import STAGES, Client, UnreachableError, types
from finetune.client import client as client_module
from handlers.http import (
    create_quote,
    dataset_views,
    entry_views,
    list_uploads,
    quote_view,
    run_views,
    show_preflight,
)
from shared.domain.run.cost import RunCost
from shared.domain.run.stages import Stage

PAIRS = [
    *((types.RunEntry, entry_views.EntryView), (types.RunPage, entry_views.RunPageView)),
    (types.EntryCost, entry_views.EntryCostView),
    (types.IgnoredUpload, list_uploads.IgnoredUploadView),
    (types.IgnoredUploads, list_uploads.IgnoredUploadsView),
    *((types.Run, run_views.RunView), (types.Cost, RunCost), (types.Endpoint, run_views.EndpointView)),
    *((types.Upload, run_views.UploadView), (types.SourceFile, run_views.SourceFileView)),
    *((types.Options, run_views.OptionsView), (types.StageEntry, run_views.StageView)),
    *((types.Failure, run_views.FailureView), (types.ReportSummary, run_views.ReportSummaryView)),
    (types.SizeChange, run_views.SizeChangeView),
    (types.Preflight, show_preflight.PreflightView),
    *((types.Plan, run_views.PlanView), (types.Job, run_views.JobView), (types.Model, run_views.ModelView)),
    *((types.Metrics, run_views.MetricsView), (types.MetricPoint, run_views.MetricPointView)),
    *((types.Serving, run_views.ServingView), (types.FailedAttempt, run_views.FailedAttemptView)),
    *((types.SmokeTest, run_views.SmokeTestView), (types.Progress, run_views.ProgressView)),
    *((types.Quote, quote_view.QuoteView), (types.Span, quote_view.SpanView)),
    (types.HoursEstimate, quote_view.HoursEstimateView),
    *((types.Estimate, create_quote.QuoteAnswer), (types.Refusal, create_quote.RefusalView)),
    (types.Month, create_quote.MonthView),
    (types.Canary, dataset_views.CanaryView),
    *((types.Dataset, dataset_views.DatasetView), (types.Switch, dataset_views.SwitchView)),
    *((types.Comparison, run_views.ComparisonView), (types.Promotion, run_views.PromotionView)),
    *((types.Evaluation, run_views.EvaluationView), (types.Interval, run_views.IntervalView)),
]


@pytest.mark.parametrize(("own", "view"), PAIRS, ids=lambda one: one.__name__)
def test_a_type_has_the_fields_of_the_apps(own: Any, view: Any) -> None:
    """A field that the API gains or loses is one here, too."""
    assert set(own.__struct_fields__) == set(view.__struct_fields__)


def test_every_view_is_paired() -> None:
    """A new part of a run is not forgotten."""
    own_views = {
        one
        for module in (run_views, entry_views, quote_view)
        for one in vars(module).values()
        if isinstance(one, msgspec.StructMeta) and one.__module__ == module.__name__
    }
    assert own_views <= {view for _, view in PAIRS}


def test_the_stages_are_the_apps() -> None:
    """The command line lists them."""
    assert set(STAGES) == set(Stage)
    assert {stage for stage in STAGES if Stage(stage).terminal} == types.ENDED
    assert {stage for stage in STAGES if Stage(stage).at_rest} == types.AT_REST


def test_what_is_new_or_missing_is_no_error() -> None:
    """An app of another version is read, too."""
    run = {"run_id": "r", "dataset": "d", "stage": "resting", "history": [], "options": {"base_model": "m"}}
    assert msgspec.convert({**run, "new": 1}, types.Run).stage == "resting"


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("ask", ["run", "chat"])
def test_an_answer_without_end_is_given_up(
    ask: str, compressed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the address leads to; how long it is when decompressed counts."""
    monkeypatch.setattr(client_module, "ANSWER_LIMIT_BYTES", 2**20)
    body = b"x" * (2**20 + 1)
    headers = {"Content-Encoding": "gzip"} if compressed else {}

    def answer(_request: httpx.Request) -> httpx.Response:
        content = iter([gzip.compress(body) if compressed else body])
        return httpx.Response(200, headers=headers, content=content)

    client = Client("https://app.example", "key", transport=httpx.MockTransport(answer))
    with client, pytest.raises(UnreachableError, match="more than 1 MiB"):
        client.run("r") if ask == "run" else list(client.chat("r", [], {}))
