"""Training and evaluation metrics, read through MLflow as the notebook's "review metrics" step does.

The fine-tuning child logs them to its own run and to the pipeline's (azureml-acft-contrib-hf-nlp 0.0.91).
Both are found by searching the experiment for every run whose `mlflow.rootRunId` is the job; a history is
read from one of them.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from azure.core.credentials import TokenCredential

from shared.adapters.azureml.workspace import AzureMlWorkspace
from shared.adapters.http.response_parsing import INVALID_RESPONSE
from shared.adapters.http.trusted_hosts import TrustedHosts
from shared.adapters.retries import limit_mlflow_retries
from shared.adapters.sdk_errors import translated
from shared.domain.errors import ServiceRefusedError, TransientServiceError
from shared.domain.run.parts import MetricPoint, Metrics

HISTORY_POINTS = 200
"""Points kept of each metric's history, spread evenly: enough to plot, small enough for a record."""

HISTORIES = 12
"""Metrics whose history is kept; the losses come first."""

PARENT = "mlflow.parentRunId"
WAITING = frozenset({"SCHEDULED"})
"""MLflow's word for runs that wait for compute."""

TRAIN_LOSS = ("train_loss", "loss")
EVAL_LOSS = ("eval_loss",)

_MLFLOW = threading.Lock()
# mlflow keeps its registry of stores in module state.


class MlflowMetrics:
    """Metrics of a workspace's jobs."""

    def __init__(
        self,
        credential: TokenCredential,
        workspace: AzureMlWorkspace,
        experiment: str,
        trusted: TrustedHosts,
    ) -> None:
        self._credential = credential
        self._trusted = trusted
        self._workspace = workspace
        self._experiment = experiment

    def read(self, job: str) -> Metrics:
        """Everything that a job and its children logged.

        Raises:
            TransientServiceError: If the tracking or the token service could not answer.
        """
        # Tokens are fetched by azure-identity, whose errors MLflow does not catch.
        with _MLFLOW, translated(f"reading the metrics of job {job}"):
            from google.protobuf.json_format import ParseError
            from mlflow.exceptions import MlflowException
            from mlflow.tracking import MlflowClient

            limit_mlflow_retries()
            try:
                tracking = self._workspace.facts.tracking_uri
                self._trusted.check(f"https://{tracking.partition('://')[2]}")
                client = MlflowClient(tracking_uri=tracking)
                _sign_in_with(self._credential, client)
                runs = self._runs(client, job)
                latest = {
                    key: float(value)
                    for run in runs
                    for key, value in run.data.metrics.items()
                    if math.isfinite(value)
                }
                chosen = _by_interest(latest)[:HISTORIES]
                history = {key: points for key in chosen if len(points := _points(client, runs, key)) > 1}
            except MlflowException as fault:
                raise _translate(fault, job) from fault
            except ParseError as fault:
                message = f"reading the metrics of job {job}: {fault}"
                raise TransientServiceError(message, code=INVALID_RESPONSE) from fault
        began, ended = _span(runs)
        return Metrics(
            began=began,
            ended=ended,
            latest=latest,
            history=history,
            train_loss=_last(latest, history, TRAIN_LOSS),
            eval_loss=_last(latest, history, EVAL_LOSS),
        )

    def _runs(self, client: Any, job: str) -> list[Any]:
        experiment = client.get_experiment_by_name(self._experiment)
        if experiment is None:
            raise ServiceRefusedError(
                f"MLflow knows no experiment {self._experiment} for job {job}",
                code="ExperimentNotFound",
            )
        return list(
            client.search_runs(
                experiment_ids=[experiment.experiment_id],
                filter_string=f"tags.mlflow.rootRunId='{job}'",
            ),
        )


def _span(runs: Iterable[Any]) -> tuple[datetime | None, datetime | None]:
    """When the first child run of a job began to compute, and when the last one of them ended by now.

    Those that are parents of others, the job and a pipeline within it, use no compute themselves.
    """
    found = list(runs)
    parents = {run.data.tags.get(PARENT) for run in found}
    nodes = [
        run.info
        for run in found
        if run.info.run_id not in parents and PARENT in run.data.tags and run.info.status not in WAITING
    ]
    begins = [node.start_time for node in nodes if node.start_time]
    ends = [node.end_time for node in nodes if node.end_time]
    return (_moment(min(begins)) if begins else None), (_moment(max(ends)) if ends else None)


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def _sign_in_with(credential: TokenCredential, client: Any) -> None:
    """Give Azure ML's plug-in the app's credential.

    Its own sleeps for as long as a `Retry-After` says, and it can be passed no other (azureml-mlflow 1.62).
    """
    client._tracking_client.store.service_context._auth = credential


def thinned(points: list[MetricPoint], limit: int = HISTORY_POINTS) -> tuple[MetricPoint, ...]:
    """At most `limit` points, evenly spread, the first and the last always among them."""
    if len(points) <= limit:
        return tuple(points)
    stride = (len(points) - 1) / (limit - 1)
    return tuple(points[round(index * stride)] for index in range(limit))


def _points(client: Any, runs: Iterable[Any], key: str) -> tuple[MetricPoint, ...]:
    """The history of a metric, from the run that has most of it."""
    histories: list[list[Any]] = [
        [point for point in client.get_metric_history(run.info.run_id, key) if math.isfinite(point.value)]
        for run in runs
        if key in run.data.metrics
    ]
    longest = max(histories, key=len)
    return thinned(numbered(longest))


def numbered(history: Iterable[Any]) -> list[MetricPoint]:
    """Points of MLflow in their order; numbered from 1 if they have no steps, as when logged by epoch."""
    ordered = sorted(history, key=lambda point: (point.step, point.timestamp))
    if len(ordered) > 1 and not any(point.step for point in ordered):
        return [MetricPoint(step=number, value=float(point.value)) for number, point in enumerate(ordered, 1)]
    return [MetricPoint(step=int(point.step), value=float(point.value)) for point in ordered]


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


def _translate(fault: Any, job: str) -> TransientServiceError | ServiceRefusedError:
    status = fault.get_http_status_code()
    message = f"reading the metrics of job {job}: {fault.message}"
    if status in {400, 401, 403, 404}:
        return ServiceRefusedError(message, code=str(fault.error_code), status=status)
    return TransientServiceError(message, code=str(fault.error_code), status=status)
