"""The record of a run.

Two kinds of writers share a record. The worker that advances a run owns every field but two;
`requests` and `last_used` belong to callers (HTTP, `reconcile_resources`), so that a write of either side
can be merged with the other's (`merge_callers_fields`) and no update is ever lost.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any

import msgspec

from shared.domain.dataset import SmokeSample
from shared.domain.evaluation.record import Evaluation
from shared.domain.run.availability import hours_of
from shared.domain.run.current_model import Promotion
from shared.domain.run.job_status import JobState, job_state
from shared.domain.run.names import numbered_name
from shared.domain.run.options import RunOptions
from shared.domain.run.parts import (
    BaseDeployment,
    Budget,
    EndpointRecord,
    Failure,
    JobRecord,
    Metrics,
    ModelRecord,
    Moment,
    ReportSummary,
    Requests,
    SizeChange,
    SmokeTest,
    Source,
    StageEntry,
    StartRequest,
    TrainingPlan,
    TrainingProgress,
)
from shared.domain.run.quote import Quote
from shared.domain.run.slot_kind import SlotKind, SlotRequest
from shared.domain.run.stages import TRANSITIONS, Stage
from shared.domain.serving.attempts import ServingProgress

SCHEMA_VERSION = 5
"""Of a record: changes with each field that is added, renamed or given another meaning, along with a step in
`shared.domain.run.migrations`."""


class Run(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One upload carried to its end.

    Attributes:
        due: When the run should next be looked at (UTC); None once it is over.
        given_options: What the upload's `run.json` says, as long as it is short.
        workspace_id: Immutable id of the workspace that the run was planned in, and that all of it is in.
        billable: True from before the first call that may cost money. A run that never got there
            can end at once; any other ends through `deleting`, where absence is verified.
        outcome: Where `deleting` leads.
        end_reason: Why it is being taken away, in a person's words, when nothing went wrong.
        job_number: Which of the run's job names its job has (`numbered_name`).
        endpoint_number: The same of its endpoint.
        rebuilds: How often deploying began anew since it was last asked for; sets the delays between.
        rebuild_at: When a failed endpoint may be created again (UTC).
        loss_accepted: Somebody started the run after MAX_EVAL_LOSS had stopped it.
        size_changes: Why which VM size took the place of which, oldest first.
        sizes_refused: VM sizes for the deployment that Azure ML refused one after the other.
        superseded: A newer version of the upload was seen before training started.
        settles_at: When an upload that changed may be read anew, if that is waited for (UTC).
        quote: What the run is estimated to take and to cost, from when it was planned.
        budget: Whether the run may cost that in this month; None until it was asked.
        progress: How far training is, while it goes on.
        slot: The newest request for a concurrency slot; a run that was refused waits and asks again.
        compute_requested_at: Since when a cluster is on its way that is not up yet (UTC).
        compute_created: Whether this run asked for that cluster; no other cluster is ever deleted.
        job_submitted_at: When Azure ML first accepted the job (UTC).
        failures: Transient faults in a row; sets the backoff, cleared by any step that succeeds.
        faulty_since: When that row of faults began (UTC).
        refused_since: Since when the same refusal has been repeated (UTC).
        attention: Why a person should look though the run goes on by itself, or None.
        job_missing_since: Since when a job that should be there is not (UTC).
        endpoint_missing_since: The same of the endpoint (UTC).
        last_fault: The newest of those faults, kept for people to see.
        serving: The attempts to serve the model; None until the first strategy is chosen.
        smoke_sample: Test conversations to try the deployment with.
        smoke_tests: None until the deployment was tried; empty when the test split had no rows.
        trace: Context of the run's trace, as W3C `traceparent`.
        last_used: When the endpoint last answered a caller, to within a minute (UTC).
    """

    run_id: str
    dataset: str
    source: Source
    options: RunOptions
    stage: Stage
    history: Annotated[tuple[StageEntry, ...], msgspec.Meta(min_length=1)]
    due: Moment | None
    given_options: dict[str, Any] = {}
    workspace_id: str | None = None
    billable: bool = False
    outcome: Stage | None = None
    end_reason: str | None = None
    error: Failure | None = None
    failures: int = 0
    faulty_since: Moment | None = None
    refused_since: Moment | None = None
    attention: str | None = None
    job_missing_since: Moment | None = None
    endpoint_missing_since: Moment | None = None
    last_fault: Failure | None = None
    report: ReportSummary | None = None
    smoke_sample: tuple[SmokeSample, ...] = ()
    claimed: bool = False
    job_number: int = 1
    endpoint_number: int = 1
    rebuilds: int = 0
    rebuild_at: Moment | None = None
    loss_accepted: bool = False
    size_changes: tuple[SizeChange, ...] = ()
    sizes_refused: int = 0
    duplicate_of: str | None = None
    superseded: bool = False
    settles_at: Moment | None = None
    plan: TrainingPlan | None = None
    quote: Quote | None = None
    budget: Budget | None = None
    slot: SlotRequest | None = None
    compute_requested_at: Moment | None = None
    compute_created: bool = False
    job_submitted_at: Moment | None = None
    job: JobRecord | None = None
    progress: TrainingProgress | None = None
    metrics: Metrics | None = None
    model: ModelRecord | None = None
    serving: ServingProgress | None = None
    smoke_tests: tuple[SmokeTest, ...] | None = None
    base: BaseDeployment | None = None
    evaluation: Evaluation | None = None
    promotion: Promotion | None = None
    endpoint: EndpointRecord | None = None
    requests: Requests = Requests()
    last_used: Moment | None = None
    trace: str | None = None
    schema_version: int = SCHEMA_VERSION

    @property
    def opened_at(self) -> datetime:
        """When the run was opened (UTC)."""
        return self.history[0].at

    def entered(self, stage: Stage) -> datetime | None:
        """When the run last entered `stage` (UTC), or None if it never did."""
        return next((entry.at for entry in reversed(self.history) if entry.stage is stage), None)

    @property
    def late_notice(self) -> str | None:
        """What is said of files that came too late for this run, for as long as it does anything."""
        if not self.requests.late_files or self.stage.at_rest:
            return None
        late, train = ", ".join(self.requests.late_files), self.source.files[0].path
        return (
            f"{late} came after training had started, and is not used; to train with it, upload {train} again"
        )

    @property
    def acknowledged(self) -> bool:
        """Whether somebody took note of how the run ended; another end asks for another note."""
        noted = self.requests.acknowledged_at
        return noted is not None and noted >= self.history[-1].at

    @property
    def end_note(self) -> str | None:
        """Why the run ended or stopped, or is about to: its error, its twin, or what was asked for."""
        if self.error is not None:
            return f"{self.error.code}: {self.error.message}"
        if self.duplicate_of is not None:
            return f"The same content as {self.duplicate_of}"
        return self.end_reason

    @property
    def job_name(self) -> str:
        """The name of the run's newest job, whether or not it exists yet."""
        return numbered_name(self.run_id, self.job_number)

    @property
    def endpoint_name(self) -> str:
        """The name of the run's newest endpoint, whether or not it exists yet."""
        return numbered_name(self.run_id, self.endpoint_number)

    @property
    def start_request(self) -> StartRequest | None:
        """The request to start a stopped or failed run that was not acted on yet."""
        start = self.requests.start
        rests = self.stage in {Stage.STOPPED, Stage.FAILED}
        return start if rests and start is not None and start.after == len(self.history) else None

    @property
    def starts_again(self) -> bool:
        """Whether the run was stopped before, and is on its way to being live again."""
        return self.stage.before_live and self.entered(Stage.STOPPED) is not None

    @property
    def starts_by_itself(self) -> bool:
        """Whether the run is stopped until its hours begin; what an error stopped waits for a person."""
        return self.stage is Stage.STOPPED and self.error is None and bool(self.options.available)

    @property
    def was_asked_for(self) -> bool:
        """Whether a caller's request is what the run is being deployed for, or was."""
        start = self.requests.start
        if start is None or start.after >= len(self.history):
            return False
        return Stage.STOPPED not in {entry.stage for entry in self.history[start.after :]}

    @property
    def has_trained(self) -> bool:
        """Whether the run's job was seen to have completed."""
        return self.job is not None and job_state(self.job.status) is JobState.COMPLETED

    @property
    def may_be_started(self) -> bool:
        """Whether there is a trained model to deploy: the run waits with it, or ended though it has one."""
        return self.stage is Stage.STOPPED or (self.stage is Stage.FAILED and self.has_trained)

    @property
    def lost_its_job(self) -> bool:
        """Whether the run failed only because its job was not to be seen: it goes on once the job is."""
        if self.stage is not Stage.FAILED or self.plan is None or self.error is None:
            return False
        asked = self.requests.cancel_at or self.requests.delete_at
        return not asked and (self.error.code == "JobNotFound" or self.error.stage is Stage.VALIDATED)

    @property
    def at_rest(self) -> bool:
        """Whether there is nothing to do for the run until somebody asks for something."""
        if not self.stage.at_rest or self.start_request is not None or self.starts_by_itself:
            return False
        return self.stage.terminal or not (self.requests.delete_at or self.requests.cancel_at)

    @property
    def may_be_training(self) -> bool:
        """Whether a job of the run may be using compute: it was asked for, and was not seen to be over."""
        if self.stage is Stage.VALIDATED and self.slot is not None and not self.slot.acquired:
            # Azure ML accepted no submission: the run gave its slot back until its next attempt.
            return False
        return self.billable and not self.job_is_over and not self.stage.at_rest

    @property
    def job_is_over(self) -> bool:
        """Whether the job was seen to have ended."""
        return self.job is not None and job_state(self.job.status).over

    @property
    def to_be_evaluated(self) -> bool:
        """Whether the deployment is to answer more test rows before it gets traffic."""
        ended = self.evaluation is not None and self.evaluation.ended is not None
        return self.options.evaluation_rows > 0 and not ended

    @property
    def has_base(self) -> bool:
        """Whether the base model may be deployed beside the run's own."""
        return self.base is not None and not self.base.gone

    @property
    def endpoint_vms(self) -> int:
        """VMs of its endpoint, there or to come."""
        return self.options.instance_count + self.has_base

    @property
    def approval_given(self) -> bool:
        """Whether a person has answered, and nothing was done about it yet."""
        asked = self.promotion is not None and self.promotion.waits
        return asked and self.requests.approval is not None

    def holds_slot(self, kind: SlotKind) -> bool:
        """Whether the run has acquired a slot of that kind."""
        return self.slot is not None and self.slot.kind is kind and self.slot.acquired

    @property
    def expires_at(self) -> datetime | None:
        """When the endpoint's time is up: its own expiry or what callers extended it to, the later."""
        if self.endpoint is None:
            return None
        return max(self.endpoint.expires_at, self._extended_to or self.endpoint.expires_at)

    @property
    def _extended_to(self) -> datetime | None:
        """What callers extended this endpoint to; an extension of the one before a restart is past."""
        extended = self.requests.extended_to
        if self.endpoint is None or extended is None or extended <= self.endpoint.live_since:
            return None
        return extended

    @property
    def idle_at(self) -> datetime | None:
        """When the endpoint will have been unused for too long, or None if idling is allowed."""
        if self.endpoint is None or self.options.idle_minutes == 0:
            return None
        used = max(self.last_used or self.endpoint.live_since, self.endpoint.live_since)
        if self._extended_to is not None:
            return None
        return used + timedelta(minutes=self.options.idle_minutes)

    @property
    def ends_at(self) -> datetime | None:
        """When the endpoint is taken away: its time is up or it was unused for too long, the earlier."""
        if self.expires_at is None:
            return None
        return min(filter(None, (self.expires_at, self.idle_at, self.closes_at)))

    @property
    def closes_at(self) -> datetime | None:
        """When the hours end in which the model answers (UTC); None without any, or if it was extended."""
        hours = hours_of(self.options.available)
        if hours is None or self.endpoint is None or self._extended_to is not None:
            return None
        return hours.closing_after(self.endpoint.live_since)


def open_run(
    run_id: str,
    dataset: str,
    source: Source,
    options: RunOptions,
    now: datetime,
) -> Run:
    """Begin the record of a new upload."""
    return Run(
        run_id=run_id,
        dataset=dataset,
        source=source,
        options=options,
        stage=Stage.RECEIVED,
        history=(StageEntry(stage=Stage.RECEIVED, at=now),),
        due=now,
    )


def enter(run: Run, stage: Stage, now: datetime, error: Failure | None = None) -> Run:
    """Move a run to `stage`, keeping the time.

    Raises:
        ValueError: If the table has no such move: a fault in this program, never in a run's data.
    """
    if stage not in TRANSITIONS[run.stage]:
        raise ValueError(f"no move leads from {run.stage} to {stage}")
    entered = msgspec.structs.replace(
        run,
        stage=stage,
        history=(*run.history, StageEntry(stage=stage, at=now)),
        error=error or run.error,
        job_missing_since=None,
        endpoint_missing_since=None,
        **WITHOUT_FAULT,
    )
    return msgspec.structs.replace(entered, due=None if entered.at_rest else now)


def started_options(run: Run, start: StartRequest) -> RunOptions:
    """The options of a run with those over them that a start names."""
    given = {
        name: value
        for name in ("instance_type", "instance_count", "lifetime_hours", "idle_minutes")
        if (value := getattr(start, name)) is not None
    }
    if start.instance_type is not None:
        given["other_instance_types"] = ()
    changed: RunOptions = msgspec.structs.replace(run.options, **given)
    return changed


def restart(run: Run, start: StartRequest, now: datetime) -> Run:
    """Have a stopped run deploy its model again: what was true of its last endpoint is forgotten.

    A failed run looks at its job again first.
    """
    accepted = run.error is not None and run.error.code in LOSS_REFUSALS
    fresh = msgspec.structs.replace(
        run,
        options=started_options(run, start),
        outcome=None,
        end_reason=None,
        error=None,
        slot=None,
        serving=None,
        smoke_tests=None,
        base=None,
        endpoint=None,
        budget=None,
        last_fault=None,
        rebuilds=0,
        sizes_refused=0,
        rebuild_at=None,
        loss_accepted=run.loss_accepted or accepted,
    )
    return enter(fresh, Stage.TRAINED if run.stage is Stage.STOPPED else Stage.TRAINING, now)


LOSS_REFUSALS = frozenset({"EvalLossMissing", "EvalLossTooHigh"})
"""Codes with which MAX_EVAL_LOSS stops a run; whoever starts it then accepts the loss."""

WITHOUT_FAULT: dict[str, Any] = {
    "failures": 0,
    "faulty_since": None,
    "refused_since": None,
    "attention": None,
}
"""The fields of a run that is doing well."""


def same_progress(one: Run, other: Run) -> bool:
    """Whether two versions of a record differ in callers' fields at most."""
    return other == msgspec.structs.replace(
        one, requests=other.requests, last_used=other.last_used, due=other.due
    )


def merge_callers_fields(mine: Run, stored: Run) -> Run:
    """Take over what callers wrote to the stored record while `mine` was being worked on."""
    return msgspec.structs.replace(mine, requests=stored.requests, last_used=stored.last_used)
