"""MLflow's tracking API, as far as reading a fine-tuning job's runs and metrics goes.

Azure ML serves it under the workspace's path. A pipeline is a run whose children carry
``mlflow.parentRunId`` and ``mlflow.rootRunId``; metrics are on the child that computed them.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

from local.azureml.errors import ServiceError
from local.azureml.history import child_document, children, find_run, job_document
from local.azureml.job_document import experiment_id
from local.azureml.jobs import find
from local.azureml.request_bodies import RunSearchBody
from local.azureml.resources import Job, Metric
from local.azureml.wire import WORKSPACE, Answer, Call, Evidence, Plane, Route, json_answer

if TYPE_CHECKING:
    from local.azureml.cloud import Cloud

_STATUS = {"Completed": "FINISHED", "Failed": "FAILED", "Canceled": "KILLED"}
_SCHEDULED = ("NotStarted", "Queued", "Preparing", "Starting", "Provisioning")
_CLAUSE = re.compile(
    r"""\s*(?P<kind>tags|tag|attributes|attribute|attr|params|metrics|run)?\.?[`"]?(?P<key>[\w.]+)[`"]?\s*"""
    r"""(?P<sign>!=|>=|<=|=|>|<|LIKE|ILIKE)\s*['"]?(?P<value>[^'"]*)['"]?\s*""",
    re.IGNORECASE,
)


def _error(code: str, message: str, status: int) -> ServiceError:
    return ServiceError(json_answer({"error_code": code, "message": message}, status))


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def visible_metrics(cloud: Cloud, job: Job, index: int | None) -> list[tuple[Metric, int]]:
    """Metrics that a run has logged by now, with their times in epoch milliseconds, in their order."""
    if index is None:
        return []
    node, now = job.nodes[index], cloud.clock.now()
    shown = []
    for metric in job.metrics.get(node.run_id, []):
        at = node.starts + metric.share * (node.ends - node.starts)
        if at <= now:
            shown.append((metric, _milliseconds(at)))
    return shown


def _render_metric(metric: Metric, timestamp: int) -> dict[str, Any]:
    return {"key": metric.key, "value": metric.value, "timestamp": timestamp, "step": metric.step}


def run_document(cloud: Cloud, job: Job, index: int | None) -> dict[str, Any]:
    """A run as MLflow knows it: its latest metrics, its parameters and tags."""
    history = job_document(cloud, job) if index is None else child_document(cloud, job, index)
    state = history["status"]
    status = _STATUS.get(state, "SCHEDULED" if state in _SCHEDULED else "RUNNING")
    run_id = history["runId"]
    info: dict[str, Any] = {
        "run_id": run_id,
        "run_uuid": run_id,
        "run_name": history["displayName"],
        "experiment_id": job.experiment_id,
        "user_id": "local",
        "status": status,
        "start_time": _milliseconds(job.submitted if index is None else job.nodes[index].starts),
        "artifact_uri": f"azureml://{cloud.base.removeprefix('https://')}/artifacts/{run_id}",
        "lifecycle_stage": "active",
    }
    if history["endTimeUtc"]:
        info["end_time"] = _milliseconds(datetime.fromisoformat(_trim(history["endTimeUtc"])))
    latest = {metric.key: _render_metric(metric, at) for metric, at in visible_metrics(cloud, job, index)}
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


def _get_run(cloud: Cloud, call: Call) -> Answer:
    run_id = call.query.get("run_id") or call.query.get("run_uuid") or ""
    try:
        job, index = find_run(cloud, run_id)
    except ServiceError:
        raise _error("RESOURCE_DOES_NOT_EXIST", f"Run with id {run_id} was not found.", 404) from None
    return json_answer({"run": run_document(cloud, job, index)})


def _get_history(cloud: Cloud, call: Call) -> Answer:
    job, index = find_run(cloud, call.query.get("run_id") or call.query.get("run_uuid") or "")
    key = call.query.get("metric_key")
    found = [
        _render_metric(metric, at) for metric, at in visible_metrics(cloud, job, index) if metric.key == key
    ]
    return json_answer({"metrics": found})


def _search_runs(cloud: Cloud, call: Call) -> Answer:
    """Newest first, of the experiments that are named, filtered as MLflow does."""
    given = cloud.body(call, RunSearchBody)
    experiments = given.get("experiment_ids") or []
    clauses = _clauses(given.get("filter") or "")
    found = []
    for job in reversed(cloud.jobs.values()):
        if experiments and job.experiment_id not in experiments:
            continue
        find(cloud, job.name)
        runs = [None, *(index for index, _, _ in children(cloud, job))]
        for index in runs:
            document = run_document(cloud, job, index)
            if all(_holds(document, clause) for clause in clauses):
                found.append(document)
    most = int(given.get("max_results") or 1000)
    start = int(given.get("page_token") or 0)
    answer: dict[str, Any] = {"runs": found[start : start + most]}
    if start + most < len(found):
        answer["next_page_token"] = str(start + most)
    return json_answer(answer)


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


def _holds(document: dict[str, Any], clause: dict[str, str]) -> bool:
    kind = clause["kind"].lower().rstrip("s")
    if kind in ("", "attribute", "attr", "run"):
        actual: Any = document["info"].get(clause["key"])
    else:
        entries = document["data"]["metrics" if kind == "metric" else "params" if kind == "param" else "tags"]
        actual = next((entry["value"] for entry in entries if entry["key"] == clause["key"]), None)
    if actual is None:
        return clause["sign"] == "!="
    sign, wanted = clause["sign"].upper(), clause["value"]
    if sign in ("LIKE", "ILIKE"):
        pattern = re.escape(wanted).replace("%", ".*").replace("_", ".")
        return re.fullmatch(pattern, str(actual), re.IGNORECASE if sign == "ILIKE" else 0) is not None
    if sign in ("=", "!="):
        same = float(actual) == float(wanted) if kind == "metric" else str(actual) == wanted
        return same == (sign == "=")
    left, right = float(actual), float(wanted)
    return {">": left > right, "<": left < right, ">=": left >= right, "<=": left <= right}[sign]


def _experiments(cloud: Cloud) -> dict[str, str]:
    """Names by id."""
    named = {
        job.experiment_id: job.properties.get("experimentName") or "Default" for job in cloud.jobs.values()
    }
    return {experiment_id(cloud, "Default"): "Default", **named}


def _experiment(identifier: str, name: str) -> dict[str, Any]:
    return {
        "experiment_id": identifier,
        "name": name,
        "artifact_location": "",
        "lifecycle_stage": "active",
        "tags": [],
    }


def _experiment_by_name(cloud: Cloud, call: Call) -> Answer:
    name = call.query.get("experiment_name", "")
    for identifier, known in _experiments(cloud).items():
        if known == name:
            return json_answer({"experiment": _experiment(identifier, known)})
    raise _error("RESOURCE_DOES_NOT_EXIST", f"Could not find experiment with name {name}.", 404)


def _experiment_by_id(cloud: Cloud, call: Call) -> Answer:
    identifier = call.query.get("experiment_id", "")
    name = _experiments(cloud).get(identifier)
    if name is None:
        raise _error("RESOURCE_DOES_NOT_EXIST", f"Could not find experiment with ID {identifier}.", 404)
    return json_answer({"experiment": _experiment(identifier, name)})


def _search_experiments(cloud: Cloud, call: Call) -> Answer:
    given = cloud.body(call, RunSearchBody)
    clauses = _clauses(given.get("filter") or "")
    documents = [_experiment(identifier, name) for identifier, name in _experiments(cloud).items()]
    kept = [one for one in documents if all(_holds({"info": one, "data": {}}, clause) for clause in clauses)]
    return json_answer({"experiments": kept})


def _routes() -> tuple[Route, ...]:
    calls = (
        ("get_run", "GET", "runs/get", _get_run),
        ("search_runs", "POST", "runs/search", _search_runs),
        ("get_history", "GET", "metrics/get-history", _get_history),
        ("experiment_by_name", "GET", "experiments/get-by-name", _experiment_by_name),
        ("experiment_by_id", "GET", "experiments/get", _experiment_by_id),
        ("search_experiments", "POST", "experiments/search", _search_experiments),
    )
    return tuple(
        Route(
            f"mlflow.{name}",
            method,
            f"/mlflow/{{version}}{WORKSPACE}/api/2.0/mlflow/{path}",
            handler,
            Plane.DATA,
            Evidence.DRIVEN if name in ("get_run", "get_history") else Evidence.CHOSEN,
        )
        for name, method, path, handler in calls
    )


ROUTES = _routes()
