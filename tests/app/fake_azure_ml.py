"""What Azure ML would know, in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.domain.errors import AbsentError
from shared.domain.run.names import RUN_TAG, model_name
from shared.domain.run.observation import (
    ComputeStatus,
    DeploymentStatus,
    EndpointStatus,
    JobStatus,
    Provisioning,
)
from shared.domain.run.parts import Metrics, ModelRecord, TrainingPlan
from shared.domain.run.progress import TrainingReading
from shared.domain.run.run import Run
from shared.domain.serving.chat import Upstream
from shared.domain.serving.deployment import (
    BASE_DEPLOYMENT,
    DEPLOYMENT,
    ENVIRONMENT_NAME,
    Deployment,
    ServingEnvironment,
)
from shared.domain.serving.strategies.strategy import MODEL_FOLDER
from shared.domain.training.base_model import BaseModel, hub_model, parse_base_model
from shared.domain.training.capacity import Quota, VmSize
from shared.domain.training.component import Component, parse_component
from shared.domain.training.model_reference import read_reference
from shared.ports import ScoringTarget
from tests.app.builders import WORKSPACE
from tests.app.catalogue import COMPONENT, component_body, model_body

CRASHED = "User container has crashed or terminated: Liveness probe failed."


def said(text: str, body: Mapping[str, Any]) -> Any:
    """A reply in the dialect of the request: OpenAI's, or that of MLflow's server."""
    if "input_data" in body:
        return [{"0": text}]
    return {"choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}]}


LOGGED = Metrics(latest={"eval_loss": 1.5}, history={}, train_loss=1.0, eval_loss=1.5)
A100_FAMILY = "standardNCADSA100v4Family"
SIZES = {
    "standard_nc24ads_a100_v4": VmSize(1, 24, A100_FAMILY, "Standard_NC24ads_A100_v4"),
    "standard_nc48ads_a100_v4": VmSize(2, 48, A100_FAMILY, "Standard_NC48ads_A100_v4"),
    "standard_nc40ads_h100_v5": VmSize(1, 40, "StandardNCadsH100v5Family", "Standard_NC40ads_H100_v5"),
    "standard_ds3_v2": VmSize(0, 4, "standardDSv2Family", "Standard_DS3_v2"),
}


@dataclass
class MemoryCloud:
    """What Azure ML knows, as the five ports that face it.

    Attributes:
        slow: Whether operations stay pending until `settle`.
        hidden: Whether jobs are not to be seen yet, though they are there.
        faults: Errors to raise, each once, by the name of the call that meets it.
        begun: Every call that created or removed something, in order.
        answers: What deployments reply to scoring.
        deployed: What was asked for, in order.
        base_crashes: Whether the base model's deployments fail.
        crashes: How many of the next deployments fail.
        broken: How many of the next endpoints fail.
        chunks: What they stream, and where that breaks off.
        streaming: Streams that are open.
    """

    slow: bool = False
    quota: dict[str, Quota] = field(default_factory=dict)
    hidden: bool = False
    month: str = "2026-05"
    workspace: str = WORKSPACE
    faults: dict[str, list[Exception]] = field(default_factory=dict)
    begun: list[tuple[str, str]] = field(default_factory=list)
    computes: dict[str, ComputeStatus] = field(default_factory=dict)
    datastores: int = 0
    jobs: dict[str, JobStatus] = field(default_factory=dict)
    models: dict[str, ModelRecord] = field(default_factory=dict)
    logged: Metrics = LOGGED
    training: TrainingReading = field(default_factory=TrainingReading)
    folder: str = MODEL_FOLDER
    seen: dict[str, EndpointStatus] = field(default_factory=dict)
    tags: dict[str, Mapping[str, str]] = field(default_factory=dict)
    answers: Callable[[Mapping[str, Any]], Any] = lambda body: said("Hello!", body)
    chunks: list[bytes | Exception] = field(default_factory=list)
    streaming: int = 0
    scored: list[tuple[ScoringTarget, Mapping[str, Any], str | None]] = field(default_factory=list)
    environments: set[ServingEnvironment] = field(default_factory=set)
    deployed: list[Deployment] = field(default_factory=list)
    crashes: int = 0
    base_crashes: bool = False
    broken: int = 0

    def base_model(self, name: str) -> BaseModel:
        """See `Registry.base_model`."""
        self._meet("base_model")
        reference = read_reference(name)
        if reference.on_hub:
            return hub_model(reference.name)
        bare, version = reference.name, reference.version or ""
        try:
            body = model_body(self.month, bare)
        except KeyError as fault:
            raise AbsentError(f"registry azureml has no model {bare}", code="ModelNotFound") from fault
        hidden = body["properties"]["isArchived"] and not version
        if hidden or version not in ("", body["name"]):
            raise AbsentError(f"registry azureml has no model {name}", code="ModelNotFound")
        return parse_base_model(bare, body["name"], body)

    def component(self, name: str) -> Component:
        """See `Registry.component`."""
        self._meet("component")
        if name != COMPONENT["name"]:
            raise AbsentError(f"registry azureml has no component {name}", code="ComponentNotFound")
        return parse_component(component_body())

    def id(self) -> str:
        """See `Workspace.id`."""
        self._meet("id")
        return self.workspace

    def compute(self, name: str) -> ComputeStatus | None:
        """See `Workspace.compute`."""
        self._meet("compute")
        return self.computes.get(name)

    def vm_sizes(self) -> Mapping[str, VmSize]:
        """See `Workspace.vm_sizes`."""
        self._meet("vm_sizes")
        return SIZES

    def quotas(self) -> Mapping[str, Quota]:
        """See `Workspace.quotas`."""
        self._meet("quotas")
        return self.quota

    def delete_compute(self, name: str) -> None:
        """See `Workspace.delete_compute`."""
        self._begin("delete_compute", name)
        self.computes.pop(name, None)

    def create_compute(self, name: str, size: str, *, max_nodes: int) -> None:
        """See `Workspace.create_compute`."""
        self._begin("create_compute", name)
        assert max_nodes > 0
        self.computes.setdefault(name, ComputeStatus(self._state, size))

    def ensure_datastore(self) -> None:
        """See `Workspace.ensure_datastore`."""
        self._meet("ensure_datastore")
        self.datastores = 1

    def submit(self, run: Run, plan: TrainingPlan, *, finetune_config: str | None) -> None:
        """See `Training.submit`."""
        self._begin("submit", run.job_name)
        assert plan.component_version
        assert (finetune_config is None) is (plan.finetune_config is None)
        self.jobs.setdefault(run.job_name, JobStatus("Running" if self.slow else "Completed"))

    def job(self, name: str, run_id: str) -> JobStatus | None:
        """See `Training.job`."""
        self._meet("job")
        return None if self.hidden else self.jobs.get(name)

    def cancel(self, name: str) -> None:
        """See `Training.cancel`."""
        self._begin("cancel", name)
        job = self.jobs.get(name)
        if job is not None and not job.state.over:
            self.jobs[name] = JobStatus("CancelRequested" if self.slow else "Canceled")

    def register(self, run: Run, plan: TrainingPlan) -> ModelRecord:
        """See `Training.register`."""
        self._begin("register", run.run_id)
        name = model_name(plan.base_model_name, run.dataset)
        facts = ModelRecord(
            name=name, version=run.run_id, id=f"/models/{name}/versions/{run.run_id}", folder=self.folder
        )
        return self.models.setdefault(run.run_id, facts)

    def read(self, job: str) -> Metrics:
        """See `MetricsReader.read`."""
        self._meet("read")
        assert job in self.jobs
        return self.logged

    def read_training(self, job: str) -> TrainingReading:
        """See `MetricsReader.read_training`."""
        self._meet("read_training")
        assert job in self.jobs
        return self.training

    def endpoint(self, name: str, run_id: str, *, base: bool = False) -> EndpointStatus | None:
        """See `Endpoints.endpoint`."""
        self._meet("endpoint")
        found = self.seen.get(name)
        if found is not None and not base:
            found = found._replace(base=None)
        return found and found._replace(foreign=self.tags.get(name, {RUN_TAG: run_id})[RUN_TAG] != run_id)

    def create(self, name: str, *, auth_mode: str, tags: Mapping[str, str]) -> None:
        """See `Endpoints.create`."""
        self._begin("create", name)
        assert auth_mode in {"aad_token", "key"}
        made = EndpointStatus(self._state, f"https://{name}/score", {})
        if self.broken:
            self.broken -= 1
            made = made._replace(state=Provisioning.FAILED, failure="no addresses are left")
        self.seen.setdefault(name, made)
        self.tags[name] = tags

    def ensure_environment(self, environment: ServingEnvironment) -> str:
        """See `Endpoints.ensure_environment`."""
        self._meet("ensure_environment")
        self.environments.add(environment)
        return f"/environments/{ENVIRONMENT_NAME}/versions/{environment.version}"

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
        """See `Endpoints.deploy`."""
        self._begin("deploy" if slot == DEPLOYMENT else f"deploy_{slot}", name)
        assert (environment_id is None) is (deployment.environment is None)
        assert model_id
        assert instance_type
        assert instance_count
        if slot == BASE_DEPLOYMENT:
            base = DeploymentStatus(self._state, model=model_id)
            if self.base_crashes:
                base = base._replace(state=Provisioning.FAILED, failure=CRASHED)
            self.seen[name] = self.seen[name]._replace(base=base)
        elif self.seen[name].deployment is None:
            self.deployed.append(deployment)
            status = DeploymentStatus(
                self._state, model=model_id, instance_type=instance_type, instances=instance_count
            )
            if self.crashes:
                self.crashes -= 1
                status = status._replace(state=Provisioning.FAILED, failure=CRASHED)
            self.seen[name] = self.seen[name]._replace(deployment=status)

    def delete_deployment(self, name: str, *, slot: str = DEPLOYMENT) -> None:
        """See `Endpoints.delete_deployment`."""
        self._begin("delete_deployment" if slot == DEPLOYMENT else f"delete_{slot}", name)
        if name in self.seen:
            gone = {"deployment": None} if slot == DEPLOYMENT else {"base": None}
            self.seen[name] = self.seen[name]._replace(**gone)

    def route_traffic(self, name: str) -> None:
        """See `Endpoints.route_traffic`."""
        self._begin("route_traffic", name)
        if name in self.seen:
            self.seen[name] = self.seen[name]._replace(traffic={"main": 100}, state=self._state)

    def delete(self, name: str) -> None:
        """See `Endpoints.delete`."""
        self._begin("delete", name)
        if self.slow and name in self.seen:
            self.seen[name] = self.seen[name]._replace(state=Provisioning.DELETING, deployment=None)
        else:
            self.seen.pop(name, None)

    def list_owned(self) -> Iterable[tuple[str, str]]:
        """See `Endpoints.list_owned`."""
        self._meet("list_owned")
        return [(name, self.tags[name][RUN_TAG]) for name in self.seen if RUN_TAG in self.tags.get(name, {})]

    def score(self, target: ScoringTarget, request: Upstream, *, deployment: str | None) -> Any:
        """See `Scoring.score`."""
        self._meet("score")
        self.scored.append((target, request.body, deployment))
        return self.answers(request.body)

    async def score_async(self, target: ScoringTarget, request: Upstream) -> Any:
        """See `Scoring.score_async`."""
        return self.score(target, request, deployment=None)

    async def stream(self, target: ScoringTarget, request: Upstream) -> AsyncGenerator[bytes, None]:
        """See `Scoring.stream`."""
        self._meet("score")
        self.scored.append((target, request.body, None))
        self.streaming += 1
        try:
            for chunk in self.chunks:
                if isinstance(chunk, Exception):
                    raise chunk
                await asyncio.sleep(0)
                yield chunk
        finally:
            self.streaming -= 1

    def settle(self) -> None:
        """Finish every pending operation; jobs complete, what is going is gone."""
        self.computes = {name: one._replace(state=Provisioning.READY) for name, one in self.computes.items()}
        ended = {"Running": "Completed", "CancelRequested": "Canceled"}
        self.jobs = {
            name: job._replace(status=ended.get(job.status, job.status)) for name, job in self.jobs.items()
        }
        self.seen = {
            name: one._replace(
                state=one.state if one.state is Provisioning.FAILED else Provisioning.READY,
                deployment=one.deployment and _settled(one.deployment),
                base=one.base and _settled(one.base),
            )
            for name, one in self.seen.items()
            if one.state is not Provisioning.DELETING
        }

    @property
    def _state(self) -> Provisioning:
        return Provisioning.PENDING if self.slow else Provisioning.READY

    def _begin(self, call: str, name: str) -> None:
        self._meet(call)
        self.begun.append((call, name))

    def _meet(self, call: str) -> None:
        if self.faults.get(call):
            raise self.faults[call].pop(0)


def _settled(deployment: DeploymentStatus) -> DeploymentStatus:
    if deployment.state is Provisioning.FAILED:
        return deployment
    return deployment._replace(state=Provisioning.READY)
