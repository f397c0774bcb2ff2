"""Pipeline and command jobs: submission, status, cancelling. ``job_progress.py`` has what goes on inside."""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from local.azureml import identity, operations
from local.azureml.job_document import cluster_of, experiment_id, render
from local.azureml.job_inputs import SERVERLESS, check_inputs, given_inputs
from local.azureml.job_progress import advance, status_of
from local.azureml.registry import component_id, pipeline_component
from local.azureml.request_bodies import JobBody
from local.azureml.resources import Job, LongRunning, Node
from local.azureml.wire import WORKSPACE, Answer, Call, Evidence, Route, json_answer

if TYPE_CHECKING:
    from local.azureml.cloud import Cloud

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_-]{0,254}")
_IMMUTABLE = (
    "jobs",
    "inputs",
    "outputs",
    "settings",
    "command",
    "computeId",
    "environmentId",
    "codeId",
    "jobType",
)
_EXISTS = (
    "A job with this name already exists. If you are trying to create a new job, use a different name. If "
    "you are trying to update an existing job, the existing job's Settings,  Inputs,  Outputs,  Jobs,  "
    "InputBindings,  OutputBindings cannot be changed. Only description, tags, displayName, properties, and "
    "isArchived can be updated."
)
TERMINAL = frozenset({"Completed", "Failed", "Canceled"})


def _digest(properties: dict[str, Any]) -> str:
    """Of what may not change once a job has its name."""
    fixed = {name: properties.get(name) for name in _IMMUTABLE}
    return hashlib.sha256(json.dumps(fixed, sort_keys=True).encode()).hexdigest()


def _put(cloud: Cloud, call: Call) -> Answer:
    """201 for a new job; 200 for the same once more; 400 for another under its name. Not an operation."""
    name, properties = call["job"], cloud.body(call, JobBody)["properties"]
    if properties["jobType"] not in ("Pipeline", "Command"):
        raise cloud.error(400, "properties.jobType must be Pipeline or Command.", code="BadRequest")
    if not _NAME.fullmatch(name):
        raise cloud.error(
            400,
            f"Job name '{name}' is invalid: up to 255 letters, digits, '_' and '-', first a letter or digit.",
            code="BadRequest",
        )
    with cloud.lock:
        existing = cloud.jobs.get(name)
        if existing is not None:
            return _update(cloud, call, existing, properties)
        if properties["jobType"] == "Pipeline":
            _check_token(cloud, call)
        nodes = _nodes(cloud, properties)
        experiment = properties.get("experimentName") or "Default"
        job = Job(
            name=name,
            properties=properties,
            digest=_digest(properties),
            submitted=cloud.clock.now(),
            experiment_id=experiment_id(cloud, experiment),
            run_number=len(cloud.jobs) + 1,
            nodes=nodes,
        )
        cloud.jobs.put(name, job)
    document = render(cloud, call, job)
    # Recorded: the answer to a submission says how it begins, however fast the rest goes.
    document["properties"]["status"] = "Preparing" if properties["jobType"] == "Pipeline" else "Starting"
    location = {"Location": f"{call.base}{call.path}?api-version={call.query['api-version']}"}
    return json_answer(document, 201, location)


def _update(cloud: Cloud, call: Call, job: Job, properties: dict[str, Any]) -> Answer:
    if job.digest != _digest(properties):
        raise cloud.error(400, _EXISTS, inner=("Immutable", "JobPropertyImmutable"))
    for field in ("tags", "properties"):
        job.properties[field] = {**(job.properties.get(field) or {}), **(properties.get(field) or {})}
    for field in ("description", "displayName", "isArchived"):
        if properties.get(field) is not None:
            job.properties[field] = properties[field]
    cloud.jobs.put(job.name, job)
    return json_answer(render(cloud, call, job))


def _check_token(cloud: Cloud, call: Call) -> None:
    """A pipeline runs on behalf of its submitter, by a token for Azure ML itself."""
    token = call.headers.get("x-azureml-token")
    claims = cloud.issuer.read(token) if token else None
    if claims is None or str(claims.get("aud", "")).rstrip("/") != identity.ML_AUDIENCE:
        raise cloud.error(
            401,
            f"The token in x-azureml-token is not one for {identity.ML_AUDIENCE}.",
            inner=("Auth", "Authentication"),
        )


def _nodes(cloud: Cloud, properties: dict[str, Any]) -> list[Node]:
    """The child runs of a new job, one after the other, with their times."""
    steps = (
        _command_steps(cloud, properties) if properties["jobType"] == "Command" else _steps(cloud, properties)
    )
    at = cloud.clock.now() + timedelta(seconds=cloud.pace.job_queue)
    nodes = []
    for index, (name, component, compute, work) in enumerate(steps):
        ends = at + timedelta(seconds=cloud.pace.node(index))
        nodes.append(
            Node(
                run_id=str(uuid.uuid4()),
                name=name,
                component=component,
                compute=compute,
                work=work,
                starts=at,
                ends=ends,
            )
        )
        at = ends
    return nodes


def _command_steps(cloud: Cloud, properties: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """A command job has one node, which is the job itself; its command is not run."""
    if not properties.get("command"):
        raise cloud.error(400, "The command field is required.", code="BadRequest")
    return [("", "command", cluster_of(properties) or SERVERLESS, "none")]


def _steps(cloud: Cloud, properties: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    nodes = properties.get("jobs")
    if not isinstance(nodes, dict) or not nodes:
        raise cloud.error(400, "A pipeline needs at least one node in jobs.", code="BadRequest")
    steps: list[tuple[str, str, str, str]] = []
    for name, node in nodes.items():
        identifier = str(node.get("componentId", ""))
        if identifier.startswith("azureml://registries/"):
            if identifier != component_id():
                raise cloud.error(400, f"Component {identifier} was not found.", code="BadRequest")
            given = given_inputs(properties, node)
            check_inputs(cloud, given)
            for inner in pipeline_component()["nodes"]:
                compute = given.get(inner["compute"], SERVERLESS).rpartition("/")[2]
                steps.append((inner["name"], inner["component"], compute, f"{name}/{inner['name']}"))
        else:
            compute = str(node.get("computeId") or properties.get("computeId") or SERVERLESS).rpartition("/")[
                2
            ]
            if compute != SERVERLESS and cloud.computes.get(compute.lower()) is None:
                raise cloud.error(
                    400, f"Compute '{compute}' was not found in the workspace.", code="BadRequest"
                )
            steps.append((name, identifier.rpartition("/components/")[2], compute, "none"))
    return steps


def find(cloud: Cloud, name: str) -> Job:
    """A job, brought up to this moment.

    Raises:
        ServiceError: 404.
    """
    job = cloud.jobs.get(name)
    if job is None:
        raise cloud.not_found("RunNotFound", f"Run {name} not found.")
    advance(cloud, job)
    return job


def _get(cloud: Cloud, call: Call) -> Answer:
    """A child run has no job of its own: it answers with ``properties`` null."""
    for parent in cloud.jobs.values():
        for node in parent.nodes:
            if node.run_id == call["job"]:
                identifier = f"{cloud.settings.workspace_arm_id}/jobs/{node.run_id}"
                kind = "Microsoft.MachineLearningServices/workspaces/jobs"
                return json_answer({"id": identifier, "name": node.run_id, "type": kind, "properties": None})
    return json_answer(render(cloud, call, find(cloud, call["job"])))


def _list(cloud: Cloud, call: Call) -> Answer:
    """Newest first; archived ones only when asked for."""
    view = call.query.get("listViewType", "ActiveOnly")
    found = []
    for job in reversed(cloud.jobs.values()):
        archived = bool(job.properties.get("isArchived"))
        if view == "All" or archived == (view == "ArchivedOnly"):
            found.append(render(cloud, call, find(cloud, job.name)))
    return json_answer({"value": found})


def _cancel(cloud: Cloud, call: Call) -> Answer:
    """Accepted whether or not there is still something to cancel."""
    job = find(cloud, call["job"])
    with cloud.lock:
        operation = operations.begin(cloud, "job.cancel", "jc", job.name, cloud.pace.cancel)
        if status_of(cloud, job) not in TERMINAL and job.cancel_asked is None:
            job.cancel_asked = cloud.clock.now()
            cloud.jobs.put(job.name, job)
    headers = {
        "Location": operations.result_url(cloud, call, operation),
        "x-ms-async-operation-timeout": "PT1H",
        **operations.poll_headers(cloud),
    }
    return json_answer(None, 202, headers)


def _canceled(cloud: Cloud, operation: LongRunning) -> None:
    job = cloud.jobs.get(operation.target)
    if job is not None and job.cancel_asked and job.cancel_done is None and operation.status == "Succeeded":
        job.cancel_done = operation.ends
        cloud.jobs.put(job.name, job)


COMPLETIONS = {"job.cancel": _canceled}
_ONE = f"{WORKSPACE}/jobs/{{job}}"
ROUTES = (
    Route("jobs.put", "PUT", _ONE, _put),
    Route("jobs.get", "GET", _ONE, _get),
    Route("jobs.list", "GET", f"{WORKSPACE}/jobs", _list, evidence=Evidence.DRIVEN),
    Route("jobs.cancel", "POST", f"{_ONE}/cancel", _cancel, evidence=Evidence.DRIVEN),
)
