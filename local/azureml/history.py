"""Run history: what a job's runs did, with their errors, logs and outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from local.azureml.clock import wire_time
from local.azureml.datastores import BLOB_STORE
from local.azureml.job_progress import ended_at, node_status, status_of
from local.azureml.jobs import find
from local.azureml.resources import Job, Node
from local.azureml.wire import WORKSPACE, Answer, Call, Evidence, Plane, Route, json_answer

if TYPE_CHECKING:
    from local.azureml.cloud import Cloud

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


def find_run(cloud: Cloud, run_id: str) -> tuple[Job, int | None]:
    """The job of a run, brought up to date, and the position of the node when it is a child.

    Raises:
        ServiceError: 404.
    """
    for job in cloud.jobs.values():
        for index, node in enumerate(job.nodes):
            if node.run_id == run_id:
                find(cloud, job.name)
                return job, index
    return find(cloud, run_id), None


def children(cloud: Cloud, job: Job) -> list[tuple[int, Node, str]]:
    """The child runs there are by now: position, node and status. A command job has none."""
    if job.properties.get("jobType") == "Command":
        return []
    states = ((index, node, node_status(cloud, job, index)) for index, node in enumerate(job.nodes))
    return [(index, node, state) for index, node, state in states if state is not None]


def job_error(cloud: Cloud, job: Job) -> dict[str, Any] | None:
    """The error of the whole job: that of the node that failed."""
    if status_of(cloud, job) != "Failed":
        return None
    for node in job.nodes:
        if node.error is not None:
            return run_error(*node.error)
    return None


def _span(seconds: float) -> str:
    hours, rest = divmod(max(0.0, seconds), 3600)
    minutes, seconds = divmod(rest, 60)
    return f"{int(hours):02}:{int(minutes):02}:{seconds:010.7f}"


def child_document(cloud: Cloud, job: Job, index: int) -> dict[str, Any]:
    """A child run as the history shows it."""
    node, state = job.nodes[index], node_status(cloud, job, index) or "NotStarted"
    now = cloud.clock.now()
    started, over = node.starts <= now, state in ("Completed", "Failed", "Canceled")
    ends = (job.cancel_done or node.ends) if state == "Canceled" else node.ends
    lasted = _span(((ends if over else now) - node.starts).total_seconds()) if started else None
    error = run_error(*node.error) if state == "Failed" and node.error else None
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
        "status": state,
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


def job_document(cloud: Cloud, job: Job) -> dict[str, Any]:
    """The job's own run as the history shows it."""
    ended = ended_at(cloud, job)
    given = job.properties
    return {
        "runNumber": int(job.submitted.timestamp()),
        "rootRunId": job.name,
        "createdUtc": wire_time(job.submitted),
        "error": job_error(cloud, job),
        "warnings": None,
        "runId": job.name,
        "parentRunId": None,
        "experimentId": job.experiment_id,
        "status": status_of(cloud, job),
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


def _run_document(cloud: Cloud, run_id: str) -> dict[str, Any]:
    job, index = find_run(cloud, run_id)
    return job_document(cloud, job) if index is None else child_document(cloud, job, index)


def _run(cloud: Cloud, call: Call) -> Answer:
    return json_answer(_run_document(cloud, call["run"]))


def _children(cloud: Cloud, call: Call) -> Answer:
    job = find(cloud, call["run"])
    return json_answer({"value": [child_document(cloud, job, index) for index, _, _ in children(cloud, job)]})


def _details(cloud: Cloud, call: Call) -> Answer:
    document = _run_document(cloud, call["run"])
    log = f"{call.base}/_logs/{call['run']}/{LOG.rpartition('/')[2]}"
    return json_answer(
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


def _rundata(cloud: Cloud, call: Call) -> Answer:
    """Outputs are typed as folders: with a model's type, azure-ai-ml 1.35.2 fails before it downloads."""
    name = str(call.document().get("runId", ""))
    job, index = find_run(cloud, name)
    document = _run_document(cloud, name)
    if index is None and status_of(cloud, job) == "Completed":
        document["outputs"] = {
            output: {"assetId": _output_id(cloud, job.name, output), "type": "uri_folder"}
            for output in job.properties.get("outputs") or {}
        }
    return json_answer({"runMetadata": document, "runDefinition": None, "jobSpecification": None})


def _output_id(cloud: Cloud, job: str, output: str) -> str:
    settings = cloud.settings
    return (
        f"azureml://locations/{settings.location}/workspaces/{settings.workspace_id}"
        f"/data/azureml_{job}_output_data_{output}/versions/1"
    )


def _resolve(cloud: Cloud, call: Call) -> Answer:
    """Addresses of job outputs by asset id."""
    settings, values = cloud.settings, {}
    for job in cloud.jobs.values():
        for output in job.properties.get("outputs") or {}:
            identifier = _output_id(cloud, job.name, output)
            if identifier in (call.document().get("values") or []):
                uri = (
                    f"azureml://subscriptions/{settings.subscription}/resourcegroups/{settings.resource_group}"
                    f"/workspaces/{settings.workspace}/datastores/{BLOB_STORE}/paths/azureml/{job.name}/{output}/"
                )
                values[identifier] = {"uri": uri, "type": "uri_folder"}
    return json_answer({"values": values})


def _patch(cloud: Cloud, call: Call) -> Answer:
    """What may be changed of a run: tags merge and never shrink."""
    job, given = find(cloud, call["run"]), call.document()
    with cloud.lock:
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
        cloud.jobs.put(job.name, job)
    return json_answer(job_document(cloud, job))


_RUN = f"{HISTORY}/runs/{{run}}"
ROUTES = (
    Route("history.run", "GET", _RUN, _run, Plane.DATA, Evidence.DRIVEN),
    Route("history.children", "GET", f"{_RUN}/children", _children, Plane.DATA),
    Route("history.details", "GET", f"{_RUN}/details", _details, Plane.DATA, Evidence.DRIVEN),
    Route("history.rundata", "POST", f"{HISTORY}/rundata", _rundata, Plane.DATA, Evidence.DRIVEN),
    Route(
        "history.patch",
        "PATCH",
        f"{HISTORY}/experiments/{{experiment}}/runs/{{run}}",
        _patch,
        Plane.DATA,
        Evidence.DRIVEN,
    ),
    Route(
        "data.resolve_uris",
        "POST",
        f"/data/v1.0{WORKSPACE}/dataversion/batchGetResolvedUris",
        _resolve,
        Plane.DATA,
        Evidence.DRIVEN,
    ),
)
