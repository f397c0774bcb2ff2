"""Pipeline and command jobs: submission, status, cancelling. ``job_progress.py`` has what goes on inside."""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from datetime import timedelta
from typing import Any

from azureml_emulator.arm.job_document import cluster_of, render
from azureml_emulator.core import operations
from azureml_emulator.core.catalogue import component_id, offered_component
from azureml_emulator.core.http import Request, Response, json_response
from azureml_emulator.core.lists import PAGING, has_tags, in_view, page
from azureml_emulator.core.references import check_job
from azureml_emulator.core.request_bodies import JobBody
from azureml_emulator.core.resources import Job, LongRunning, Node
from azureml_emulator.core.routing import WORKSPACE, Route
from azureml_emulator.core.state import EmulatorState
from azureml_emulator.core.tokens import ML_AUDIENCE
from azureml_emulator.training.job_inputs import SERVERLESS, check_inputs, given_inputs
from azureml_emulator.training.job_progress import find_job, status_of

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


def _put(state: EmulatorState, request: Request) -> Response:
    """201 for a new job, 200 for the same job again, 400 for a different job under the same name."""
    name, properties = request["job"], state.body(request)["properties"]
    if properties["jobType"] not in ("Pipeline", "Command"):
        raise state.error(400, "properties.jobType must be Pipeline or Command.", code="BadRequest")
    if not _NAME.fullmatch(name):
        raise state.error(
            400,
            f"Job name '{name}' is invalid: up to 255 letters, digits, '_' and '-', first a letter or digit.",
            code="BadRequest",
        )
    with state.lock:
        existing = state.jobs.get(name)
        if existing is not None:
            return _update(state, request, existing, properties)
        if properties["jobType"] == "Pipeline":
            _check_token(state, request)
        check_job(state, properties)
        nodes = _nodes(state, properties)
        experiment = properties.get("experimentName") or "Default"
        job = Job(
            name=name,
            properties=properties,
            digest=_digest(properties),
            submitted=state.clock.now(),
            experiment_id=state.settings.experiment_id(experiment),
            run_number=len(state.jobs) + 1,
            nodes=nodes,
        )
        state.jobs.put(name, job)
    document = render(state, request, job)
    # Recorded: the answer to a submission says how it begins, however fast the rest goes.
    document["properties"]["status"] = "Preparing" if properties["jobType"] == "Pipeline" else "Starting"
    location = {"Location": f"{request.base}{request.path}?api-version={request.query['api-version']}"}
    return json_response(document, 201, location)


def _update(state: EmulatorState, request: Request, job: Job, properties: dict[str, Any]) -> Response:
    if job.digest != _digest(properties):
        raise state.error(400, _EXISTS, inner=("Immutable", "JobPropertyImmutable"))
    for field in ("tags", "properties"):
        job.properties[field] = {**(job.properties.get(field) or {}), **(properties.get(field) or {})}
    for field in ("description", "displayName", "isArchived"):
        if properties.get(field) is not None:
            job.properties[field] = properties[field]
    state.jobs.put(job.name, job)
    return json_response(render(state, request, job))


def _check_token(state: EmulatorState, request: Request) -> None:
    """A pipeline runs on behalf of its submitter, by a token for Azure ML itself."""
    token = request.headers.get("x-azureml-token")
    claims = state.issuer.read(token) if token else None
    if claims is None or str(claims.get("aud", "")).rstrip("/") != ML_AUDIENCE:
        raise state.error(
            401,
            f"The token in x-azureml-token is not one for {ML_AUDIENCE}.",
            inner=("Auth", "Authentication"),
        )


def _nodes(state: EmulatorState, properties: dict[str, Any]) -> list[Node]:
    """The child runs of a new job, one after the other, with their times."""
    steps = (
        _command_steps(state, properties) if properties["jobType"] == "Command" else _steps(state, properties)
    )
    at = state.clock.now() + timedelta(seconds=state.pace.job_queue)
    nodes = []
    for index, (name, component, compute, work) in enumerate(steps):
        ends = at + timedelta(seconds=state.pace.node(index))
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


def _command_steps(state: EmulatorState, properties: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """A command job has one node, which is the job itself; its command is not run."""
    if not properties.get("command"):
        raise state.error(400, "The command field is required.", code="BadRequest")
    return [("", "command", cluster_of(properties) or SERVERLESS, "none")]


def _steps(state: EmulatorState, properties: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    nodes = properties.get("jobs")
    if not isinstance(nodes, dict) or not nodes:
        raise state.error(400, "A pipeline needs at least one node in jobs.", code="BadRequest")
    steps: list[tuple[str, str, str, str]] = []
    for name, node in nodes.items():
        identifier = str(node.get("componentId", ""))
        if identifier.startswith("azureml://registries/"):
            if identifier != component_id(state):
                raise state.error(400, f"Component {identifier} was not found.", code="BadRequest")
            given = given_inputs(properties, node)
            check_inputs(state, given)
            for inner in offered_component(state)["nodes"]:
                compute = given.get(inner["compute"], SERVERLESS).rpartition("/")[2]
                steps.append((inner["name"], inner["component"], compute, f"{name}/{inner['name']}"))
        else:
            compute = str(node.get("computeId") or properties.get("computeId") or SERVERLESS).rpartition("/")[
                2
            ]
            if compute != SERVERLESS and state.computes.get(compute.lower()) is None:
                raise state.error(
                    400, f"Compute '{compute}' was not found in the workspace.", code="BadRequest"
                )
            steps.append((name, identifier.rpartition("/components/")[2], compute, "none"))
    return steps


def _get(state: EmulatorState, request: Request) -> Response:
    """A child run has no job of its own: it answers with ``properties`` null."""
    for parent in state.jobs.values():
        for node in parent.nodes:
            if node.run_id == request["job"]:
                identifier = f"{state.settings.workspace_arm_id}/jobs/{node.run_id}"
                kind = "Microsoft.MachineLearningServices/workspaces/jobs"
                return json_response(
                    {"id": identifier, "name": node.run_id, "type": kind, "properties": None}
                )
    return json_response(render(state, request, find_job(state, request["job"])))


def _list(state: EmulatorState, request: Request) -> Response:
    """Newest first; archived ones only when asked for."""
    kind = request.query.get("jobType")
    found = [
        job
        for job in reversed(state.jobs.values())
        if in_view(state, request, archived=bool(job.properties.get("isArchived")))
        and kind in (None, job.properties["jobType"])
        and has_tags(request, job.properties.get("tags"), "tag")
    ]
    return page(state, request, found, lambda job: render(state, request, find_job(state, job.name)))


def _cancel(state: EmulatorState, request: Request) -> Response:
    """Accepted whether or not there is still something to cancel."""
    job = find_job(state, request["job"])
    with state.lock:
        operation = operations.begin(state, "job.cancel", "jc", job.name, state.pace.cancel)
        if status_of(state, job) not in TERMINAL and job.cancel_asked is None:
            job.cancel_asked = state.clock.now()
            state.jobs.put(job.name, job)
    headers = {
        "Location": operations.result_url(state, request, operation),
        "x-ms-async-operation-timeout": "PT1H",
        **operations.poll_headers(state),
    }
    return json_response(None, 202, headers)


def _canceled(state: EmulatorState, operation: LongRunning) -> None:
    job = state.jobs.get(operation.target)
    if job is not None and job.cancel_asked and job.cancel_done is None and operation.status == "Succeeded":
        job.cancel_done = operation.ends
        state.jobs.put(job.name, job)


COMPLETIONS = {"job.cancel": _canceled}
_ONE = f"{WORKSPACE}/jobs/{{job}}"
ROUTES = (
    Route("jobs.put", "PUT", _ONE, _put, headers=("x-azureml-token",), body=JobBody),
    Route("jobs.get", "GET", _ONE, _get),
    Route(
        "jobs.list",
        "GET",
        f"{WORKSPACE}/jobs",
        _list,
        query=("listViewType", "jobType", "tag", *PAGING),
    ),
    Route("jobs.cancel", "POST", f"{_ONE}/cancel", _cancel),
)
