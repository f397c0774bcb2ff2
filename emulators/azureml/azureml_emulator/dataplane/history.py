"""Run history: what a job's runs did, with their errors, logs and outputs."""

from __future__ import annotations

from typing import Any

from azureml_emulator.core.builtin_datastores import BLOB_STORE
from azureml_emulator.core.clock import wire_time
from azureml_emulator.core.http import Request, Response, json_response
from azureml_emulator.core.request_bodies import RunDataBody, RunPatchBody, UrisBody
from azureml_emulator.core.resources import Job, Node
from azureml_emulator.core.routing import WORKSPACE, Plane, Route
from azureml_emulator.core.state import EmulatorState
from azureml_emulator.training.job_progress import ended_at, find_job, node_status, status_of

HISTORY = f"/history/v1.0{WORKSPACE}"
LOG = "logs/azureml/executionlogs.txt"


def run_error(code: str, message: str) -> dict[str, Any]:
    """The error of a run, as recorded."""
    return {
        "error": {
            "code": code,
            "severity": None,
            "message": message,
            "messageFormat": None,
            "messageParameters": {},
            "referenceCode": None,
            "detailsUri": None,
            "target": None,
            "details": [],
            "innerError": None,
            "debugInfo": None,
            "additionalInfo": None,
        },
        "correlation": None,
        "environment": None,
        "location": None,
        "time": "0001-01-01T00:00:00+00:00",
        "componentName": "CommonRuntime",
    }


def find_run(state: EmulatorState, run_id: str) -> tuple[Job, int | None]:
    """The job of a run, brought up to date, and the position of the node when it is a child.

    Raises:
        ServiceError: 404.
    """
    for job in state.jobs.values():
        for index, node in enumerate(job.nodes):
            if node.run_id == run_id:
                find_job(state, job.name)
                return job, index
    return find_job(state, run_id), None


def children(state: EmulatorState, job: Job) -> list[tuple[int, Node, str]]:
    """The child runs there are by now: position, node and status. A command job has none."""
    if job.properties.get("jobType") == "Command":
        return []
    states = ((index, node, node_status(state, job, index)) for index, node in enumerate(job.nodes))
    return [(index, node, status) for index, node, status in states if status is not None]


def job_error(state: EmulatorState, job: Job) -> dict[str, Any] | None:
    """The error of the whole job: that of the node that failed."""
    if status_of(state, job) != "Failed":
        return None
    for node in job.nodes:
        if node.error is not None:
            return run_error(*node.error)
    return None


def _span(seconds: float) -> str:
    hours, rest = divmod(max(0.0, seconds), 3600)
    minutes, seconds = divmod(rest, 60)
    return f"{int(hours):02}:{int(minutes):02}:{seconds:010.7f}"


def child_document(state: EmulatorState, job: Job, index: int) -> dict[str, Any]:
    """A child run as the history shows it."""
    node, status = job.nodes[index], node_status(state, job, index) or "NotStarted"
    now = state.clock.now()
    started, over = node.starts <= now, status in ("Completed", "Failed", "Canceled")
    ends = (job.cancel_done or node.ends) if status == "Canceled" else node.ends
    lasted = _span(((ends if over else now) - node.starts).total_seconds()) if started else None
    error = run_error(*node.error) if status == "Failed" and node.error else None
    serverless = node.compute == "serverless"
    return {
        "runNumber": int(job.submitted.timestamp()) + index + 1,
        "rootRunId": job.name,
        "createdUtc": wire_time(job.submitted),
        "error": error,
        "warnings": [{"source": "AzureMLCompute", "message": "AzureMLCompute job failed"}] if error else None,
        "revision": 15,
        "statusRevision": 6,
        "computeDuration": lasted,
        "duration": lasted,
        "currentAttemptId": 1,
        "runId": node.run_id,
        "parentRunId": job.name,
        "experimentId": job.experiment_id,
        "status": status,
        "startTimeUtc": wire_time(node.starts) if started else None,
        "endTimeUtc": wire_time(ends) if over else None,
        "displayName": node.name,
        "name": node.component,
        "dataContainerId": f"dcid.{node.run_id}",
        "hidden": False,
        "runType": "azureml.StepRun",
        "runTypeV2": {
            "orchestrator": "Execution",
            "traits": ["azureml.StepRun", "scriptRun", "remote"],
            "attribution": "Aether",
            "computeType": "AmlcTrain",
        },
        "properties": {
            "azureml.DevPlatv2": "true",
            "StepType": "PythonScriptStep",
            "ComputeTargetType": "Serverless" if serverless else "AmlCompute",
            "azureml.moduleid": node.run_id,
            "azureml.runsource": "azureml.StepRun",
            "azureml.nodeid": node.run_id[:8],
            "azureml.pipelinerunid": job.name,
            "azureml.rootpipelinerunid": job.name,
            "azureml.pipelineComponent": "masterescloud",
            "_azureml.ClusterName": node.compute,
        },
        "parameters": {},
        "target": node.compute,
        "tags": {"azureml.nodeid": node.run_id[:8], "azureml.pipeline": job.name},
        "settings": {},
        "services": {},
        "computeRequest": {"nodeCount": 1, "gpuCount": 0},
        "compute": {"target": node.compute, "targetType": "amlcompute", "instanceCount": 1, "gpuCount": 0},
        "inputs": None,
        "outputs": None,
    }


def job_document(state: EmulatorState, job: Job) -> dict[str, Any]:
    """The job's own run as the history shows it."""
    ended = ended_at(state, job)
    given = job.properties
    return {
        "runNumber": int(job.submitted.timestamp()),
        "rootRunId": job.name,
        "createdUtc": wire_time(job.submitted),
        "error": job_error(state, job),
        "warnings": None,
        "runId": job.name,
        "parentRunId": None,
        "experimentId": job.experiment_id,
        "status": status_of(state, job),
        "startTimeUtc": wire_time(job.submitted),
        "endTimeUtc": wire_time(ended) if ended else None,
        "displayName": given.get("displayName") or job.name,
        "description": given.get("description"),
        "dataContainerId": f"dcid.{job.name}",
        "hidden": bool(given.get("isArchived")),
        "runType": "azureml.PipelineRun" if given.get("jobType") == "Pipeline" else "azureml.scriptrun",
        "properties": given.get("properties") or {},
        "tags": given.get("tags") or {},
    }


def _run_document(state: EmulatorState, run_id: str) -> dict[str, Any]:
    job, index = find_run(state, run_id)
    return job_document(state, job) if index is None else child_document(state, job, index)


def _run(state: EmulatorState, request: Request) -> Response:
    return json_response(_run_document(state, request["run"]))


def _children(state: EmulatorState, request: Request) -> Response:
    job = find_job(state, request["run"])
    return json_response(
        {"value": [child_document(state, job, index) for index, _, _ in children(state, job)]}
    )


def _details(state: EmulatorState, request: Request) -> Response:
    document = _run_document(state, request["run"])
    log = f"{request.base}/_logs/{request['run']}/{LOG.rpartition('/')[2]}"
    return json_response(
        {
            "runId": document["runId"],
            "target": document.get("target"),
            "status": document["status"],
            "startTimeUtc": document["startTimeUtc"],
            "endTimeUtc": document["endTimeUtc"],
            "properties": document["properties"],
            "logFiles": {LOG: log},
            "warnings": document["warnings"] or [],
            "error": document["error"],
        }
    )


def _rundata(state: EmulatorState, request: Request) -> Response:
    """Outputs are typed as folders: with a model's type, azure-ai-ml 1.35.2 fails before it downloads."""
    name = state.body(request).get("runId", "")
    job, index = find_run(state, name)
    document = _run_document(state, name)
    if index is None and status_of(state, job) == "Completed":
        document["outputs"] = {
            output: {"assetId": _output_id(state, job.name, output), "type": "uri_folder"}
            for output in job.properties.get("outputs") or {}
        }
    return json_response({"runMetadata": document, "runDefinition": None, "jobSpecification": None})


def _output_id(state: EmulatorState, job: str, output: str) -> str:
    settings = state.settings
    return (
        f"azureml://locations/{settings.location}/workspaces/{settings.workspace_id}"
        f"/data/azureml_{job}_output_data_{output}/versions/1"
    )


def _resolve(state: EmulatorState, request: Request) -> Response:
    """Addresses of job outputs by asset id."""
    settings, values, wanted = state.settings, {}, state.body(request).get("values") or []
    for job in state.jobs.values():
        for output in job.properties.get("outputs") or {}:
            identifier = _output_id(state, job.name, output)
            if identifier in wanted:
                uri = (
                    f"azureml://subscriptions/{settings.subscription}/resourcegroups/{settings.resource_group}"
                    f"/workspaces/{settings.workspace}/datastores/{BLOB_STORE}/paths/azureml/{job.name}/{output}/"
                )
                values[identifier] = {"uri": uri, "type": "uri_folder"}
    return json_response({"values": values})


def _patch(state: EmulatorState, request: Request) -> Response:
    """What may be changed of a run: tags merge and never shrink."""
    job, given = find_job(state, request["run"]), state.body(request)
    with state.lock:
        for field in ("tags", "properties"):
            if given.get(field):
                job.properties[field] = {**(job.properties.get(field) or {}), **given[field]}
        for field, ours in (
            ("displayName", "displayName"),
            ("description", "description"),
            ("hidden", "isArchived"),
        ):
            if given.get(field) is not None:
                job.properties[ours] = given[field]
        state.jobs.put(job.name, job)
    return json_response(job_document(state, job))


_RUN = f"{HISTORY}/runs/{{run}}"
ROUTES = (
    Route("history.run", "GET", _RUN, _run, Plane.DATA),
    Route("history.children", "GET", f"{_RUN}/children", _children, Plane.DATA),
    Route("history.details", "GET", f"{_RUN}/details", _details, Plane.DATA),
    Route(
        "history.rundata",
        "POST",
        f"{HISTORY}/rundata",
        _rundata,
        Plane.DATA,
        body=RunDataBody,
    ),
    Route(
        "history.patch",
        "PATCH",
        f"{HISTORY}/experiments/{{experiment}}/runs/{{run}}",
        _patch,
        Plane.DATA,
        body=RunPatchBody,
    ),
    Route(
        "data.resolve_uris",
        "POST",
        f"/data/v1.0{WORKSPACE}/dataversion/batchGetResolvedUris",
        _resolve,
        Plane.DATA,
        body=UrisBody,
    ),
)
