"""Evaluate a deployment before it gets traffic: ask it test conversations, and the model it would replace.

Each invocation asks for half a minute, stores every answer, and leaves the rest to the next. A stored answer
is never asked for again, whoever dies when. A model's faults end the piece and not the run: after the time
budget the evaluation makes do with what was answered.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from shared.config import Settings
from shared.domain.dataset import SmokeSample
from shared.domain.errors import CorruptRunError, RunChangedError
from shared.domain.evaluation.record import Evaluation
from shared.domain.evaluation.rows import Row, Subject, fingerprint_of, read_rows, row_of, write_rows
from shared.domain.run.observation import EndpointStatus
from shared.domain.run.run import Run
from shared.domain.run.stages import Stage
from shared.domain.serving.deployment import BASE_DEPLOYMENT, DEPLOYMENT
from shared.logs import get_logger
from shared.ports import ScoringTarget, Services
from shared.workflow.current_model import history_of, holder_of
from shared.workflow.steps.ask_rows import Model, answered_before, ask_rows, of_these
from shared.workflow.steps.base_model import base_target, with_route
from shared.workflow.steps.deploy_model import serving_of

DEADLINE_SHARE = 0.9
"""Of DEPLOYMENT_DEADLINE_MINUTES; an evaluation leaves the rest to what comes after it."""

_log = get_logger(__name__)


class _Report(msgspec.Struct):
    """The part of a stored report that is asked."""

    smoke_sample: list[SmokeSample]


def evaluate(run: Run, endpoint: EndpointStatus, settings: Settings, services: Services) -> Run:
    """Ask some of the rows that have no answer yet; measure once there is none, or no time.

    Raises:
        FinetuneError: If storage cannot be reached.
    """
    stored = services.evaluations.load(run.run_id)
    run = with_route(run, endpoint, settings, services)
    candidate = _candidate(run, endpoint, settings)
    rows = _sample(run, candidate, services)
    current = _holder(run, services)
    models = [
        candidate,
        *([_current(current)] if current is not None else []),
        *_base(run, endpoint, settings),
    ]
    if current is not None:
        rows = _answered_by_current(rows, current, services)
    answers = _answers(stored.body if stored is not None else b"")
    rows = [of_these(_joined(row, answers), models) for row in rows]
    evaluation = run.evaluation or Evaluation(
        began=services.now(), rows=len(rows), fingerprint=fingerprint_of(rows)
    )
    against = current.run_id if current is not None else None
    evaluation = msgspec.structs.replace(evaluation, against=against)
    over = services.now() >= _ends_at(run, evaluation, settings)
    if not over:
        for model in models:
            rows = ask_rows(rows, model, services)
    if over or not any(model.may_answer(row) for model in models for row in rows):
        evaluation, rows = _completed(evaluation, rows, services.now())
    body = write_rows(rows)
    if stored is None or body != stored.body:
        etag = stored.etag if stored is not None else None
        if not services.evaluations.save(run.run_id, body, etag):
            raise RunChangedError(f"another worker evaluates {run.run_id}")
    evaluation = msgspec.structs.replace(
        evaluation,
        asked=_asked(rows, Subject.CANDIDATE),
        against_asked=_asked(rows, Subject.CURRENT),
        base_asked=_asked(rows, Subject.BASE),
    )
    return msgspec.structs.replace(run, evaluation=evaluation)


def _holder(run: Run, services: Services) -> Run | None:
    """The run that has the dataset's name; None if there is none, or nobody can tell."""
    try:
        return holder_of(history_of(run.dataset, services)[0], services, but=run.run_id)
    except CorruptRunError as fault:
        _log.warning("a run is compared with no other", extra={"run_id": run.run_id, "code": fault.code})
        return None


def _ends_at(run: Run, evaluation: Evaluation, settings: Settings) -> datetime:
    """When the evaluation makes do with what it has (UTC)."""
    limits, deploying = settings.limits(), run.entered(Stage.DEPLOYING)
    end = evaluation.began + limits.evaluation_budget
    return min(end, deploying + limits.deployment_deadline * DEADLINE_SHARE) if deploying else end


def _candidate(run: Run, endpoint: EndpointStatus, settings: Settings) -> Model:
    assert run.serving is not None
    assert run.serving.route is not None, "the smoke test settles the route"
    serving = serving_of(run, settings.serving_options(run.options), run.serving.route)
    target = ScoringTarget(
        run.endpoint_name, endpoint.scoring_uri or "", settings.endpoint_auth_mode, serving
    )
    return Model(Subject.CANDIDATE, f"{run.run_id} {serving.strategy}", target, DEPLOYMENT)


def _current(run: Run) -> Model:
    """The model that the candidate would replace; one that does not answer has what it answered before."""
    live = run.endpoint if run.stage is Stage.LIVE else None
    target = ScoringTarget(live.name, live.scoring_uri, live.auth_mode, live.serving) if live else None
    return Model(Subject.CURRENT, run.run_id, target)


def _base(run: Run, endpoint: EndpointStatus, settings: Settings) -> list[Model]:
    """The base model, if it is up, or was and has answered."""
    if run.base is None or run.plan is None:
        return []
    route = run.base.route if run.has_base and not run.base.over else None
    target = base_target(run, endpoint, route, settings) if route is not None else None
    return [Model(Subject.BASE, run.plan.base_model_id, target, BASE_DEPLOYMENT)]


def _answered_by_current(rows: list[Row], current: Run, services: Services) -> list[Row]:
    """The rows with the answers that the current model gave when it was evaluated itself."""
    stored = services.evaluations.load(current.run_id)
    known = _answers(stored.body if stored is not None else b"")

    def answered(row: Row) -> Row:
        given = known[row.id].answers.get(Subject.CANDIDATE) if row.id in known else None
        if given is None or not given.counts:
            return row
        return row.with_answer(Subject.CURRENT, msgspec.structs.replace(given, by=current.run_id))

    return [answered(row) for row in rows]


def _sample(run: Run, candidate: Model, services: Services) -> list[Row]:
    """The rows that are asked; what the smoke test has asked of them is known."""
    report = services.reports.load(run.run_id, html=False)
    if report is None:
        _log.warning("a run has no report to take test rows from", extra={"run_id": run.run_id})
        return []
    sample = msgspec.json.decode(report, type=_Report).smoke_sample[: run.options.evaluation_rows]
    rows = {row.id: row for row in map(row_of, sample)}
    # A reply that ended by itself is the same with any limit; a longer one may not be whole on the record.
    told = [(test.prompt, test.reply) for test in run.smoke_tests or () if not test.cut]
    for row in rows.values():
        for prompt, reply in told:
            if prompt == row.prompt:
                rows[row.id] = answered_before(row, candidate.subject, candidate.by, reply)
    return list(rows.values())


def _answers(body: bytes) -> dict[str, Row]:
    """The stored rows by id; one that cannot be read is asked again."""
    try:
        return {row.id: row for row in read_rows(body)}
    except (msgspec.MsgspecError, UnicodeDecodeError):
        _log.warning("stored answers cannot be read; the rows are asked again")
        return {}


def _joined(row: Row, stored: dict[str, Row]) -> Row:
    known = stored.get(row.id)
    return row if known is None else msgspec.structs.replace(row, answers={**row.answers, **known.answers})


def _completed(evaluation: Evaluation, rows: list[Row], now: datetime) -> tuple[Evaluation, list[Row]]:
    # The libraries that it needs load in a second, and nothing else needs them.
    from shared.domain.evaluation.measure import compare, measure, scored

    rows = [scored(row) for row in rows]
    refused = sum(
        answer.refused is not None
        for row in rows
        if (answer := row.answers.get(Subject.CANDIDATE)) is not None
    )
    against = evaluation.against
    ended = msgspec.structs.replace(
        evaluation,
        ended=now,
        metrics=measure(rows, Subject.CANDIDATE),
        refused=refused,
        comparison=compare(rows, Subject.CURRENT, against) if against is not None else None,
        base_comparison=compare(rows, Subject.BASE, "the base model"),
    )
    return ended, rows


def _asked(rows: list[Row], subject: Subject) -> int:
    return sum(subject in row.answers and row.answers[subject].counts for row in rows)
