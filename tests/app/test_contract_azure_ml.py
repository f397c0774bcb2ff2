"""The promises of the ports that face Azure ML, held to the fakes and to the adapters over the emulator."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime

import msgspec
import pytest
from azure.storage.blob import BlobServiceClient
from azureml_emulator import Emulator

from local.azurite import Azurite
from local.processes import wait_until
from shared.adapters.http import transport
from shared.adapters.retries import CALL_LIMITS
from shared.adapters.storage.account import CONTAINERS
from shared.adapters.storage.datasets import BlobUploads
from shared.domain.errors import AbsentError, FinetuneError, TransientServiceError
from shared.domain.run.names import RUN_TAG
from shared.domain.run.observation import Provisioning
from shared.domain.run.parts import ModelRecord, TrainingPlan
from shared.domain.run.run import Run
from shared.domain.serving.chat import Chat
from shared.domain.serving.dialects import upstream_request
from shared.domain.serving.record import BATCH_ROUTE
from shared.domain.training.capacity import VmSize
from shared.domain.training.component import COMPONENT_NAME
from shared.ports import ScoringTarget, Services
from shared.workflow.open_run import take_upload
from shared.workflow.steps.plan_training import plan_training
from shared.workflow.steps.validate_dataset import validate_dataset
from tests.app.builders import PLAIN, SERVING
from tests.app.conftest import connected
from tests.app.fake_azure_ml import A100_FAMILY
from tests.app.fake_storage import MemoryUploads
from tests.app.fakes import World
from tests.app.worlds import SETTINGS, rows

A100 = "Standard_NC24ads_A100_v4"


class WritableUploads(BlobUploads):
    """The uploads container as those who fill it have it."""

    def put(self, path: str, body: bytes) -> None:
        """Upload a file."""
        self._container.upload_blob(path, body)


@pytest.fixture
def services(request: pytest.FixtureRequest) -> Iterator[Services]:
    """The ports of either kind, over an Azure ML that knows nothing yet."""
    if request.param == "memory":
        yield World().services
        return
    azure_ml: Emulator = request.getfixturevalue("azure_ml")
    azurite: Azurite = request.getfixturevalue("azurite")
    account: BlobServiceClient = request.getfixturevalue("account")
    for name in CONTAINERS:
        if not account.get_container_client(name).exists():
            account.create_container(name)
    built = connected(azure_ml, azurite)
    yield replace(built, now=lambda: datetime.now(UTC), uploads=WritableUploads(account))


both = pytest.mark.parametrize("services", ["memory", "azure"], indirect=True)


def planned(services: Services) -> tuple[Run, TrainingPlan]:
    """A run that is ready to be submitted: uploaded, validated and planned."""
    path = f"d{uuid.uuid4().hex[:8]}.jsonl"
    assert isinstance(services.uploads, MemoryUploads | WritableUploads)
    services.uploads.put(path, rows())
    (run_id,) = take_upload(path, container="uploads", settings=SETTINGS, services=services)
    run = services.runs.load(run_id).run
    held_to = SETTINGS.validation_rules(run.options, 16_384)
    run = validate_dataset(run, held_to, services, smoke_rows=SETTINGS.smoke_test_rows)
    run = plan_training(run, msgspec.structs.replace(SETTINGS, allow_retired_model=True), services)
    assert run.plan is not None
    services.workspace.create_compute(run.plan.compute, run.plan.compute_size, max_nodes=1)
    return run, run.plan


def submit(services: Services, run: Run, plan: TrainingPlan) -> None:
    """Submit a planned run, its fine-tune configuration beside its snapshot."""
    assert plan.finetune_config is not None
    config = services.datasets.save_finetune_config(run.run_id, msgspec.json.encode(plan.finetune_config))
    services.training.submit(run, plan, finetune_config=config)


def trained(services: Services) -> tuple[Run, TrainingPlan, ModelRecord]:
    """A run whose model is registered."""
    run, plan = planned(services)
    submit(services, run, plan)
    job = services.training.job(run.run_id, run.run_id)
    assert job is not None
    assert job.state.over, job
    return run, plan, services.training.register(run, plan)


@both
def test_base_models_and_components_are_found(services: Services) -> None:
    """The newest of a name, or a version of it; what does not exist is the user's mistake."""
    newest = services.registry.base_model("Phi-4")
    assert newest == services.registry.base_model(f"Phi-4:{newest.version}")
    assert newest.finetune_sizes
    assert A100 in newest.finetune_sizes
    assert newest.defaults["num_train_epochs"] == 1
    component = services.registry.component(COMPONENT_NAME)
    assert component.inputs["num_train_epochs"].minimum == 1
    for missing in ("Phi-5", "Phi-4:99"):
        with pytest.raises(AbsentError) as caught:
            services.registry.base_model(missing)
        assert caught.value.code == "ModelNotFound"
    with pytest.raises(AbsentError):
        services.registry.component("no_such_pipeline")


@both
def test_a_cluster_is_made_once(services: Services) -> None:
    """None before, ready with its size after, and making it again changes nothing."""
    assert services.workspace.compute("gpu-cluster") is None
    for _ in range(2):
        services.workspace.create_compute("gpu-cluster", A100, max_nodes=2)
    seen = services.workspace.compute("gpu-cluster")
    assert seen is not None
    assert (seen.state, seen.size.lower()) == (Provisioning.READY, A100.lower())


@both
def test_sizes_are_known_by_their_gpus(services: Services) -> None:
    """Whatever the case; a CPU size has none, an unknown one is None."""
    sizes = services.workspace.vm_sizes()
    assert sizes[A100.lower()] == VmSize(1, 24, A100_FAMILY, A100)
    assert sizes["standard_ds3_v2"].gpus == 0
    assert "standard_nonsense" not in sizes
    quota = services.workspace.quotas().get(A100_FAMILY.lower())
    assert quota is None or quota.limit > quota.used >= 0


@both
def test_a_job_is_submitted_once(services: Services) -> None:
    """Submitting again leaves the job as it is; it completes, and canceling it then changes nothing."""
    run, plan = planned(services)
    assert services.training.job(run.run_id, run.run_id) is None
    for _ in range(2):
        submit(services, run, plan)
    services.training.cancel("ft-nobody-0123456789")
    job = services.training.job(run.run_id, run.run_id)
    assert job is not None
    assert job.status == "Completed"
    services.training.cancel(run.run_id)
    assert services.training.job(run.run_id, run.run_id) == job


@both
def test_a_model_is_registered_once(services: Services) -> None:
    """Its version is the run; registering again gives the same one back."""
    run, plan, model = trained(services)
    assert model.name == f"Phi-4-{run.dataset}" or model.name.endswith(run.dataset)
    assert model.version == run.run_id
    assert model.id
    assert services.training.register(run, plan) == model
    metrics = services.metrics.read(run.run_id)
    assert metrics.eval_loss is not None
    assert metrics.train_loss is not None
    for name in metrics.history.keys() & {"loss", "eval_loss"}:  # each once, although two runs have it
        points = metrics.history[name]
        assert len({point.step for point in points}) == len(points)


@both
def test_an_endpoint_lives_and_dies(services: Services) -> None:
    """Made, deployed to, given traffic, scored, deleted: each twice, as after a death in between."""
    run, _, model = trained(services)
    name, endpoints = run.run_id, services.endpoints
    assert endpoints.endpoint(name, name) is None
    for _ in range(2):
        endpoints.create(name, auth_mode="aad_token", tags={RUN_TAG: name})
    bare = endpoints.endpoint(name, name)
    assert bare is not None
    assert (bare.state, bare.traffic, bare.deployment) == (Provisioning.READY, {}, None)
    assert (name, name) in list(endpoints.list_owned())

    for _ in range(2):
        endpoints.deploy(
            name, PLAIN, environment_id=None, model_id=model.id, instance_type=A100, instance_count=1
        )
    deployed = endpoints.endpoint(name, name)
    assert deployed is not None
    assert deployed.deployment is not None
    assert (deployed.deployment.state, deployed.traffic, deployed.public) == (Provisioning.READY, {}, True)
    assert (deployed.deployment.model, deployed.deployment.instances) == (model.id, 1)
    assert deployed.deployment.instance_type == A100

    for _ in range(2):
        endpoints.route_traffic(name)
    live = endpoints.endpoint(name, name)
    assert live is not None
    assert (live.state, live.traffic) == (Provisioning.READY, {"main": 100})
    assert (name, name) in list(endpoints.list_owned()), "tags survive an update"

    target = ScoringTarget(name, live.scoring_uri or "", "aad_token", SERVING)
    ask = upstream_request(BATCH_ROUTE, Chat(({"role": "user", "content": "What is 2 times two?"},)))
    assert services.scoring.score(target, ask, deployment=None)
    assert services.scoring.score(target, ask, deployment="main")

    for _ in range(2):
        endpoints.delete(name)
    assert endpoints.endpoint(name, name) is None
    assert list(endpoints.list_owned()) == []
    endpoints.route_traffic(name)
    assert endpoints.endpoint(name, name) is None


@pytest.mark.parametrize("services", ["azure"], indirect=True)
def test_the_notebooks_choices_reach_the_job(services: Services, azure_ml: Emulator) -> None:
    """Name, experiment, tags, data, compute, GPUs and parameters of the job are the plan's."""
    run, plan = planned(services)
    submit(services, run, plan)
    (job,) = azure_ml.resources("jobs")["jobs"]
    sent = job["properties"]
    assert job["name"] == run.run_id
    assert (sent["displayName"], sent["experimentName"]) == (plan.display_name, "finetune-on-upload")
    assert sent["tags"][RUN_TAG] == run.run_id
    assert sent["settings"]["force_rerun"] is True
    assert sent["settings"]["continue_on_step_failure"] is False
    assert set(sent["outputs"]) == {"mlflow_model_folder"}
    (node,) = sent["jobs"].values()
    values = {name: given.get("value") or given.get("uri") for name, given in node["inputs"].items()}
    assert values["mlflow_model_path"] == plan.base_model_id
    assert values["train_file_path"].endswith(f"/paths/{run.run_id}/train.jsonl")
    assert {
        values[f"compute_{step}"] for step in ("model_import", "preprocess", "finetune", "model_evaluation")
    } == {plan.compute}
    assert values["number_of_gpu_to_use_finetuning"] == "1"
    for name, value in plan.parameters.items():
        assert values[name] == str(value)


@pytest.mark.parametrize("services", ["azure"], indirect=True)
def test_a_failed_job_speaks_for_itself(services: Services, azure_ml: Emulator) -> None:
    """The failed step's own message, though the job has none; a history that is closed hides only that."""
    run, plan = planned(services)
    azure_ml.add_fault(job={"child": "chat_completion_finetune", "message": "CUDA out of memory"})
    submit(services, run, plan)
    job = services.training.job(run.run_id, run.run_id)
    assert job is not None
    assert job.status == "Failed"
    assert job.failure is not None
    assert "CUDA out of memory" in job.failure

    azure_ml.add_fault(match={"path": "history/v1.0"}, status=403, count=None)
    assert services.training.job(run.run_id, run.run_id) == job._replace(failure=None)


@pytest.mark.parametrize("services", ["azure"], indirect=True)
def test_submissions_of_one_process_do_not_mix(services: Services, azure_ml: Emulator) -> None:
    """Jobs that are submitted at once from several threads each get their own data and name."""
    prepared = [planned(services) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda each: submit(services, *each), prepared))
    jobs = {job["name"]: job["properties"] for job in azure_ml.resources("jobs")["jobs"]}
    assert set(jobs) == {run.run_id for run, _ in prepared}
    for name, sent in jobs.items():
        (node,) = sent["jobs"].values()
        given = msgspec.json.encode([node["inputs"], sent["inputs"]]).decode()
        assert f"/{name}/train.jsonl" in given
        assert not any(f"/{other}/" in given for other in jobs if other != name)


@pytest.mark.parametrize("services", ["azure"], indirect=True)
def test_a_submission_that_hangs_holds_up_no_other_and_has_a_deadline(
    services: Services, azure_ml: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another run's job is submitted meanwhile; the hung call ends as a service that is busy."""
    (hung, hung_plan), (other, other_plan) = planned(services), planned(services)
    fault = azure_ml.add_fault(match={"path": f"/jobs/{hung.run_id}"}, delay=60, count=None)
    limits = {**CALL_LIMITS, "read_timeout": 8, "retry_total": 0}
    monkeypatch.setattr("shared.adapters.azureml.training.CALL_LIMITS", limits)
    with ThreadPoolExecutor(1) as threads:
        submitting = threads.submit(submit, services, hung, hung_plan)
        assert wait_until(lambda: fault.hits > 0, 30)
        submit(services, other, other_plan)
        assert not submitting.done()
        with pytest.raises(TransientServiceError):
            submitting.result(timeout=60)
    azure_ml.clear_faults()
    assert services.training.job(other.run_id, other.run_id) is not None


@pytest.mark.parametrize("services", ["azure"], indirect=True)
def test_no_answer_to_the_sdk_is_read_without_end(
    services: Services, azure_ml: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of each question that azure-ai-ml asks while a job is submitted and its model registered."""
    run, plan = planned(services)
    azure_ml.forget_calls()
    submit(services, run, plan)
    services.training.register(run, plan)
    # The cloud's metadata are asked for where the operator names their address; the app reads them first.
    asked = {call["operation"] for call in azure_ml.calls()} - {"metadata.get", "identity.token"}
    assert len(asked) >= 5
    monkeypatch.setattr(transport, "ANSWER_LIMIT_BYTES", 2**20)
    for operation in asked:
        azure_ml.add_fault(match={"operation": operation}, status=200, body={"x": "x" * 2**20}, count=None)
        with pytest.raises(FinetuneError) as caught:
            submit(services, run, plan)
            services.training.register(run, plan)
        assert caught.value.code == "AnswerTooLarge", operation
        azure_ml.clear_faults()
