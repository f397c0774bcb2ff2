"""The PUT of a deployment, as azure-ai-ml 1.35.2 sends it for `ManagedOnlineDeployment`."""

from __future__ import annotations

from typing import Any

from shared.domain.serving.deployment import LIVENESS, READINESS, REQUEST_SECONDS, Deployment, Probe


def deployment_body(
    deployment: Deployment,
    *,
    location: str,
    environment_id: str | None,
    model_id: str,
    instance_type: str,
    instance_count: int,
) -> dict[str, Any]:
    """The PUT of a model's deployment; without an environment Azure ML chooses the image by the model."""
    environment = {"environmentId": environment_id} if environment_id else {}
    return {
        "location": location,
        "tags": {},
        "sku": {"name": "Default", "capacity": instance_count},
        "properties": {
            "endpointComputeType": "Managed",
            "model": model_id,
            **environment,
            "instanceType": instance_type,
            "environmentVariables": dict(deployment.variables),
            "properties": {},
            "appInsightsEnabled": False,
            "requestSettings": {
                "maxConcurrentRequestsPerInstance": deployment.concurrency,
                "requestTimeout": duration(REQUEST_SECONDS),
            },
            "livenessProbe": _probe(LIVENESS),
            "readinessProbe": _probe(READINESS),
        },
    }


def duration(seconds: int) -> str:
    """Whole seconds above 0 in ISO 8601."""
    minutes, rest = divmod(seconds, 60)
    return "PT" + (f"{minutes}M" if minutes else "") + (f"{rest}S" if rest else "")


def _probe(probe: Probe) -> dict[str, Any]:
    return {
        "initialDelay": duration(probe.initial_delay),
        "period": duration(probe.period),
        "timeout": duration(probe.timeout),
        "failureThreshold": probe.failures,
    }
