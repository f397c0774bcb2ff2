"""The parts of a run's record: what each stage leaves on it. The record itself is in `run.py`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from shared.domain.dataset import DatasetReport, Split, Verdict
from shared.domain.run.options import Name
from shared.domain.run.stages import Stage
from shared.domain.serving.record import Route, Serving

Moment = Annotated[datetime, msgspec.Meta(tz=True)]
"""A time with its zone; a record without one cannot be compared with the clock, and counts as corrupt."""


class StageEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a run entered a stage (UTC)."""

    stage: Stage
    at: Moment


class SourceFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One uploaded file in the version that the run was opened for; `md5` where storage has it."""

    path: str
    etag: str
    size: int
    md5: str | None = None


class Source(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The upload: `files[0]` is the one that opened the run; the others are its companions.

    Attributes:
        options: The `run.json` that the run's options were read from, if there was one.
    """

    container: str
    files: Annotated[tuple[SourceFile, ...], msgspec.Meta(min_length=1)]
    options: SourceFile | None = None

    @property
    def parts(self) -> tuple[SourceFile, ...]:
        """Everything beside the training file."""
        return (*self.files[1:], *([self.options] if self.options is not None else []))


class Failure(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why a run ended or stumbled: the service's own code and words where it has any."""

    code: str
    message: str
    stage: Stage
    at: Moment


class ReportSummary(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The validation report in short; the whole of it is stored beside the record.

    Attributes:
        reason: One sentence that says why, and what to do.
        rows: Rows of the snapshot, by split.
        rows_read: Rows that were read, usable or not.
        counts: How often each validation code occurred.
        tokens: Estimated tokens of the snapshot.
        fingerprint: Digest of what training would see.
    """

    verdict: Verdict
    reason: str
    rows: dict[Split, int]
    rows_read: int
    rows_dropped: int
    counts: dict[str, int]
    tokens: int
    fingerprint: str


class TrainingPlan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What preflight settled, so that submitting is only carrying it out.

    Attributes:
        base_model_input: The component's input that takes the base model's id.
        context_window: Tokens that the base model takes, where the registry or the setting says.
        finetune_config: What training is told so that the model can be served; None where the component
            does not take it.
    """

    base_model_id: str
    base_model_name: str
    base_model_version: str
    component_id: str
    component_version: Name
    parameters: dict[str, str | int | float]
    compute: Name
    compute_size: Name
    gpus_per_node: int
    display_name: str
    create_compute: bool
    context_window: int | None = None
    base_model_input: str = "mlflow_model_path"
    finetune_config: dict[str, Any] | None = None


class JobRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The job as last seen."""

    name: str
    status: str
    studio_url: str | None = None


class MetricPoint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One logged value of a metric."""

    step: int
    value: float


class Metrics(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What training and evaluation logged.

    Attributes:
        latest: The last value of every metric, by name.
        history: Points over training of each metric that has more than one, thinned to a cap.
        train_loss: Last training loss, nats per token; None when none was logged.
        eval_loss: Last evaluation loss, nats per token; None when none was logged.
        began: When the first node of the job started (UTC); None where MLflow does not say it.
        ended: When the last one ended.
    """

    latest: dict[str, float]
    history: dict[str, tuple[MetricPoint, ...]]
    train_loss: float | None = None
    eval_loss: float | None = None
    began: Moment | None = None
    ended: Moment | None = None


class TrainingProgress(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far a job is that is still at work, as MLflow showed it last.

    Attributes:
        read_at: When that was (UTC).
        began: When the first node of the job started; None while it waits for one.
        step: Of the optimizer, as last logged; None where none was logged, as when logging by epoch.
        steps: How many there will be, as far as step and epoch tell.
        epoch: How often training has gone through its rows, as last logged.
        epochs: How often it will.
        ends_at: When training is estimated to end, its conversion and the like not included.
        train_loss: As last logged, nats per token.
        eval_loss: The same of the evaluation.
        train_losses: Points over training, thinned to a cap.
        eval_losses: The same of the evaluation.
        diverged: Why it cannot get better, or None.
    """

    read_at: Moment
    began: Moment | None = None
    step: int | None = None
    steps: int | None = None
    epoch: float | None = None
    epochs: float | None = None
    ends_at: Moment | None = None
    train_loss: float | None = None
    eval_loss: float | None = None
    train_losses: tuple[MetricPoint, ...] = ()
    eval_losses: tuple[MetricPoint, ...] = ()
    diverged: str | None = None


class Budget(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The newest answer to a run's request for its share of MAX_MONTHLY_COST.

    Attributes:
        at: When it was given (UTC).
        month: The calendar month, as `2026-11`.
        reserved: Whether the run may cost what it would.
        mine: What it would likely cost in that month.
        others: What other runs have used or committed in it.
        cap: The most that all may cost.
    """

    at: Moment
    month: str
    reserved: bool
    mine: float
    others: float
    cap: float


class ModelRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The registered model version; `folder` is the last folder of its path."""

    name: str
    version: str
    id: str
    folder: str


class SmokeTest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One test conversation, the answer that the data has, and the answer that the deployment gave.

    Attributes:
        cut: Whether the reply is not whole: it met the limit of its tokens, or is too long for the record.
    """

    prompt: list[dict[str, str]]
    expected: str
    reply: str
    cut: bool = False


class EndpointRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The live endpoint. `expires_at` and `live_since` are UTC.

    Attributes:
        public: Whether it could be reached from the public network when it went live.
    """

    name: str
    scoring_uri: str
    auth_mode: str
    serving: Serving
    live_since: Moment
    expires_at: Moment
    public: bool


class BaseDeployment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The base model, deployed beside the run's own while both are evaluated.

    Attributes:
        at: When it was decided upon (UTC).
        route: How its server is asked, once that is known.
        why: Why it is not asked, or no longer.
        over: Whether it is to go.
        gone: Whether it was seen to be gone; the run gets no traffic before.
    """

    at: Moment
    route: Route | None = None
    why: str | None = None
    over: bool = False
    gone: bool = False


class SizeChange(msgspec.Struct, frozen=True, kw_only=True):
    """Why another VM size of the list took the place of the one before.

    Attributes:
        option: `compute_size` or `instance_type`.
        reason: Why not the one before, in the service's words where it refused.
    """

    option: str
    before: Name
    after: Name
    reason: str
    at: Moment


class StartRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Deploy the model of a stopped run again, with other options where they are given.

    Attributes:
        at: When it was asked for (UTC).
        after: How many stages the run had entered by then; once it has entered another, this was acted on.
    """

    at: Moment
    after: int
    instance_type: Name | None = None
    instance_count: int | None = None
    lifetime_hours: float | None = None
    idle_minutes: float | None = None


class Approval(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A person's answer to whether the model is to take its dataset's name.

    Attributes:
        at: When it was given (UTC).
        by: Who gave it, as the answer says.
    """

    at: Moment
    answer: Literal["yes", "no"]
    by: str


class Requests(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What callers asked for; the next advance acts on it.

    Attributes:
        late_files: Files that were uploaded after training had started, and are not used.
        acknowledged_at: When somebody took note of how the run ended (UTC).
        extension_keys: Idempotency keys of the newest extensions, so that a repeated write adds hours once.
    """

    cancel_at: Moment | None = None
    delete_at: Moment | None = None
    delete_reason: str | None = None
    extended_to: Moment | None = None
    extension_keys: tuple[str, ...] = ()
    retry_at: Moment | None = None
    start: StartRequest | None = None
    late_files: tuple[str, ...] = ()
    approval: Approval | None = None
    acknowledged_at: Moment | None = None


def summarize(report: DatasetReport) -> ReportSummary:
    """The part of a validation report that a run keeps in its record."""
    return ReportSummary(
        verdict=report.verdict,
        reason=report.reason,
        rows={split: summary.rows for split, summary in report.splits.items()},
        rows_read=report.rows,
        rows_dropped=report.rows_dropped,
        counts=report.counts,
        tokens=report.tokens.total,
        fingerprint=report.fingerprint,
    )
