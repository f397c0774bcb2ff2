"""The observed state of a run's resources, and which of them each stage depends on."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec

from shared.domain.run.job_status import JobState, job_state
from shared.domain.run.parts import JobRecord
from shared.domain.run.run import Run
from shared.domain.run.stages import Stage
from shared.domain.run.upload_change import UploadStatus


class Provisioning(StrEnum):
    """State of an endpoint, deployment or cluster, as far as a run cares."""

    PENDING = "pending"
    # Creating, updating or scaling: an operation is under way.
    READY = "ready"
    FAILED = "failed"
    DELETING = "deleting"
    # It is being deleted, and its name with it.


_PROVISIONING = {
    "succeeded": Provisioning.READY,
    "failed": Provisioning.FAILED,
    "canceled": Provisioning.FAILED,
    "deleting": Provisioning.DELETING,
}


def provisioning(state: str | None) -> Provisioning:
    """Translate an ARM provisioning state; Creating, Updating, Scaling and unknown words are PENDING."""
    return _PROVISIONING.get((state or "").lower(), Provisioning.PENDING)


class JobStatus(NamedTuple):
    """A job as Azure ML shows it.

    Attributes:
        failure: Filled when it failed: the root's or a child's own message.
        foreign: It does not carry the run's tag: somebody else's job has the run's name.
    """

    status: str
    studio_url: str | None = None
    failure: str | None = None
    foreign: bool = False

    @property
    def state(self) -> JobState:
        """What the status means."""
        return job_state(self.status)


class ComputeStatus(NamedTuple):
    """A cluster of the workspace."""

    state: Provisioning
    size: str
    failure: str | None = None


class DeploymentStatus(NamedTuple):
    """The deployment of a run's endpoint; what Azure ML does not tell is None.

    Attributes:
        model: Id of the model that it serves.
        instances: Its VMs.
    """

    state: Provisioning
    failure: str | None = None
    model: str | None = None
    instance_type: str | None = None
    instances: int | None = None


class EndpointStatus(NamedTuple):
    """An endpoint with its traffic (percent by deployment) and its one deployment, if there is one.

    Attributes:
        foreign: It does not carry the tags of the run and of this installation: it is somebody else's.
        public: Whether it can be reached from the public network.
        auth_mode: What callers sign in with, in the words of ENDPOINT_AUTH_MODE; None if it does not say.
        mirrored: The deployments that get copies of requests.
        base: The deployment of the base model, if it was looked for.
    """

    state: Provisioning
    scoring_uri: str | None
    traffic: dict[str, int]
    deployment: DeploymentStatus | None = None
    failure: str | None = None
    foreign: bool = False
    public: bool = True
    auth_mode: str | None = None
    mirrored: tuple[str, ...] = ()
    base: DeploymentStatus | None = None


class Aspect(StrEnum):
    """A thing that can be looked at."""

    COMPUTE = "compute"
    JOB = "job"
    ENDPOINT = "endpoint"
    UPLOAD = "upload"


class Observation(NamedTuple):
    """What was seen. None is an absent resource, or one that was not looked at: see `aspects_of`."""

    job: JobStatus | None = None
    compute: ComputeStatus | None = None
    endpoint: EndpointStatus | None = None
    upload: UploadStatus | None = None


def aspects_of(run: Run) -> frozenset[Aspect]:
    """Say what has to be looked at before a decision on `run`: as little as will do, each costs a call."""
    match run.stage:
        case Stage.RECEIVED if run.report is None:
            return frozenset({Aspect.UPLOAD})
        case Stage.VALIDATED if run.plan is not None and run.claimed:
            if run.billable:
                return frozenset({Aspect.JOB})
            # For the last time before it costs money to have missed a newer version.
            return frozenset({Aspect.UPLOAD, *([Aspect.COMPUTE] if run.plan.create_compute else [])})
        case Stage.TRAINING:
            return frozenset({Aspect.JOB})
        case Stage.DEPLOYING | Stage.LIVE:
            return frozenset({Aspect.ENDPOINT})
        case Stage.DELETING:
            return frozenset({Aspect.JOB, Aspect.ENDPOINT})
        case _:
            return frozenset()


def note(run: Run, seen: Observation, now: datetime) -> Run:
    """Put what was seen on the record: the job's status, and since when something has been missing."""
    aspects = aspects_of(run)
    noted: dict[str, Any] = {}
    if seen.compute is not None:
        # A cluster that another run asked for is waited for just as long.
        ready = seen.compute.state is Provisioning.READY
        noted["compute_requested_at"] = None if ready else run.compute_requested_at or now
    if Aspect.UPLOAD in aspects:
        noted["settles_at"] = seen.upload.whole_at if seen.upload is not None else None
    if Aspect.JOB in aspects:
        missing = seen.job is None
        noted["job_missing_since"] = (run.job_missing_since or now) if missing else None
    if Aspect.ENDPOINT in aspects:
        missing = seen.endpoint is None
        noted["endpoint_missing_since"] = (run.endpoint_missing_since or now) if missing else None
    if seen.job is not None and not seen.job.foreign:
        noted["job"] = JobRecord(name=run.job_name, status=seen.job.status, studio_url=seen.job.studio_url)
    return msgspec.structs.replace(run, **noted)
