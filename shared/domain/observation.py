"""What can be seen of a run's resources from outside, and which of them each stage needs to see."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from shared.domain.job_status import JobState, job_state
from shared.domain.run import Run
from shared.domain.stages import Stage


class Provisioning(StrEnum):
    """State of an endpoint, deployment or cluster, as far as a run cares."""

    PENDING = "pending"
    # Creating, updating or scaling: an operation is under way.
    READY = "ready"
    FAILED = "failed"
    GOING = "going"
    # It is being deleted, and its name with it.


_PROVISIONING = {
    "succeeded": Provisioning.READY,
    "failed": Provisioning.FAILED,
    "canceled": Provisioning.FAILED,
    "deleting": Provisioning.GOING,
}


def provisioning(state: str | None) -> Provisioning:
    """Translate an ARM provisioning state; Creating, Updating, Scaling and unknown words are PENDING."""
    return _PROVISIONING.get((state or "").lower(), Provisioning.PENDING)


class SeenJob(NamedTuple):
    """A job as Azure ML shows it. `failure` is filled when it failed: the root's or a child's own message."""

    status: str
    studio_url: str | None = None
    failure: str | None = None

    @property
    def state(self) -> JobState:
        """What the status means."""
        return job_state(self.status)


class SeenCompute(NamedTuple):
    """A cluster of the workspace."""

    state: Provisioning
    size: str
    failure: str | None = None


class SeenDeployment(NamedTuple):
    """The deployment of a run's endpoint."""

    state: Provisioning
    failure: str | None = None


class SeenEndpoint(NamedTuple):
    """An endpoint with its traffic (percent by deployment) and its one deployment, if there is one."""

    state: Provisioning
    scoring_uri: str | None
    traffic: dict[str, int]
    deployment: SeenDeployment | None = None
    failure: str | None = None


class Aspect(StrEnum):
    """A thing that can be looked at."""

    COMPUTE = "compute"
    JOB = "job"
    ENDPOINT = "endpoint"
    TRAINING_PLACE = "training_place"
    ENDPOINT_PLACE = "endpoint_place"


class Observation(NamedTuple):
    """What was seen. None is an absent resource, or one that was not looked at: see `aspects_of`.

    `has_place` says whether the run may go on where only so many may at once; it has the place from then on.
    """

    job: SeenJob | None = None
    compute: SeenCompute | None = None
    endpoint: SeenEndpoint | None = None
    has_place: bool = True


def aspects_of(run: Run) -> frozenset[Aspect]:
    """Say what has to be looked at before a decision on `run`: as little as will do, each costs a call."""
    match run.stage:
        case Stage.VALIDATED if run.plan is not None and run.claimed:
            if run.billable:
                return frozenset({Aspect.JOB})
            if run.plan.create_compute:
                return frozenset({Aspect.COMPUTE, Aspect.TRAINING_PLACE})
            return frozenset({Aspect.TRAINING_PLACE})
        case Stage.TRAINING:
            return frozenset({Aspect.JOB})
        case Stage.REGISTERED:
            return frozenset({Aspect.ENDPOINT_PLACE})
        case Stage.DEPLOYING:
            return frozenset({Aspect.ENDPOINT})
        case Stage.DELETING:
            return frozenset({Aspect.JOB, Aspect.ENDPOINT})
        case _:
            return frozenset()
