"""A job as ARM shows it. It carries no error: that is in the run history."""

from __future__ import annotations

from typing import Any

from azureml_emulator.core.clock import wire_time
from azureml_emulator.core.http import Request
from azureml_emulator.core.resources import Job
from azureml_emulator.core.state import EmulatorState
from azureml_emulator.training.job_progress import status_of


def render(state: EmulatorState, request: Request, job: Job) -> dict[str, Any]:
    """The job as GET shows it now."""
    settings, given = state.settings, job.properties
    moment = wire_time(job.submitted)
    services = {
        name: {
            "jobServiceType": name,
            "port": None,
            "endpoint": endpoint,
            "status": None,
            "errorMessage": None,
            "properties": None,
            "nodes": None,
        }
        for name, endpoint in (
            (
                "Tracking",
                f"azureml://{request.base.removeprefix('https://')}/mlflow/v1.0{settings.workspace_arm_id}?",
            ),
            (
                "Studio",
                f"https://ml.azure.com/runs/{job.name}?wsid={settings.studio_workspace}",
            ),
        )
    }
    properties = {
        "description": None,
        "tags": {},
        "computeId": None,
        "identity": None,
        "componentId": None,
        "notificationSetting": None,
        "secretsConfiguration": None,
        "isArchived": False,
        **given,
        "displayName": given.get("displayName") or job.name,
        "experimentName": given.get("experimentName") or "Default",
        "properties": {**_run_properties(given), **(given.get("properties") or {})},
        "status": status_of(state, job),
        "services": services,
        "inputs": _inputs(given),
        "outputs": _outputs(given),
        "sourceJobId": None,
    }
    if given.get("jobType") == "Command":
        properties.update(parentJobName=None, limits=given.get("limits"), queueSettings={"jobTier": "Null"})
        properties["outputs"] = {
            "default": _output(
                {
                    "jobOutputType": "uri_folder",
                    "uri": f"azureml://datastores/workspaceartifactstore/ExperimentRun/dcid.{job.name}",
                }
            ),
            **(properties["outputs"] or {}),
        }
    return {
        "id": f"{settings.workspace_arm_id}/jobs/{job.name}",
        "name": job.name,
        "type": "Microsoft.MachineLearningServices/workspaces/jobs",
        "properties": properties,
        "systemData": {"createdAt": moment, "createdBy": "local", "createdByType": "User"},
    }


def _run_properties(given: dict[str, Any]) -> dict[str, str]:
    if given.get("jobType") == "Command":
        return {"_azureml.ComputeTargetType": "amlctrain", "_azureml.ClusterName": cluster_of(given)}
    settings = given.get("settings") or {}
    return {
        "azureml.DevPlatv2": "true",
        "azureml.DatasetAccessMode": "Asset",
        "azureml.runsource": "azureml.PipelineRun",
        "runSource": "MFE",
        "runType": "HTTP",
        "azureml.parameters": "{}",
        "azureml.continue_on_step_failure": str(bool(settings.get("continue_on_step_failure", False))),
        "azureml.continue_on_failed_optional_input": str(
            bool(settings.get("continue_on_failed_optional_input", True))
        ),
        "azureml.enforceRerun": str(bool(settings.get("force_rerun", False))),
        "azureml.defaultComputeName": cluster_of(given),
        "azureml.defaultDataStoreName": "workspaceblobstore",
        "azureml.pipelineComponent": "pipelinerun",
    }


def cluster_of(given: dict[str, Any]) -> str:
    """The name of the job's compute; empty if it names none."""
    return str(given.get("computeId") or "").rpartition("/")[2]


def _output(given: dict[str, Any]) -> dict[str, Any]:
    return {
        "description": None,
        "uri": None,
        "assetName": None,
        "assetVersion": None,
        "mode": "ReadWriteMount",
        "pathOnCompute": None,
        "autoDeleteSetting": None,
        **given,
    }


def _inputs(given: dict[str, Any]) -> dict[str, Any] | None:
    """Data carry how they are mounted; literals are as they were sent."""
    return {
        name: port
        if port.get("uri") is None
        else {"description": None, "mode": "ReadOnlyMount", "jobInputType": "uri_folder", **port}
        for name, port in (given.get("inputs") or {}).items()
    } or None


def _outputs(given: dict[str, Any]) -> dict[str, Any] | None:
    return {name: _output(output) for name, output in (given.get("outputs") or {}).items()} or None
