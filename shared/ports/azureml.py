"""Azure ML: registries, workspace, training, endpoints, scoring."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping
from typing import Any, NamedTuple, Protocol

from shared.domain.run.cost import Prices
from shared.domain.run.observation import ComputeStatus, EndpointStatus, JobStatus
from shared.domain.run.parts import Metrics, ModelRecord, TrainingPlan
from shared.domain.run.progress import TrainingReading
from shared.domain.run.run import Run
from shared.domain.serving.chat import Upstream
from shared.domain.serving.deployment import DEPLOYMENT, Deployment, ServingEnvironment
from shared.domain.serving.record import Serving
from shared.domain.training.base_model import BaseModel
from shared.domain.training.capacity import Quota, VmSize
from shared.domain.training.component import Component


class Registry(Protocol):
    """The model and component registry."""

    def base_model(self, name: str) -> BaseModel:
        """Find a model by a reference, see `read_reference`. Raises AbsentError if it does not exist."""

    def component(self, name: str) -> Component:
        """The newest version of a component. Raises AbsentError if it does not exist."""


class Workspace(Protocol):
    """The Azure ML workspace itself, its compute and its storage."""

    def id(self) -> str:
        """The workspace's immutable id, which no other workspace ever has, whatever its name."""

    def compute(self, name: str) -> ComputeStatus | None:
        """A cluster, or None."""

    def vm_sizes(self) -> Mapping[str, VmSize]:
        """The VM sizes of the region, by name in lower case."""

    def quotas(self) -> Mapping[str, Quota]:
        """Of each VM family, by name in lower case. Raises ServiceRefusedError if they may not be read."""

    def create_compute(self, name: str, size: str, *, max_nodes: int) -> None:
        """Start creating a cluster that scales to zero."""

    def delete_compute(self, name: str) -> None:
        """Start deleting a cluster; absence is success."""

    def ensure_datastore(self) -> None:
        """Make sure that training can reach the snapshot."""


class PriceList(Protocol):
    """What VM sizes cost."""

    def of(self, sizes: Iterable[str]) -> Prices:
        """Prices per hour of these sizes, each named as `Workspace.vm_sizes` does; unknown ones are left out.

        Raises TransientServiceError.
        """


class Training(Protocol):
    """Training jobs and the models that come of them."""

    def submit(self, run: Run, plan: TrainingPlan, *, finetune_config: str | None) -> None:
        """Submit the job named like the run. A job of that name that is there already is left as it is.

        `finetune_config` is where training reads its fine-tune configuration, if it has one.
        """

    def job(self, name: str, run_id: str) -> JobStatus | None:
        """A job, or None; `foreign` unless it carries the run's tag."""

    def cancel(self, name: str) -> None:
        """Start canceling a job; one that is over or gone is left alone."""

    def register(self, run: Run, plan: TrainingPlan) -> ModelRecord:
        """Register the trained model; a version that is there already is returned as it is."""


class MetricsReader(Protocol):
    """What training jobs logged."""

    def read(self, job: str) -> Metrics:
        """Everything that the job and its children logged."""

    def read_training(self, job: str) -> TrainingReading:
        """How far the training of a job is that is still at work."""


class Endpoints(Protocol):
    """Online endpoints. Operations are started, never waited for."""

    def endpoint(self, name: str, run_id: str, *, base: bool = False) -> EndpointStatus | None:
        """An endpoint with its deployment, or None; `foreign` unless it carries the run's tag and ours.

        With `base`, the base model's deployment is looked for, too.
        """

    def create(self, name: str, *, auth_mode: str, tags: Mapping[str, str]) -> None:
        """Start creating an endpoint."""

    def ensure_environment(self, environment: ServingEnvironment) -> str:
        """Create that version of a workspace environment unless it is there; returns its id."""

    def deploy(
        self,
        name: str,
        deployment: Deployment,
        *,
        environment_id: str | None,
        model_id: str,
        instance_type: str,
        instance_count: int,
        slot: str = DEPLOYMENT,
    ) -> None:
        """Start creating a deployment of the endpoint, called `slot`."""

    def delete_deployment(self, name: str, *, slot: str = DEPLOYMENT) -> None:
        """Start deleting a deployment of the endpoint; one that is gone is left alone."""

    def route_traffic(self, name: str) -> None:
        """Start sending all traffic to the deployment."""

    def delete(self, name: str) -> None:
        """Start deleting an endpoint and all in it; one that is gone is left alone."""

    def list_owned(self) -> Iterable[tuple[str, str]]:
        """Name and run id of every endpoint of the workspace that carries this app's tag."""


class ScoringTarget(NamedTuple):
    """Where and how to score.

    Attributes:
        name: Of the endpoint.
        uri: The endpoint's https address; a request's path takes the place of its path.
        auth_mode: How to sign in: `aad_token` or `key`.
        serving: How the deployment serves, from the run's record.
    """

    name: str
    uri: str
    auth_mode: str
    serving: Serving


class Scoring(Protocol):
    """Endpoints' scoring URIs."""

    def score(self, target: ScoringTarget, request: Upstream, *, deployment: str | None) -> Any:
        """Score once, on a deployment or as traffic decides; the decoded answer. Raises ScoringError."""

    async def score_async(self, target: ScoringTarget, request: Upstream) -> Any:
        """Like `score`, as traffic decides, for many requests at once."""

    def stream(self, target: ScoringTarget, request: Upstream) -> AsyncGenerator[bytes, None]:
        """An answer's bytes as they come; closing the generator ends the request. Raises ScoringError."""
