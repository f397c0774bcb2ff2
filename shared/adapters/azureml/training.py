"""Training jobs: submitted with azure-ai-ml's pipeline DSL, watched and canceled over ARM.

azure-ai-ml is imported where it is used: it takes a second and 100 MB that most invocations never need.
MLClient is not thread-safe (azure-sdk-for-python #39502), so that each call has a client of its own, whose
requests have a deadline. The DSL keeps its open pipeline in module state: one thread at a time builds a job,
which sends nothing.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from azure.core.credentials import TokenCredential
from azure.core.exceptions import AzureError, ResourceExistsError

from shared.adapters.azureml.arm import Arm, WorkspaceId
from shared.adapters.azureml.workspace import AzureMlWorkspace
from shared.adapters.http.response_parsing import is_retryable, validating_response
from shared.adapters.http.transport import GuardedTransport
from shared.adapters.http.trusted_hosts import TrustedHosts
from shared.adapters.retries import CALL_LIMITS
from shared.adapters.sdk_errors import translated
from shared.domain.dataset import Split
from shared.domain.errors import FinetuneError, ServiceRefusedError
from shared.domain.run.job_status import JobState
from shared.domain.run.names import RUN_TAG, model_name
from shared.domain.run.observation import JobStatus
from shared.domain.run.options import SERVERLESS
from shared.domain.run.parts import ModelRecord, TrainingPlan
from shared.domain.run.run import Run
from shared.domain.sanitize import plain_text, sanitize_text
from shared.domain.serving.strategies.strategy import MODEL_FOLDER
from shared.domain.training.component import COMPONENT_NAME, FINETUNE_CONFIG
from shared.domain.training.model_reference import ModelInput
from shared.logs import get_logger
from shared.ports import Datasets

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

JOB_VERSION = "2024-01-01-preview"
CANCEL_VERSION = "2023-04-01-preview"
HISTORY_VERSION = "v1.0"

OUTPUT = MODEL_FOLDER
"""Name of the pipeline's output that holds the MLflow model: a registered model keeps it as its folder."""

_DSL = threading.Lock()
_log = get_logger(__name__)

# The SDK warns of every experimental class that it defines, used or not.
logging.getLogger("azure.ai.ml._utils._experimental").setLevel(logging.ERROR)


class AzureMlTraining:
    """Jobs and models of the workspace."""

    def __init__(
        self,
        arm: Arm,
        credential: TokenCredential,
        workspace_id: WorkspaceId,
        workspace: AzureMlWorkspace,
        datasets: Datasets,
        trusted: TrustedHosts,
        *,
        registry: str,
        experiment: str,
    ) -> None:
        self._arm = arm
        self._credential = credential
        self._id = workspace_id
        self._workspace = workspace
        self._datasets = datasets
        self._trusted = trusted
        self._registry = registry
        self._experiment = experiment

    def submit(self, run: Run, plan: TrainingPlan, *, finetune_config: str | None) -> None:
        """See `Training.submit`."""
        with sdk_translated(f"submitting job {run.job_name}"):
            from azure.ai.ml import MLClient

            registry = MLClient(
                self._credential, registry_name=self._registry, enable_telemetry=False, **self._limits()
            )
            component = registry.components.get(COMPONENT_NAME, version=plan.component_version)
            with _DSL:
                job = self._build(component, run, plan, finetune_config)
            try:
                # The plan was checked, and the service checks the job: once more on the way would cost more
                # time than building and sending it.
                self._client().jobs.create_or_update(
                    job, experiment_name=self._experiment, skip_validation=True
                )
            except ResourceExistsError:
                _log.info("the job was there already", extra={"run_id": run.run_id})

    def job(self, name: str, run_id: str) -> JobStatus | None:
        """See `Training.job`."""
        seen = self._arm.get(
            f"{self._id.path}/jobs/{name}",
            lambda body: _read_job(body, run_id),
            api_version=JOB_VERSION,
            doing=f"looking at job {name}",
        )
        if seen is None or seen.foreign or seen.state is not JobState.FAILED:
            return seen
        return seen._replace(failure=self._why(name))

    def cancel(self, name: str) -> None:
        """See `Training.cancel`."""
        self._arm.start(
            f"{self._id.path}/jobs/{name}/cancel",
            api_version=CANCEL_VERSION,
            doing=f"canceling job {name}",
        )

    def register(self, run: Run, plan: TrainingPlan) -> ModelRecord:
        """See `Training.register`.

        The version is the run id, so that registering twice makes one version.
        """
        name = model_name(plan.base_model_name, run.dataset)
        with sdk_translated(f"registering model {name}"):
            from azure.ai.ml.constants import AssetTypes
            from azure.ai.ml.entities import Model

            registered = self._client().models.create_or_update(
                Model(
                    path=f"azureml://jobs/{run.job_name}/outputs/{OUTPUT}",
                    type=AssetTypes.MLFLOW_MODEL,
                    name=name,
                    version=run.run_id,
                    description=f"{plan.base_model_name} fine-tuned on {run.dataset}",
                    tags=_lineage(run, plan),
                ),
            )
            return ModelRecord(
                name=str(registered.name),
                version=str(registered.version),
                id=sanitize_text(str(registered.id)),
                folder=sanitize_text(str(registered.path).rstrip("/").rpartition("/")[2]),
            )

    def _client(self) -> MLClient:
        from azure.ai.ml import MLClient

        return MLClient(self._credential, *self._id, enable_telemetry=False, **self._limits())

    def _limits(self) -> dict[str, Any]:
        """Deadlines, and a transport that bounds answers and sends the token to trusted hosts alone."""
        # A client that is given a transport leaves it the transport's own deadlines.
        deadlines = {name: CALL_LIMITS[name] for name in ("connection_timeout", "read_timeout")}
        return {**CALL_LIMITS, "transport": GuardedTransport(self._trusted, **deadlines)}

    def _build(self, component: Any, run: Run, plan: TrainingPlan, finetune_config: str | None) -> Any:
        from azure.ai.ml import Input
        from azure.ai.ml.dsl import pipeline

        def file(split: Split) -> Input:
            return Input(type="uri_file", path=self._datasets.uri(run.run_id, split))

        told = {FINETUNE_CONFIG: Input(type="uri_file", path=finetune_config)} if finetune_config else {}

        @pipeline(None, name=plan.display_name)
        def fine_tune() -> dict[str, Any]:
            step = component(
                **_base_model(plan),
                train_file_path=file(Split.TRAIN),
                validation_file_path=file(Split.VALIDATION),
                test_file_path=file(Split.TEST),
                number_of_gpu_to_use_finetuning=plan.gpus_per_node,
                **told,
                **_compute_inputs(plan),
                **plan.parameters,
            )
            return {OUTPUT: step.outputs.mlflow_model_folder}

        job = fine_tune()
        job.name = run.job_name
        job.display_name = plan.display_name
        job.tags = _lineage(run, plan)
        settings: Any = job.settings
        settings.force_rerun = True
        settings.continue_on_step_failure = False
        return job

    def _why(self, name: str) -> str | None:
        try:
            why = self._failure(name)
        except FinetuneError as fault:
            if is_retryable(fault):
                raise
            # That the job failed is known; who may not read why must still be able to take it away.
            _log.warning("why a job failed cannot be read", extra={"run_id": name, "code": fault.code})
            return None
        return plain_text(why) if why else None

    def _failure(self, name: str) -> str | None:
        """Find the failed step's own words; the ARM job carries none."""
        history = f"{self._history()}/runs/{name}"
        doing = f"reading why job {name} failed"
        return self._arm.get(
            f"{history}/children", _failed_step, api_version=HISTORY_VERSION, doing=doing
        ) or self._arm.get(f"{history}/details", _run_error, api_version=HISTORY_VERSION, doing=doing)

    def _history(self) -> str:
        api = self._arm.get_url(
            self._workspace.facts.discovery_url,
            lambda discovered: discovered["api"].rstrip("/"),
            doing="finding the run history service",
        )
        if api is None:
            raise ServiceRefusedError(
                "the workspace's discovery address answers 404", code="DiscoveryNotFound", status=404
            )
        return f"{api}/history/v1.0{self._id.path}"


def _base_model(plan: TrainingPlan) -> dict[str, Any]:
    from azure.ai.ml import Input

    if plan.base_model_input == ModelInput.HUGGINGFACE:
        return {plan.base_model_input: plan.base_model_id}
    kind = "mlflow_model" if plan.base_model_input == ModelInput.MLFLOW else "custom_model"
    return {plan.base_model_input: Input(type=kind, path=plan.base_model_id)}


def _compute_inputs(plan: TrainingPlan) -> dict[str, str]:
    steps = ("model_import", "preprocess", "finetune", "model_evaluation")
    inputs = {f"compute_{step}": plan.compute for step in steps}
    if plan.compute == SERVERLESS:
        inputs |= {f"instance_type_{step}": plan.compute_size for step in steps}
    return inputs


def _lineage(run: Run, plan: TrainingPlan) -> dict[str, str]:
    upload = run.source.files[0]
    return {
        RUN_TAG: run.run_id,
        "dataset": run.dataset,
        "upload": f"{run.source.container}/{upload.path}",
        "upload_etag": upload.etag.strip('"'),
        "content": run.report.fingerprint if run.report else "",
        "base_model": plan.base_model_id,
        "component": plan.component_id,
    }


def _read_job(body: Any, run_id: str) -> JobStatus:
    facts = body["properties"]
    foreign = (facts.get("tags") or {}).get(RUN_TAG) != run_id
    studio = ((facts.get("services") or {}).get("Studio") or {}).get("endpoint")
    return JobStatus(str(facts.get("status") or ""), str(studio) if studio else None, foreign=foreign)


def _failed_step(children: Any) -> str | None:
    for child in children["value"] or ():
        message = _run_error(child)
        if message:
            return f"{child.get('displayName') or child.get('name') or child.get('runId')}: {message}"
    return None


def _run_error(record: Any) -> str | None:
    error = record.get("error")
    inner = error.get("error", error) if isinstance(error, Mapping) else None
    message = inner.get("message") if isinstance(inner, Mapping) else None
    return str(message).strip() or None if message else None


@contextmanager
def sdk_translated(doing: str) -> Iterator[None]:
    """Translate azure-ai-ml's own exceptions too; they share no root but Azure's.

    Raises:
        FinetuneError: For whatever the SDK raised.
    """
    from azure.ai.ml.exceptions import MlException, UserErrorException, ValidationException

    # The SDK, too, takes an answer for what it should be.
    with validating_response(doing), translated(doing):
        try:
            yield
        except MlException as fault:
            if isinstance(fault.inner_exception, AzureError):
                raise fault.inner_exception from fault
            # The SDK raises some of its refusals again as an `MlException` without more.
            refusals = (UserErrorException, ValidationException)
            if isinstance(fault, refusals) or isinstance(fault.__context__, refusals):
                raise ServiceRefusedError(f"{doing}: {fault.message}", code=type(fault).__name__) from fault
            raise
