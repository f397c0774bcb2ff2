"""Training and evaluation metrics, from the workspace's MLflow tracking server.

The fine-tuning child logs them to its own run and to the pipeline's (azureml-acft-contrib-hf-nlp 0.0.91).
Both are found by searching the experiment for every run whose `mlflow.rootRunId` is the job; a history is
read from one of them. Three calls of MLflow's REST API (https://mlflow.org/docs/latest/rest-api.html) do, so
that answers are bounded and the token guarded as all others are, which MLflow's own client does not offer.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import urlencode

from shared.adapters.azureml.arm import Arm
from shared.adapters.azureml.workspace import AzureMlWorkspace
from shared.domain.errors import ServiceRefusedError
from shared.domain.run.parts import MetricPoint, Metrics
from shared.domain.run.progress import LoggedValue, TrainingReading

HISTORY_POINTS = 200
"""Points kept of each metric's history, spread evenly: enough to plot, small enough for a record."""

HISTORIES = 12
"""Metrics whose history is kept; the losses come first."""

PARENT = "mlflow.parentRunId"
WAITING = frozenset({"SCHEDULED"})
"""MLflow's word for runs that wait for compute."""

MOST_RUNS = 1_000
"""Runs of one job that are read: a pipeline has a handful."""

TRAIN_LOSS = ("train_loss", "loss")
EVAL_LOSS = ("eval_loss",)


class LoggedPoint(NamedTuple):
    """One value of a metric as MLflow keeps it; `timestamp` is in milliseconds."""

    step: int
    timestamp: int
    value: float


class _LoggedRun(NamedTuple):
    run_id: str
    status: str
    started: datetime | None
    ended: datetime | None
    parent: str | None
    metrics: Mapping[str, float]


class MlflowMetrics:
    """Metrics of a workspace's jobs."""

    def __init__(self, arm: Arm, workspace: AzureMlWorkspace, experiment: str) -> None:
        self._arm = arm
        self._workspace = workspace
        self._experiment = experiment

    def read(self, job: str) -> Metrics:
        """Everything that a job and its children logged.

        Raises:
            TransientServiceError: If the tracking or the token service could not answer.
            ServiceRefusedError: If it knows no such experiment, or may not be asked.
        """
        doing = f"reading the metrics of job {job}"
        api = f"{_address(self._workspace.facts.tracking_uri)}/api/2.0/mlflow"
        runs = self._runs(api, job, doing)
        latest = {key: value for run in runs for key, value in run.metrics.items() if math.isfinite(value)}
        chosen = _by_interest(latest)[:HISTORIES]
        history = {key: points for key in chosen if len(points := self._points(api, runs, key, doing)) > 1}
        began, ended = _span(runs)
        return Metrics(
            began=began,
            ended=ended,
            latest=latest,
            history=history,
            train_loss=_last(latest, history, TRAIN_LOSS),
            eval_loss=_last(latest, history, EVAL_LOSS),
        )

    def read_training(self, job: str) -> TrainingReading:
        """See `MetricsReader.read_training`: four calls, fewer before there is a loss.

        Raises:
            TransientServiceError: If the tracking or the token service could not answer.
            ServiceRefusedError: If it knows no such experiment, or may not be asked.
        """
        doing = f"reading how far job {job} is"
        api = f"{_address(self._workspace.facts.tracking_uri)}/api/2.0/mlflow"
        runs = self._runs(api, job, doing)
        began, _ = _span(runs)
        trainer = next((run for run in runs if run.parent and "loss" in run.metrics), None)
        if trainer is None:
            waits = began is None and any(run.parent and run.status in WAITING for run in runs)
            return TrainingReading(began=began, waits=waits)
        train, evaluation = (
            sorted(self._logged(api, trainer, key, doing), key=lambda point: (point.step, point.timestamp))
            for key in ("loss", "eval_loss")
        )
        epoch = trainer.metrics.get("epoch")
        return TrainingReading(
            began=began,
            training_since=trainer.started,
            logged_at=_moment(train[-1].timestamp) if train else None,
            epoch=epoch if epoch is not None and math.isfinite(epoch) else None,
            grad_norm=trainer.metrics.get("grad_norm"),
            train=_values(train),
            evaluation=_values(evaluation),
        )

    def _logged(self, api: str, run: _LoggedRun, key: str, doing: str) -> list[LoggedPoint]:
        if key not in run.metrics:
            return []
        query = urlencode({"run_id": run.run_id, "metric_key": key})
        return self._arm.get_url(f"{api}/metrics/get-history?{query}", _read_points, doing=doing) or []

    def _runs(self, api: str, job: str, doing: str) -> list[_LoggedRun]:
        named = urlencode({"experiment_name": self._experiment})
        experiment = self._arm.get_url(
            f"{api}/experiments/get-by-name?{named}",
            lambda body: str(body["experiment"]["experiment_id"]),
            doing=doing,
        )
        if experiment is None:
            message = f"MLflow knows no experiment {self._experiment} for job {job}"
            raise ServiceRefusedError(message, code="ExperimentNotFound")
        asked = {
            "experiment_ids": [experiment],
            "filter": f"tags.mlflow.rootRunId='{job}'",
            "max_results": MOST_RUNS,
        }
        found = self._arm.post_url(f"{api}/runs/search", asked, _read_runs, doing=doing)
        return found or []

    def _points(self, api: str, runs: Iterable[_LoggedRun], key: str, doing: str) -> tuple[MetricPoint, ...]:
        """The history of a metric, from the run that has most of it."""
        histories = [
            self._arm.get_url(
                f"{api}/metrics/get-history?{urlencode({'run_id': run.run_id, 'metric_key': key})}",
                _read_history,
                doing=doing,
            )
            for run in runs
            if key in run.metrics
        ]
        longest: list[LoggedPoint] = max((found for found in histories if found), key=len, default=[])
        return thinned(numbered(longest))


def _address(tracking_uri: str) -> str:
    """The server behind an `azureml://` address, in the version of its API that azureml-mlflow 1.62 takes."""
    _, _, place = tracking_uri.partition("://")
    return f"https://{place.rstrip('/').replace('/mlflow/v1.0/', '/mlflow/v2.0/', 1)}"


def _read_runs(body: Any) -> list[_LoggedRun]:
    """JSON of protocol buffers leaves out what is empty, and spells NaN and long integers as text."""
    return [_read_run(run["info"], run.get("data", {})) for run in body.get("runs", [])]


def _read_run(info: Any, data: Any) -> _LoggedRun:
    tags = {str(tag["key"]): str(tag.get("value", "")) for tag in data.get("tags", [])}
    return _LoggedRun(
        run_id=str(info["run_id"]),
        status=str(info.get("status", "")),
        started=_moment(info.get("start_time")),
        ended=_moment(info.get("end_time")),
        parent=tags.get(PARENT),
        metrics={str(metric["key"]): float(metric["value"]) for metric in data.get("metrics", [])},
    )


def _moment(milliseconds: Any) -> datetime | None:
    return datetime.fromtimestamp(int(milliseconds) / 1000, UTC) if milliseconds else None


def _span(runs: Iterable[_LoggedRun]) -> tuple[datetime | None, datetime | None]:
    """When the first child run of a job began to compute, and when the last one of them ended by now.

    Those that are parents of others, the job and a pipeline within it, use no compute themselves.
    """
    found = list(runs)
    parents = {run.parent for run in found}
    nodes = [run for run in found if run.run_id not in parents and run.parent and run.status not in WAITING]
    begins = [node.started for node in nodes if node.started]
    ends = [node.ended for node in nodes if node.ended]
    return min(begins, default=None), max(ends, default=None)


def _read_history(body: Any) -> list[LoggedPoint]:
    return [point for point in _read_points(body) if math.isfinite(point.value)]


def _read_points(body: Any) -> list[LoggedPoint]:
    return [
        LoggedPoint(int(point.get("step", 0)), int(point.get("timestamp", 0)), float(point["value"]))
        for point in body.get("metrics", [])
    ]


def _values(points: Sequence[LoggedPoint]) -> tuple[LoggedValue, ...]:
    """The losses, numbered from 1 if they have no steps, as when logged by epoch."""
    by_epoch = not any(point.step for point in points)
    return tuple(
        LoggedValue(number if by_epoch else point.step, point.value) for number, point in enumerate(points, 1)
    )


def thinned(points: list[MetricPoint], limit: int = HISTORY_POINTS) -> tuple[MetricPoint, ...]:
    """At most `limit` points, evenly spread, the first and the last always among them."""
    if len(points) <= limit:
        return tuple(points)
    stride = (len(points) - 1) / (limit - 1)
    return tuple(points[round(index * stride)] for index in range(limit))


def numbered(history: Iterable[LoggedPoint]) -> list[MetricPoint]:
    """Points in their order; numbered from 1 if they have no steps, as when logged by epoch."""
    ordered = sorted(history, key=lambda point: (point.step, point.timestamp))
    if len(ordered) > 1 and not any(point.step for point in ordered):
        return [MetricPoint(step=number, value=point.value) for number, point in enumerate(ordered, 1)]
    return [MetricPoint(step=point.step, value=point.value) for point in ordered]


def _by_interest(metrics: Mapping[str, float]) -> list[str]:
    return sorted(metrics, key=lambda key: ("loss" not in key, "eval" not in key, key))


def _last(
    latest: Mapping[str, float],
    history: Mapping[str, tuple[MetricPoint, ...]],
    names: tuple[str, ...],
) -> float | None:
    for name in names:
        if history.get(name):
            return history[name][-1].value
        if name in latest:
            return latest[name]
    return None
