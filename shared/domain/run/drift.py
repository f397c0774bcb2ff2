"""Find what somebody has changed on a live endpoint, and say what the app does about it.

The app restores what a live endpoint cannot answer without: its deployment and its traffic. What may be
somebody's decision (a network that was closed, another size, another model) it only reports.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from shared.domain.run.observation import DeploymentStatus, EndpointStatus, Provisioning
from shared.domain.run.run import Run
from shared.domain.serving.deployment import ALL_TRAFFIC


class Reaction(StrEnum):
    """What the app does about a change."""

    DEPLOY = "deploy"
    # Create the deployment again, as it was.
    ROUTE = "route"
    # Send all traffic to the deployment again.
    WAIT = "wait"
    # An operation is under way: look again soon.
    REPORT = "report"


class Drift(NamedTuple):
    """A difference between a live run's record and its endpoint, and what a person should know of it."""

    attention: str
    reaction: Reaction = Reaction.REPORT


def drift_of(run: Run, endpoint: EndpointStatus) -> Drift | None:
    """Compare a live run's endpoint with its record.

    Returns:
        The first difference found, the gravest first; None if the endpoint is as the app left it.
    """
    name, deployment = run.endpoint_name, endpoint.deployment
    if endpoint.foreign:
        return Drift(
            f"endpoint {name} has lost this run's tags: the app leaves it as it is, and it costs money; "
            "put the tags back, or delete it"
        )
    if endpoint.state is Provisioning.FAILED:
        return Drift(f"endpoint {name} has failed: {endpoint.failure or 'Azure ML gives no reason'}")
    if endpoint.state is Provisioning.DELETING:
        return Drift(f"endpoint {name} is being deleted, not by this app")
    if endpoint.state is Provisioning.PENDING:
        return Drift(f"endpoint {name} is being changed", Reaction.WAIT)
    if deployment is None:
        return Drift(f"the deployment of endpoint {name} was deleted; it is created again", Reaction.DEPLOY)
    return _of_deployment(run, deployment) or _of_traffic(name, endpoint.traffic) or _of_access(run, endpoint)


def _of_deployment(run: Run, deployment: DeploymentStatus) -> Drift | None:
    what = f"the deployment of endpoint {run.endpoint_name}"
    if deployment.state is Provisioning.FAILED:
        reason = deployment.failure or "Azure ML gives no reason"
        return Drift(f"{what} has failed: {reason}; delete it, and the app creates it again")
    if deployment.state is not Provisioning.READY:
        return Drift(f"{what} is being changed", Reaction.WAIT)
    options, model = run.options, run.model
    if model is not None and deployment.model is not None:
        own = f"/models/{model.name}/versions/{model.version}"
        if not deployment.model.lower().endswith(own.lower()):
            return Drift(f"{what} has another model, {deployment.model}")
    if deployment.instance_type not in {None, options.instance_type} and (
        str(deployment.instance_type).lower() != options.instance_type.lower()
    ):
        return Drift(f"{what} is on {deployment.instance_type} instead of {options.instance_type}")
    if deployment.instances not in {None, options.instance_count}:
        return Drift(f"{what} has {deployment.instances} VMs instead of {options.instance_count}")
    return None


def _of_traffic(name: str, traffic: dict[str, int]) -> Drift | None:
    if others := sorted(traffic.keys() - ALL_TRAFFIC.keys()):
        return Drift(f"endpoint {name} sends traffic to {', '.join(others)}, which the app did not create")
    if traffic != ALL_TRAFFIC:
        return Drift(f"endpoint {name} had no traffic; all of it is sent to the deployment", Reaction.ROUTE)
    return None


def _of_access(run: Run, endpoint: EndpointStatus) -> Drift | None:
    name = run.endpoint_name
    if endpoint.mirrored:
        return Drift(f"endpoint {name} sends copies of its requests to {', '.join(endpoint.mirrored)}")
    if run.endpoint is None:
        return None
    if endpoint.auth_mode not in {None, run.endpoint.auth_mode}:
        return Drift(
            f"endpoint {name} takes {endpoint.auth_mode} instead of {run.endpoint.auth_mode}: the app cannot "
            "sign in; delete it, and start the run once it has stopped"
        )
    if endpoint.public == run.endpoint.public:
        return None
    word = "opened to" if endpoint.public else "closed to"
    return Drift(f"endpoint {name} was {word} the public network after it went live")
