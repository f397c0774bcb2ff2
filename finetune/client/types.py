"""The API's answers as types. A test holds their fields to those of the API's description.

Readers are tolerant: a field that an older app does not send has its default, one that is not known here is
left out, and words such as stages are plain text, since a newer app may have more of them.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

STAGES = (
    *("received", "validated", "training", "trained", "registered", "deploying", "live"),
    *("deleting", "stopped", "deleted", "rejected", "duplicate", "failed", "canceled"),
)
"""Every stage, in the order of a run's life."""

ENDED = frozenset({"deleted", "rejected", "duplicate", "failed", "canceled"})
"""Stages that a run never leaves."""

AT_REST = ENDED | {"stopped"}
"""Stages in which nothing happens unless somebody asks for it."""

ParameterValue = str | int | float | bool


class EntryCost(msgspec.Struct, frozen=True, kw_only=True):
    """What a run has used; what it uses now grows from `since` on, by `nodes` times `price_per_hour`."""

    currency: str | None = None
    node_hours: float = 0
    amount: float | None = None
    since: datetime | None = None
    nodes: int = 0
    price_per_hour: float | None = None


class RunEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A run as the list shows it; `stage` is None if its record cannot be read."""

    run_id: str
    dataset: str
    stage: str | None
    opened_at: datetime | None = None
    entered_at: datetime | None = None
    due: datetime | None = None
    expires_at: datetime | None = None
    suspended: str | None = None
    needs_attention: bool = False
    waiting_for: str | None = None
    reason: str | None = None
    acknowledged: bool = False
    base_model: str | None = None
    eval_loss: float | None = None
    chrf: float | None = None
    cost: EntryCost = EntryCost()


class RunPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the list; `next` is the following page's cursor."""

    runs: list[RunEntry]
    next: str | None = None


class SourceFile(msgspec.Struct, frozen=True, kw_only=True):
    """One uploaded file; `size` in bytes."""

    path: str
    etag: str
    size: int


class Preflight(msgspec.Struct, frozen=True, kw_only=True):
    """What a run with some options would train, and what its dataset would be held to."""

    base_model_id: str
    base_model_name: str
    base_model_version: str
    component_id: str
    component_version: str
    parameters: dict[str, ParameterValue]
    compute_size: str
    instance_type: str
    options: Options
    rules: dict[str, Any]
    gpus_per_node: int = 0
    create_compute: bool = False


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """The upload that opened the run."""

    container: str
    files: list[SourceFile]


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The choices of the run: the app's settings, with `run.json` over them."""

    base_model: str
    parameters: dict[str, ParameterValue] = {}
    compute: str = ""
    compute_size: str = ""
    other_compute_sizes: list[str] = []
    instance_type: str = ""
    other_instance_types: list[str] = []
    instance_count: int = 1
    lifetime_hours: float = 0
    idle_minutes: float = 0
    row_policy: str = ""
    evaluation_rows: int = 0
    promotion: str = ""
    evaluate_base: bool = False
    serving_concurrency: int = 0
    force: bool = False
    start_on_request: bool = False
    available: str = ""


class StageEntry(msgspec.Struct, frozen=True, kw_only=True):
    """When the run entered a stage."""

    stage: str
    at: datetime


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Why the run ended or stumbled."""

    code: str
    message: str
    stage: str | None = None
    at: datetime | None = None


class ReportSummary(msgspec.Struct, frozen=True, kw_only=True):
    """The dataset report in short."""

    verdict: str
    reason: str = ""
    rows: dict[str, int] = {}
    rows_read: int = 0
    rows_dropped: int = 0
    counts: dict[str, int] = {}
    tokens: int = 0
    fingerprint: str = ""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What the run trains with."""

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


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """The training job as last seen."""

    name: str
    status: str
    studio_url: str | None = None


class MetricPoint(msgspec.Struct, frozen=True, kw_only=True):
    """One logged value of a metric."""

    step: int
    value: float


class Metrics(msgspec.Struct, frozen=True, kw_only=True):
    """What training and evaluation logged; losses are in nats per token."""

    latest: dict[str, float] = {}
    history: dict[str, list[MetricPoint]] = {}
    train_loss: float | None = None
    eval_loss: float | None = None


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far training is, as read last while it went on."""

    read_at: datetime
    began: datetime | None = None
    step: int | None = None
    steps: int | None = None
    epoch: float | None = None
    epochs: float | None = None
    ends_at: datetime | None = None
    train_loss: float | None = None
    eval_loss: float | None = None
    train_losses: list[MetricPoint] = []
    eval_losses: list[MetricPoint] = []
    diverged: str | None = None


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """The registered model version."""

    name: str
    version: str
    id: str


class FailedAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """A way of serving the model that did not work."""

    strategy: str
    code: str
    message: str
    at: datetime


class Serving(msgspec.Struct, frozen=True, kw_only=True):
    """The attempts to serve the model; `strategy` is in use or being tried."""

    order: list[str]
    failed: list[FailedAttempt]
    strategy: str | None = None


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A live endpoint and the time that it has."""

    name: str
    live_since: datetime
    expires_at: datetime | None = None
    idle_at: datetime | None = None
    idle_minutes: float = 0
    latest_end_at: datetime | None = None
    last_used: datetime | None = None
    seconds_left: int | None = None


class SmokeTest(msgspec.Struct, frozen=True, kw_only=True):
    """One test conversation, the answer of the data, and that of the deployment."""

    prompt: list[dict[str, str]]
    expected: str
    reply: str


class Interval(msgspec.Struct, frozen=True):
    """A measured value and its 95 % interval."""

    value: float
    low: float
    high: float


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """The model and another one on the same rows."""

    against: str
    rows: int
    verdict: str
    metrics: dict[str, Interval] = {}
    differences: dict[str, Interval] = {}
    p_value: float = 1

    @property
    def words(self) -> str:
        """The verdict in a few words."""
        rows = f"{self.rows} rows"
        return f"cannot tell from {rows}" if self.verdict == "cannot tell" else f"{self.verdict} on {rows}"


class Promotion(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the model took its dataset's name; `approval` is where it is asked for."""

    promoted: bool
    why: str
    at: datetime
    approval: str | None = None


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """How far the evaluation before traffic is, and what it measured."""

    began: datetime
    rows: int
    asked: int
    ended: datetime | None = None
    refused: int = 0
    fingerprint: str = ""
    against: str | None = None
    against_asked: int = 0
    comparison: Comparison | None = None
    base_asked: int = 0
    base_comparison: Comparison | None = None
    metrics: dict[str, Interval] = {}


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """Node hours of what costs money, and their price where it is known."""

    currency: str | None = None
    training_price_per_hour: float | None = None
    endpoint_price_per_hour: float | None = None
    training_node_hours: float | None = None
    training_cost: float | None = None
    endpoint_live_hours: float | None = None
    endpoint_node_hours: float | None = None
    endpoint_cost: float | None = None
    saved_node_hours: float | None = None
    saved_cost: float | None = None
    assumption: str = ""


class SizeChange(msgspec.Struct, frozen=True, kw_only=True):
    """Why another VM size of the list took the place of the one before."""

    option: str
    before: str
    after: str
    reason: str
    at: datetime


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """An amount of money: at least, likely, at most."""

    low: float
    likely: float
    high: float


class HoursEstimate(msgspec.Struct, frozen=True, kw_only=True):
    """The same of hours, by those of `runs` earlier runs."""

    low: float
    likely: float
    high: float
    runs: int = 0


class Quote(msgspec.Struct, frozen=True, kw_only=True):
    """What a run is estimated to take and to cost; what is not known is None."""

    at: datetime | None = None
    trained_tokens: int = 0
    training_size: str = ""
    training_nodes: int = 1
    training_hours: HoursEstimate | None = None
    training_cost: Span | None = None
    endpoint_size: str = ""
    endpoint_nodes: int = 1
    endpoint_hours: float = 0
    endpoint_cost: float | None = None
    total_cost: Span | None = None
    currency: str | None = None


class Month(msgspec.Struct, frozen=True, kw_only=True):
    """What all runs of a calendar month may cost, and what of it is used or committed."""

    month: str
    used: float
    cap: float


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """Why a run would be rejected."""

    code: str
    message: str


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """What a run would take and cost, and why it may not, if it may not."""

    quote: Quote
    refusal: Refusal | None = None
    month: Month | None = None


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One run, whole; `suspended`, `needs_attention` and `cost` are known of a run that was asked for."""

    run_id: str
    dataset: str
    stage: str
    history: list[StageEntry]
    options: Options
    given_options: dict[str, Any] = {}
    due: datetime | None = None
    billable: bool = False
    outcome: str | None = None
    end_reason: str | None = None
    error: Failure | None = None
    failures: int = 0
    faulty_since: datetime | None = None
    last_fault: Failure | None = None
    attention: str | None = None
    waiting_for: str | None = None
    size_changes: list[SizeChange] = []
    may_be_started: bool = False
    acknowledged: bool = False
    report: ReportSummary | None = None
    duplicate_of: str | None = None
    compute_requested_at: datetime | None = None
    job_submitted_at: datetime | None = None
    job: Job | None = None
    progress: Progress | None = None
    metrics: Metrics | None = None
    model: Model | None = None
    serving: Serving | None = None
    endpoint: Endpoint | None = None
    last_used: datetime | None = None
    upload: Upload | None = None
    smoke_test: list[SmokeTest] | None = None
    evaluation: Evaluation | None = None
    promotion: Promotion | None = None
    plan: Plan | None = None
    quote: Quote | None = None
    suspended: str | None = None
    needs_attention: bool = False
    cost: Cost | None = None


class Switch(msgspec.Struct, frozen=True, kw_only=True):
    """When a dataset's name came to mean another model, who decided so, and why."""

    kind: str
    run_id: str
    at: datetime
    previous: str | None = None
    by: str = ""
    why: str = ""


class Canary(msgspec.Struct, frozen=True, kw_only=True):
    """A candidate that answers some of the requests that name the dataset; `share` in percent."""

    run_id: str
    share: int
    since: datetime


class Dataset(msgspec.Struct, frozen=True, kw_only=True):
    """A dataset and its current model; the newest switch first."""

    dataset: str
    current: str | None = None
    stage: str | None = None
    canary: Canary | None = None
    history: list[Switch] = []


class IgnoredUpload(msgspec.Struct, frozen=True, kw_only=True):
    """An upload that opens no run: why, and what to do about it."""

    path: str
    etag: str = ""
    size: int = 0
    reason: str = ""
    detail: str = ""
    remedy: str = ""
    noticed_at: datetime | None = None


class IgnoredUploads(msgspec.Struct, frozen=True, kw_only=True):
    """The newest of them; `more` are not listed."""

    uploads: list[IgnoredUpload]
    more: int = 0


class Issue(msgspec.Struct, frozen=True, kw_only=True):
    """One finding of dataset validation, with its line where it has one."""

    code: str
    message: str
    file: str | None = None
    line: int | None = None
    excerpt: str | None = None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What dataset validation found; docs/report.schema.json describes the whole, which `raw` has."""

    verdict: str
    reason: str
    complete: bool = True
    counts: dict[str, int] = {}
    issues: list[Issue] = []
    left_out_keys: dict[str, int] = {}
    raw: dict[str, Any] = {}


class Delta(msgspec.Struct, frozen=True):
    """A piece of a reply."""

    content: str | None = None


class Choice(msgspec.Struct, frozen=True):
    """One of the replies; here there is one."""

    delta: Delta
    finish_reason: str | None = None


class Usage(msgspec.Struct, frozen=True):
    """Tokens, as the server counted them."""

    prompt_tokens: int
    completion_tokens: int


class ChunkError(msgspec.Struct, frozen=True):
    """What stopped a reply."""

    message: str
    code: str | None = None


class Chunk(msgspec.Struct, frozen=True):
    """An event of a streamed reply in OpenAI's form; the last one has `usage` where the server counts."""

    choices: list[Choice] = []
    usage: Usage | None = None
    error: ChunkError | None = None
