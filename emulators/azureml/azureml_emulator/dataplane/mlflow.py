"""MLflow's tracking API, as far as reading a fine-tuning job's runs and metrics goes.

Azure ML serves it under the workspace's path. A pipeline is a run whose children carry
``mlflow.parentRunId`` and ``mlflow.rootRunId``; metrics are on the child that computed them and, as the
trainer of azureml-acft-contrib-hf-nlp 0.0.91 logs them to both, on the root.
"""

from __future__ import annotations

import math
import re
from datetime import datetime
from typing import Any

from azureml_emulator.core.errors import ServiceError
from azureml_emulator.core.http import Request, Response, json_response
from azureml_emulator.core.request_bodies import ExperimentSearchBody, RunSearchBody
from azureml_emulator.core.resources import Job, Metric
from azureml_emulator.core.routing import WORKSPACE, Evidence, Plane, Route
from azureml_emulator.core.state import EmulatorState
from azureml_emulator.dataplane.history import child_document, children, find_run, job_document
from azureml_emulator.training.job_progress import find_job

_STATUS = {"Completed": "FINISHED", "Failed": "FAILED", "Canceled": "KILLED"}
_SCHEDULED = ("NotStarted", "Queued", "Preparing", "Starting", "Provisioning")
_CLAUSE = re.compile(
    r"""\s*(?:(?P<kind>tags|tag|attributes|attribute|attr|params|param|metrics|metric|run)\.)?[`"]?(?P<key>[\w.]+)[`"]?\s*"""
    r"""(?P<sign>!=|>=|<=|=|>|<|LIKE|ILIKE|NOT\s+IN|IN)\s*(?P<value>\([^)]*\)|['"]?[^'"]*['"]?)\s*""",
    re.IGNORECASE,
)


_ORDER = re.compile(
    r"""\s*(?:(?P<kind>\w+)\.)?[`"]?(?P<key>[\w.]+)[`"]?(?:\s+(?P<way>ASC|DESC))?\s*""", re.IGNORECASE
)
_SPELLED = {math.inf: "Infinity", -math.inf: "-Infinity"}
_RUN = ("run_id", "run_uuid")
_PAGING = ("max_results", "page_token")


def _error(code: str, message: str, status: int) -> ServiceError:
    return ServiceError(json_response({"error_code": code, "message": message}, status))


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def visible_metrics(state: EmulatorState, job: Job, index: int | None) -> list[tuple[Metric, int]]:
    """Metrics that a run has logged by now, with their times in epoch milliseconds, in their order."""
    nodes, now = job.nodes if index is None else [job.nodes[index]], state.clock.now()
    shown = []
    for node in nodes:  # the trainer logs each metric to its own run and to the root
        for metric in job.metrics.get(node.run_id, []):
            at = node.starts + metric.share * (node.ends - node.starts)
            if at <= now:
                shown.append((metric, _milliseconds(at)))
    return shown


def _render_metric(metric: Metric, timestamp: int) -> dict[str, Any]:
    # Protocol buffers' JSON has no other way to spell it than `NaN`, `Infinity`, as text.
    value = metric.value if math.isfinite(metric.value) else _SPELLED.get(metric.value, "NaN")
    return {"key": metric.key, "value": value, "timestamp": timestamp, "step": metric.step}


def run_document(state: EmulatorState, job: Job, index: int | None) -> dict[str, Any]:
    """A run as MLflow knows it: its latest metrics, its parameters and tags."""
    history = job_document(state, job) if index is None else child_document(state, job, index)
    job_status = history["status"]
    status = _STATUS.get(job_status, "SCHEDULED" if job_status in _SCHEDULED else "RUNNING")
    run_id = history["runId"]
    info: dict[str, Any] = {
        "run_id": run_id,
        "run_uuid": run_id,
        "run_name": history["displayName"],
        "experiment_id": job.experiment_id,
        "user_id": "local",
        "status": status,
        "start_time": _milliseconds(job.submitted if index is None else job.nodes[index].starts),
        "artifact_uri": f"azureml://{state.base.removeprefix('https://')}/artifacts/{run_id}",
        "lifecycle_stage": "active",
    }
    if history["endTimeUtc"]:
        info["end_time"] = _milliseconds(datetime.fromisoformat(_trim(history["endTimeUtc"])))
    latest = {metric.key: _render_metric(metric, at) for metric, at in visible_metrics(state, job, index)}
    tags = {
        **{key: str(value) for key, value in history["tags"].items()},
        "mlflow.rootRunId": job.name,
        "mlflow.runName": history["displayName"],
        "mlflow.user": "local",
    }
    if index is not None:
        tags["mlflow.parentRunId"] = job.name
    parameters = job.parameters.get(run_id, {})
    return {
        "info": info,
        "data": {
            "metrics": list(latest.values()),
            "params": [{"key": key, "value": value} for key, value in parameters.items()],
            "tags": [{"key": key, "value": value} for key, value in tags.items()],
        },
        "inputs": {},
    }


def _trim(moment: str) -> str:
    """From the service's seven decimals to the six that Python reads."""
    return re.sub(r"(\.\d{6})\d", r"\1", moment)


def _get_run(state: EmulatorState, request: Request) -> Response:
    run_id = request.query.get("run_id") or request.query.get("run_uuid") or ""
    try:
        job, index = find_run(state, run_id)
    except ServiceError:
        raise _error("RESOURCE_DOES_NOT_EXIST", f"Run with id {run_id} was not found.", 404) from None
    return json_response({"run": run_document(state, job, index)})


def _get_history(state: EmulatorState, request: Request) -> Response:
    job, index = find_run(state, request.query.get("run_id") or request.query.get("run_uuid") or "")
    key = request.query.get("metric_key")
    found = [
        _render_metric(metric, at) for metric, at in visible_metrics(state, job, index) if metric.key == key
    ]
    return json_response(_page(found, request.query, "metrics"))


def _search_runs(state: EmulatorState, request: Request) -> Response:
    """Newest first, of the experiments that are named, filtered as MLflow does."""
    given = state.body(request)
    if given.get("run_view_type") == "DELETED_ONLY":
        return json_response({"runs": []})  # no call deletes a run here
    experiments = given.get("experiment_ids") or []
    clauses = _clauses(given.get("filter") or "")
    found = []
    for job in reversed(state.jobs.values()):
        if experiments and job.experiment_id not in experiments:
            continue
        find_job(state, job.name)
        runs = [None, *(index for index, _, _ in children(state, job))]
        for index in runs:
            document = run_document(state, job, index)
            if all(_holds(document, clause) for clause in clauses):
                found.append(document)
    return json_response(_page(_ordered(found, given), given, "runs"))


def _page(documents: list[dict[str, Any]], given: dict[str, Any], name: str) -> dict[str, Any]:
    """So many documents as were asked for, and where the next ones begin."""
    start, most = (_count(given, *one) for one in (("page_token", 0), ("max_results", 1000)))
    page: dict[str, Any] = {name: documents[start : start + most]}
    if start + most < len(documents):
        page["next_page_token"] = str(start + most)
    return page


def _count(given: dict[str, Any], name: str, default: int) -> int:
    text = str(given.get(name) or default)
    if not text.isdigit():
        raise _error("INVALID_PARAMETER_VALUE", f"{name} is '{text}'; it must be a whole number.", 400)
    return int(text)


def _ordered(documents: list[dict[str, Any]], given: dict[str, Any]) -> list[dict[str, Any]]:
    """By ``order_by``, the first one first; documents without the value come last."""
    for order in reversed(given.get("order_by") or []):
        found = _ORDER.fullmatch(order)
        if found is None:
            raise _error("INVALID_PARAMETER_VALUE", f"Invalid order_by clause: '{order}'.", 400)
        kind, key, down = (found["kind"] or "").lower(), found["key"], (found["way"] or "").upper() == "DESC"
        known = [one for one in documents if _value(one, kind, key) is not None]
        rest = [one for one in documents if _value(one, kind, key) is None]
        known.sort(key=lambda one: _value(one, kind, key), reverse=down)
        documents = known + rest
    return documents


def _clauses(text: str) -> list[dict[str, str]]:
    if not text.strip():
        return []
    clauses = []
    for part in re.split(r"\s+and\s+", text.strip(), flags=re.IGNORECASE):
        found = _CLAUSE.fullmatch(part)
        if not found:
            raise _error("INVALID_PARAMETER_VALUE", f"Invalid clause in filter string: '{part}'.", 400)
        clauses.append({key: value or "" for key, value in found.groupdict().items()})
    return clauses


def _value(document: dict[str, Any], kind: str, key: str) -> Any:
    """An attribute, metric, parameter or tag of a run; None if it has none of that name."""
    kind = kind.rstrip("s")
    if kind in ("", "attribute", "attr", "run"):
        return document["info"].get(key)
    entries = document["data"]["metrics" if kind == "metric" else "params" if kind == "param" else "tags"]
    return next((entry["value"] for entry in entries if entry["key"] == key), None)


def _holds(document: dict[str, Any], clause: dict[str, str]) -> bool:
    kind, sign = clause["kind"].lower().rstrip("s"), " ".join(clause["sign"].upper().split())
    actual = _value(document, kind, clause["key"])
    if sign in ("IN", "NOT IN"):
        wanted = [one.strip(" '\"") for one in clause["value"].strip("() ").split(",")]
        return (str(actual) in wanted) == (sign == "IN")
    if actual is None:
        return sign == "!="
    value = clause["value"].strip(" '\"")
    if sign in ("LIKE", "ILIKE"):
        pattern = re.escape(value).replace("%", ".*").replace("_", ".")
        return re.fullmatch(pattern, str(actual), re.IGNORECASE if sign == "ILIKE" else 0) is not None
    if sign in ("=", "!=") and kind != "metric":
        return (str(actual) == value) == (sign == "=")
    try:
        left, right = float(actual), float(value)
    except ValueError:
        message = f"Invalid comparison: '{clause['key']} {sign} {value}' is not one of numbers."
        raise _error("INVALID_PARAMETER_VALUE", message, 400) from None
    if sign in ("=", "!="):
        return (left == right) == (sign == "=")
    return {">": left > right, "<": left < right, ">=": left >= right, "<=": left <= right}[sign]


def _experiments(state: EmulatorState) -> dict[str, str]:
    """Names by id."""
    named = {
        job.experiment_id: job.properties.get("experimentName") or "Default" for job in state.jobs.values()
    }
    return {state.settings.experiment_id("Default"): "Default", **named}


def _experiment(identifier: str, name: str) -> dict[str, Any]:
    return {
        "experiment_id": identifier,
        "name": name,
        "artifact_location": "",
        "lifecycle_stage": "active",
        "tags": [],
    }


def _experiment_by_name(state: EmulatorState, request: Request) -> Response:
    name = request.query.get("experiment_name", "")
    for identifier, known in _experiments(state).items():
        if known == name:
            return json_response({"experiment": _experiment(identifier, known)})
    raise _error("RESOURCE_DOES_NOT_EXIST", f"Could not find experiment with name {name}.", 404)


def _experiment_by_id(state: EmulatorState, request: Request) -> Response:
    identifier = request.query.get("experiment_id", "")
    name = _experiments(state).get(identifier)
    if name is None:
        raise _error("RESOURCE_DOES_NOT_EXIST", f"Could not find experiment with ID {identifier}.", 404)
    return json_response({"experiment": _experiment(identifier, name)})


def _search_experiments(state: EmulatorState, request: Request) -> Response:
    given = state.body(request)
    if given.get("view_type") == "DELETED_ONLY":
        return json_response({"experiments": []})
    clauses = _clauses(given.get("filter") or "")
    documents = [_experiment(identifier, name) for identifier, name in _experiments(state).items()]
    wrapped = [{"info": one, "data": {}} for one in documents]
    kept = [one for one in wrapped if all(_holds(one, clause) for clause in clauses)]
    page = _page([one["info"] for one in _ordered(kept, given)], given, "experiments")
    return json_response(page)


def _routes() -> tuple[Route, ...]:
    calls = (
        ("get_run", "runs/get", _get_run, _RUN),
        ("search_runs", "runs/search", _search_runs, RunSearchBody),
        ("get_history", "metrics/get-history", _get_history, (*_RUN, "metric_key", *_PAGING)),
        ("experiment_by_name", "experiments/get-by-name", _experiment_by_name, ("experiment_name",)),
        ("experiment_by_id", "experiments/get", _experiment_by_id, ("experiment_id",)),
        ("search_experiments", "experiments/search", _search_experiments, ExperimentSearchBody),
    )
    return tuple(
        Route(
            f"mlflow.{name}",
            "GET" if isinstance(reads, tuple) else "POST",
            f"/mlflow/{{version}}{WORKSPACE}/api/2.0/mlflow/{path}",
            handler,
            Plane.DATA,
            Evidence.SDK_VERIFIED if name in ("get_run", "get_history") else Evidence.CHOSEN,
            query=reads if isinstance(reads, tuple) else (),
            body=None if isinstance(reads, tuple) else reads,
        )
        for name, path, handler, reads in calls
    )


ROUTES = _routes()
