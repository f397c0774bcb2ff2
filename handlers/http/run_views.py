"""The public form of runs in HTTP responses. Record fields that these types do not list stay private."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from handlers.http.entry_views import Suspended, WaitingFor
from handlers.http.quote_view import QuoteView, quote_view
from shared.domain.dataset import Split, Verdict
from shared.domain.evaluation.record import Verdict as BetterOrWorse
from shared.domain.run.approval import PATH, approval_token
from shared.domain.run.cost import Prices, RunCost, run_cost
from shared.domain.run.current_model import PromotionPolicy
from shared.domain.run.index_metadata import entry_of
from shared.domain.run.options import ParameterValue, RunOptions
from shared.domain.run.run import Run
from shared.domain.run.stages import Stage
from shared.domain.run.waiting import waiting_for
from shared.domain.serving.attempts import ServingProgress
from shared.domain.serving.record import StrategyName
from shared.ports import StoredRun


class EndpointView(msgspec.Struct, frozen=True, kw_only=True):
    """A live endpoint and the time that it has."""

    name: str
    live_since: datetime
    expires_at: datetime | None
    idle_at: Annotated[datetime | None, Meta(description="When it will have been unused for too long.")]
    idle_minutes: float
    latest_end_at: Annotated[
        datetime | UnsetType,
        Meta(description="How far it may be extended; `GET /api/runs/{id}` has it."),
    ] = UNSET
    last_used: Annotated[datetime | None, Meta(description="To within a minute.")]
    seconds_left: Annotated[
        Annotated[int, Meta(ge=0)] | None, Meta(description="Until it is deleted; null once its run is over.")
    ]


class SourceFileView(msgspec.Struct, frozen=True, kw_only=True):
    """One uploaded file, in the version that was there when the run was opened."""

    path: str
    etag: str
    size: int


class UploadView(msgspec.Struct, frozen=True, kw_only=True):
    """The upload: its first file opened the run; the others are its companions."""

    container: str
    files: list[SourceFileView]


class OptionsView(msgspec.Struct, frozen=True, kw_only=True):
    """The choices of the run: the app's settings, with the upload's `run.json` over them."""

    base_model: str
    parameters: dict[str, ParameterValue]
    compute: str
    compute_size: str
    other_compute_sizes: list[str]
    instance_type: str
    other_instance_types: list[str]
    instance_count: int
    lifetime_hours: float
    idle_minutes: float
    row_policy: str
    evaluation_rows: int
    promotion: PromotionPolicy
    evaluate_base: bool
    serving_concurrency: int
    force: bool
    start_on_request: bool
    available: str


class StageView(msgspec.Struct, frozen=True, kw_only=True):
    """When the run entered a stage."""

    stage: Stage
    at: datetime


class FailureView(msgspec.Struct, frozen=True, kw_only=True):
    """Why the run ended or stumbled: the service's own code and words where it has any."""

    code: str
    message: str
    stage: Stage
    at: datetime


class ReportSummaryView(msgspec.Struct, frozen=True, kw_only=True):
    """The validation report in short."""

    verdict: Verdict
    reason: str
    rows: dict[Split, int]
    rows_read: int
    rows_dropped: int
    counts: dict[str, int]
    tokens: int
    fingerprint: str


class PlanView(msgspec.Struct, frozen=True, kw_only=True):
    """What the run trains with, as checked before the job was submitted."""

    base_model_id: str
    base_model_name: str
    base_model_version: str
    component_id: str
    component_version: str
    parameters: dict[str, ParameterValue]
    compute: str
    compute_size: str
    gpus_per_node: int
    display_name: str
    create_compute: bool


class SizeChangeView(msgspec.Struct, frozen=True, kw_only=True):
    """Why another VM size of the list took the place of the one before."""

    option: str
    before: str
    after: str
    reason: str
    at: datetime


class JobView(msgspec.Struct, frozen=True, kw_only=True):
    """The training job as last seen."""

    name: str
    status: str
    studio_url: str | None


class MetricPointView(msgspec.Struct, frozen=True, kw_only=True):
    """One logged value of a metric."""

    step: int
    value: float


class MetricsView(msgspec.Struct, frozen=True, kw_only=True):
    """What training and evaluation logged; losses are in nats per token."""

    latest: dict[str, float]
    history: dict[str, list[MetricPointView]]
    train_loss: float | None
    eval_loss: float | None


class ProgressView(msgspec.Struct, frozen=True, kw_only=True):
    """How far training is, as read every few minutes while it goes on; losses are in nats per token."""

    read_at: datetime
    began: Annotated[datetime | None, Meta(description="null while the job waits for its first node.")]
    step: Annotated[int | None, Meta(description="As last logged; null if training logs by epoch.")]
    steps: Annotated[int | None, Meta(description="How many there will be, as far as is known.")]
    epoch: float | None
    epochs: Annotated[float | None, Meta(description="How many there will be; null if steps are counted.")]
    ends_at: Annotated[datetime | None, Meta(description="Estimated; the model is converted after it.")]
    train_loss: float | None
    eval_loss: float | None
    train_losses: list[MetricPointView]
    eval_losses: list[MetricPointView]
    diverged: Annotated[str | None, Meta(description="Why training cannot get better.")]


class ModelView(msgspec.Struct, frozen=True, kw_only=True):
    """The registered model version."""

    name: str
    version: str
    id: str


class FailedAttemptView(msgspec.Struct, frozen=True, kw_only=True):
    """A way of serving the model that did not work."""

    strategy: StrategyName
    code: str
    message: str
    at: datetime


class ServingView(msgspec.Struct, frozen=True, kw_only=True):
    """The attempts to serve the model; the first of `order` that has not failed is in use, or being tried."""

    order: list[StrategyName]
    failed: list[FailedAttemptView]
    strategy: Annotated[StrategyName | None, Meta(description="Used or being tried; null: all failed.")]


class SmokeTestView(msgspec.Struct, frozen=True, kw_only=True):
    """One test conversation, the answer that the data has, and the answer that the deployment gave."""

    prompt: list[dict[str, str]]
    expected: str
    reply: str


class IntervalView(msgspec.Struct, frozen=True):
    """A measured value and its 95 % bootstrap interval over the rows."""

    value: float
    low: float
    high: float


_Metrics = Annotated[
    dict[str, IntervalView],
    Meta(
        description="`chrf`, `rouge_l`, `token_f1`, `exact_match` in percent; `empty` and `cut` in percent "
        "of the rows; `length_ratio`: characters of the replies over those expected; `latency_p50` and "
        "`latency_p95` in seconds; `tokens_per_second` where the server counts tokens."
    ),
]


class ComparisonView(msgspec.Struct, frozen=True, kw_only=True):
    """The model and another one on the same rows."""

    against: Annotated[str, Meta(description="The run whose model it is compared with.")]
    rows: Annotated[int, Meta(description="Rows that both answered.")]
    metrics: Annotated[dict[str, IntervalView], Meta(description="The other model's, in percent.")]
    differences: Annotated[dict[str, IntervalView], Meta(description="This model's less the other's.")]
    p_value: Annotated[float, Meta(description="Of the difference in chrF, by a paired permutation test.")]
    verdict: Annotated[BetterOrWorse, Meta(description="Of this model, at the level of 5 %.")]


class PromotionView(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the model took its dataset's name when it got traffic."""

    promoted: bool
    why: str
    at: datetime
    approval: Annotated[
        str | None, Meta(description="Path of the page that asks for a yes or no, while that is waited for.")
    ]


class EvaluationView(msgspec.Struct, frozen=True, kw_only=True):
    """How far the evaluation before traffic is, and what it measured."""

    began: datetime
    rows: Annotated[int, Meta(description="Test rows that are asked.")]
    asked: Annotated[int, Meta(description="Of these, how many are answered.")]
    ended: Annotated[datetime | None, Meta(description="null while it goes on.")]
    refused: Annotated[int, Meta(description="Rows that the model's server refused; they score 0.")]
    fingerprint: Annotated[str, Meta(description="The same for the same test rows.")]
    metrics: _Metrics
    against: Annotated[str | None, Meta(description="The dataset's current model: the run that has it.")]
    against_asked: Annotated[int, Meta(description="Rows that it has answered.")]
    comparison: Annotated[
        ComparisonView | None, Meta(description="With that model, once both have answered.")
    ]
    base_asked: Annotated[int, Meta(description="Rows that the base model has answered.")]
    base_comparison: Annotated[ComparisonView | None, Meta(description="With the base model, if asked.")]


class RunView(msgspec.Struct, frozen=True, kw_only=True):
    """A run. `GET /api/runs/{id}` alone has `suspended`, `needs_attention`, `cost`."""

    run_id: str
    dataset: str
    options: OptionsView
    given_options: Annotated[
        dict[str, Any], Meta(description="What the upload's `run.json` says; empty if that is over 4 KiB.")
    ]
    stage: Stage
    history: list[StageView]
    due: datetime | None
    billable: bool
    outcome: Stage | None
    end_reason: str | None
    error: FailureView | None
    failures: int
    faulty_since: datetime | None
    last_fault: FailureView | None
    attention: Annotated[
        str | None, Meta(description="Why a person should look, though the run goes on by itself.")
    ]
    waiting_for: WaitingFor
    may_be_started: Annotated[
        bool, Meta(description="Whether there is a model that `POST /api/runs/{id}/start` deploys.")
    ]
    acknowledged: Annotated[bool, Meta(description="Whether somebody took note of how it ended.")]
    report: ReportSummaryView | None
    duplicate_of: str | None
    compute_requested_at: datetime | None
    job_submitted_at: datetime | None
    job: JobView | None
    progress: ProgressView | None
    metrics: MetricsView | None
    model: ModelView | None
    serving: ServingView | None
    endpoint: EndpointView | None
    last_used: datetime | None
    upload: UploadView
    smoke_test: list[SmokeTestView] | None
    evaluation: EvaluationView | None
    promotion: PromotionView | None
    plan: PlanView | None
    quote: QuoteView | None
    size_changes: list[SizeChangeView]
    suspended: Suspended | UnsetType = UNSET
    needs_attention: bool | UnsetType = UNSET
    cost: RunCost | UnsetType = UNSET


def run_view(run: Run, now: datetime) -> RunView:
    """What is public of a run's record."""
    return RunView(
        run_id=run.run_id,
        dataset=run.dataset,
        options=options_view(run.options),
        given_options=run.given_options,
        stage=run.stage,
        history=[_public(entry, StageView) for entry in run.history],
        due=run.due,
        billable=run.billable,
        outcome=run.outcome,
        end_reason=run.end_reason,
        error=_public(run.error, FailureView | None),
        failures=run.failures,
        faulty_since=run.faulty_since,
        last_fault=_public(run.last_fault, FailureView | None),
        attention=run.attention or run.late_notice,
        waiting_for=waiting_for(run),
        may_be_started=run.may_be_started,
        acknowledged=run.acknowledged,
        report=_public(run.report, ReportSummaryView | None),
        duplicate_of=run.duplicate_of,
        compute_requested_at=run.compute_requested_at,
        job_submitted_at=run.job_submitted_at,
        job=_public(run.job, JobView | None),
        progress=_public(run.progress, ProgressView | None),
        metrics=_public(run.metrics, MetricsView | None),
        model=_public(run.model, ModelView | None),
        serving=_serving_view(run.serving),
        endpoint=_endpoint_view(run, now),
        last_used=run.last_used,
        upload=_public(run.source, UploadView),
        smoke_test=_public(run.smoke_tests, list[SmokeTestView] | None),
        evaluation=_public(run.evaluation, EvaluationView | None),
        promotion=_promotion_view(run),
        plan=_public(run.plan, PlanView | None),
        quote=quote_view(run.quote),
        size_changes=_public(run.size_changes, list[SizeChangeView]),
    )


def options_view(options: RunOptions) -> OptionsView:
    """What is public of a run's options."""
    view: OptionsView = _public(options, OptionsView)
    return view


def _public(record: Any, view: Any) -> Any:
    """The fields of a part of the record that its view has; any other stays where it is."""
    return msgspec.convert(record, view, from_attributes=True)


def whole_view(stored: StoredRun, now: datetime, prices: Prices, longest_lifetime: timedelta) -> RunView:
    """A run with what is known besides its record."""
    view = run_view(stored.run, now)
    endpoint = view.endpoint
    if endpoint is not None:
        latest = endpoint.live_since + longest_lifetime
        endpoint = msgspec.structs.replace(endpoint, latest_end_at=latest)
    return msgspec.structs.replace(
        view,
        endpoint=endpoint,
        suspended=stored.suspended,
        needs_attention=needs_attention(stored, now),
        cost=run_cost(stored.run, prices, now),
    )


def needs_attention(stored: StoredRun, now: datetime) -> bool:
    """Whether a person has to do something about the run."""
    return entry_of(stored.run, stored.suspended).needs_attention(now)


def _promotion_view(run: Run) -> PromotionView | None:
    if run.promotion is None:
        return None
    token = approval_token(run)
    return PromotionView(
        promoted=run.promotion.promoted,
        why=run.promotion.why,
        at=run.promotion.at,
        approval=f"/api/{PATH}{token}" if token is not None else None,
    )


def _serving_view(progress: ServingProgress | None) -> ServingView | None:
    if progress is None:
        return None
    failed = _public(progress.failed, list[FailedAttemptView])
    return ServingView(order=list(progress.order), failed=failed, strategy=progress.current)


def _endpoint_view(run: Run, now: datetime) -> EndpointView | None:
    if run.endpoint is None:
        return None
    return EndpointView(
        name=run.endpoint.name,
        live_since=run.endpoint.live_since,
        expires_at=run.expires_at,
        idle_at=run.idle_at,
        idle_minutes=run.options.idle_minutes,
        last_used=run.last_used,
        seconds_left=_seconds_left(run, now),
    )


def _seconds_left(run: Run, now: datetime) -> int | None:
    if run.stage.at_rest or run.ends_at is None:
        return None
    return max(0, round((run.ends_at - now).total_seconds()))
