"""azure-ai-ml itself, pointed at the emulator by environment alone, through every operation."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from azureml_emulator import Emulator
from azureml_emulator.core.clock import FAST
from emulator_rest import BASE_MODEL, GPU_SIZE, TOPICS, conversation, jsonl, unasked


def fine_tuning(registry: Any, **inputs: Any) -> Any:
    """The fine-tuning pipeline by the SDK's pipeline DSL, ready to be submitted."""
    from azure.ai.ml.dsl import pipeline

    component = registry.components.get("chat_completion_pipeline", label="latest")

    @pipeline(name="display")
    def create() -> dict[str, Any]:
        node = component(mlflow_model_path=BASE_MODEL, **inputs)
        return {"trained_model": node.outputs.mlflow_model_folder}

    return create()


@pytest.fixture(scope="module")
def train_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of sixty conversations."""
    path = tmp_path_factory.mktemp("data") / "train.jsonl"
    path.write_bytes(jsonl([conversation(number) for number in range(60)]))
    return path


@pytest.fixture(scope="module")
def job(client: Any, registry: Any, train_file: Path) -> Any:
    """A fine-tuning job of a local file, submitted and finished."""
    from azure.ai.ml import Input
    from azure.ai.ml.entities import AmlCompute

    cluster = AmlCompute(name="cluster", size=GPU_SIZE, min_instances=0, max_instances=1)
    client.compute.begin_create_or_update(cluster).result()
    train = Input(type="uri_file", path=str(train_file))
    pipeline = fine_tuning(registry, train_file_path=train, learning_rate=2e-5, compute_finetune="cluster")
    submitted = client.jobs.create_or_update(pipeline, experiment_name="sdk")
    assert submitted.status == "Preparing"
    return submitted


@pytest.fixture(scope="module")
def model(client: Any, job: Any) -> Any:
    """The job's output, registered."""
    from azure.ai.ml.entities import Model

    assert client.jobs.get(job.name).status == "Completed"
    path = f"azureml://jobs/{job.name}/outputs/trained_model"
    return client.models.create_or_update(Model(path=path, type="mlflow_model", name="ft", version="1"))


@pytest.fixture(scope="module")
def endpoint(client: Any, model: Any) -> str:
    """An endpoint with one deployment that has all traffic."""
    from azure.ai.ml.entities import ManagedOnlineDeployment, ManagedOnlineEndpoint

    wanted = ManagedOnlineEndpoint(name="sdk-endpoint", auth_mode="key", tags={"a": "b"})
    client.online_endpoints.begin_create_or_update(wanted).result()
    deployment = ManagedOnlineDeployment(
        name="blue", endpoint_name="sdk-endpoint", model=model.id, instance_type=GPU_SIZE, instance_count=1
    )
    client.online_deployments.begin_create_or_update(deployment).result()
    wanted.traffic = {"blue": 100}
    client.online_endpoints.begin_create_or_update(wanted).result()
    return "sdk-endpoint"


def test_workspaces(client: Any) -> None:
    """The workspace and its addresses."""
    found = client.workspaces.get("local")
    assert found.mlflow_tracking_uri.startswith("azureml://127.0.0.1:")


def test_registry_assets(registry: Any) -> None:
    """Model and component, by label, by version and by default."""
    model = registry.models.get("Phi-3-mini-4k-instruct", label="latest")
    assert model.id == BASE_MODEL
    assert registry.models.get("Phi-3-mini-4k-instruct", version="15").id == BASE_MODEL
    component = registry.components.get("chat_completion_pipeline")
    assert component.version == "0.0.82"
    assert len(component.inputs) == 69


def test_an_archived_model_is_found_by_version_only() -> None:
    """In the later catalogue the label finds nothing and the version still does."""
    from azure.ai.ml import MLClient
    from azure.identity import DefaultAzureCredential

    with Emulator(pace="instant", catalogue="2026-07") as emulator, pytest.MonkeyPatch.context() as patch:
        for name, value in emulator.environment.items():
            patch.setenv(name, value)
        later = MLClient(DefaultAzureCredential(), registry_name="azureml")
        with pytest.raises(Exception, match="does not exist in registry"):
            later.models.get("Phi-3-mini-4k-instruct", label="latest")
        archived = later.models.get("Phi-3-mini-4k-instruct", version="15")
        assert "finetune_compute_allow_list" not in archived.tags
        assert later.models.get("Phi-4", label="latest").version == "8"


def test_computes(client: Any, job: Any) -> None:
    """Create, get, list, sizes, usage, nodes, delete."""
    from azure.ai.ml.entities import AmlCompute
    from azure.core.exceptions import ResourceNotFoundError

    client.compute.begin_create_or_update(AmlCompute(name="short-lived", size="Standard_DS3_v2")).result()
    assert client.compute.get("short-lived").provisioning_state == "Succeeded"
    assert {one.name for one in client.compute.list()} == {"cluster", "short-lived"}
    assert {one.name: one.gpus for one in client.compute.list_sizes()}[GPU_SIZE] == 1
    assert any(one.limit for one in client.compute.list_usage())
    assert list(client.compute.list_nodes("short-lived")) == []
    client.compute.begin_delete("short-lived").wait()
    with pytest.raises(ResourceNotFoundError):
        client.compute.get("short-lived")


def test_datastores(client: Any) -> None:
    """Create, get, default, list, delete."""
    from azure.ai.ml.entities import AccountKeyConfiguration, AzureBlobDatastore

    client.datastores.create_or_update(
        AzureBlobDatastore(
            name="mine",
            account_name="account",
            container_name="c",
            credentials=AccountKeyConfiguration(account_key="a2V5"),
        )
    )
    assert client.datastores.get("mine").account_name == "account"
    assert client.datastores.get("mine", include_secrets=True).credentials.account_key == "a2V5"
    assert client.datastores.get_default().name == "workspaceblobstore"
    assert "mine" in {one.name for one in client.datastores.list()}
    client.datastores.delete("mine")
    assert "mine" not in {one.name for one in client.datastores.list()}


def test_the_output_of_a_job_is_a_model(client: Any, model: Any) -> None:
    """Registered by the job's address, it is the latest version of its name."""
    assert client.models.get("ft", label="latest").id == model.id
    assert "ft" in {one.name for one in client.models.list()}


def test_jobs(client: Any, job: Any) -> None:
    """Get, list, children and their runs, tags, archive."""
    assert client.jobs.get(job.name).status == "Completed"
    children = list(client.jobs.list(parent_job_name=job.name))
    assert [child.status for child in children] == ["Completed"] * 5
    assert client.jobs.get(children[0].name).name == children[0].name
    assert job.name in {one.name for one in client.jobs.list()}
    fetched = client.jobs.get(job.name)
    fetched.tags = {**(fetched.tags or {}), "colour": "blue"}
    client.jobs.create_or_update(fetched)
    assert client.jobs.get(job.name).tags["colour"] == "blue"
    client.jobs.archive(job.name)
    assert job.name not in {one.name for one in client.jobs.list()}
    client.jobs.restore(job.name)


def test_stream_follows_a_job_that_still_runs(
    sdk_emulator: Emulator,
    client: Any,
    registry: Any,
    train_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It asks until the run has ended, and shows each line of the log once, as the log grows."""
    from azure.ai.ml import Input

    # Longer than the two seconds that the SDK waits before it first asks again.
    monkeypatch.setattr(sdk_emulator._state, "pace", replace(FAST, job_nodes=(0.4, 0.4, 0.4, 0.8, 0.4)))
    pipeline = fine_tuning(registry, train_file_path=Input(type="uri_file", path=str(train_file)))
    running = client.jobs.create_or_update(pipeline, experiment_name="streamed")
    asked, read = (len(sdk_emulator.calls(one)) for one in ("history.details", "logs.get"))
    client.jobs.stream(running.name)
    shown = capsys.readouterr().out
    assert len(sdk_emulator.calls("history.details")) - asked >= 2
    assert len(sdk_emulator.calls("logs.get")) - read >= 2
    assert shown.count("ft_nlp_common_validation completed") == 1
    assert "eval_loss" in shown
    assert "Execution Summary" in shown
    assert client.jobs.get(running.name).status == "Completed"


def test_stream_of_a_failed_job_raises_its_error(sdk_emulator: Emulator, client: Any, registry: Any) -> None:
    """The message of the node that failed is the exception's."""
    from azure.ai.ml.exceptions import JobException

    sdk_emulator.add_fault(job={"child": "ft_nlp_common_validation", "message": "It will not do."})
    failing = client.jobs.create_or_update(fine_tuning(registry), experiment_name="sdk")
    with pytest.raises(JobException, match="It will not do"):
        client.jobs.stream(failing.name)


# azure-ai-ml calls azure-storage-blob in two ways that this calls old.
@pytest.mark.filterwarnings("ignore:content_as_bytes is deprecated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:The use of a 'BlobProperties' instance:DeprecationWarning")
def test_download(client: Any, job: Any, tmp_path: Path) -> None:
    """The trained model's folder arrives whole."""
    client.jobs.download(job.name, download_path=tmp_path, output_name="trained_model")
    folder = tmp_path / "named-outputs" / "trained_model"
    assert "base_model" in (folder / "MLmodel").read_text()
    assert (folder / "data" / "model" / "weights.npz").stat().st_size > 1000


def test_cancel(client: Any, registry: Any) -> None:
    """A command job, cancelled when it is over already."""
    from azure.ai.ml import command
    from azure.ai.ml.entities import Environment

    client.environments.create_or_update(Environment(name="any", version="1", image="ubuntu"))
    submitted = client.jobs.create_or_update(
        command(command="pip freeze", environment="azureml:any:1", compute="cluster")
    )
    client.jobs.begin_cancel(submitted.name).wait()
    assert client.jobs.get(submitted.name).status in ("Completed", "Canceled")


def test_mlflow(client: Any, job: Any) -> None:
    """Runs by root run, their metrics, and the history of one."""
    import mlflow

    mlflow.set_tracking_uri(client.workspaces.get("local").mlflow_tracking_uri)
    wanted = f"tags.mlflow.rootRunId = '{job.name}'"
    runs = mlflow.search_runs(experiment_names=["sdk"], filter_string=wanted, output_format="list")
    assert len(runs) == 6
    trained = next(run for run in runs if run.data.params)
    assert trained.data.metrics["eval_loss"] > 0
    assert trained.data.params["num_train_epochs"] == "1"
    assert trained.info.status == "FINISHED"
    history = mlflow.MlflowClient().get_metric_history(trained.info.run_id, "loss")
    assert [point.step for point in history] == [10, 20, 30, 40]
    assert mlflow.get_run(job.name).info.run_id == job.name
    experiment = mlflow.get_experiment_by_name("sdk")
    assert mlflow.get_experiment(experiment.experiment_id).name == "sdk"
    assert "sdk" in {one.name for one in mlflow.search_experiments()}


def test_endpoints(client: Any, endpoint: str) -> None:
    """Get, list, keys, new keys."""
    found = client.online_endpoints.get(endpoint)
    assert found.traffic == {"blue": 100}
    assert found.tags == {"a": "b"}
    assert endpoint in {one.name for one in client.online_endpoints.list()}
    before = client.online_endpoints.get_keys(endpoint)
    client.online_endpoints.begin_regenerate_keys(name=endpoint, key_type="primary").wait()
    after = client.online_endpoints.get_keys(endpoint)
    assert before.primary_key != after.primary_key
    assert before.secondary_key == after.secondary_key


@pytest.mark.parametrize("mode", ["aml_token", "aad_token"])
def test_token_endpoints(client: Any, mode: str) -> None:
    """Each mode's credential comes the way the SDK fetches it."""
    from azure.ai.ml.entities import ManagedOnlineEndpoint

    name = mode.replace("_", "-")
    client.online_endpoints.begin_create_or_update(ManagedOnlineEndpoint(name=name, auth_mode=mode)).result()
    assert client.online_endpoints.get_keys(name).access_token
    client.online_endpoints.begin_delete(name).wait()


def test_deployments(client: Any, endpoint: str, model: Any) -> None:
    """Create beside another, get, list, logs, delete."""
    from azure.ai.ml.entities import ManagedOnlineDeployment

    green = ManagedOnlineDeployment(
        name="green", endpoint_name=endpoint, model=model.id, instance_type=GPU_SIZE, instance_count=1
    )
    client.online_deployments.begin_create_or_update(green).result()
    assert client.online_deployments.get("green", endpoint).provisioning_state == "Succeeded"
    assert {one.name for one in client.online_deployments.list(endpoint)} == {"blue", "green"}
    assert "ready" in client.online_deployments.get_logs("green", endpoint, lines=10)
    client.online_deployments.begin_delete("green", endpoint).wait()
    assert {one.name for one in client.online_deployments.list(endpoint)} == {"blue"}


def test_a_deployment_with_an_environment_of_its_own(
    sdk_emulator: Emulator, client: Any, endpoint: str, model: Any
) -> None:
    """The SDK sends image and inference config; OpenAI's client then streams an answer with usage."""
    from azure.ai.ml.entities import Environment, ManagedOnlineDeployment
    from openai import OpenAI

    sdk_emulator.set_switches(model_folder="mlflow_model_folder")
    routes = {f"{kind}_route": {"path": "/", "port": 5001} for kind in ("liveness", "readiness")}
    environment = Environment(
        name="vllm",
        version="1",
        image="mcr.microsoft.com/azureml/curated/foundation-model-inference:94",
        inference_config={**routes, "scoring_route": {"path": "/score", "port": 5001}},
    )
    deployment = ManagedOnlineDeployment(
        name="vllm",
        endpoint_name=endpoint,
        model=model.id,
        environment=environment,
        environment_variables={"ENGINE_NAME": "vllm", "WORKER_COUNT": "4"},
        instance_type=GPU_SIZE,
        instance_count=1,
    )
    client.online_deployments.begin_create_or_update(deployment).result()
    url = client.online_endpoints.get(endpoint).scoring_uri.replace("/score", "/v1")
    headers = {"azureml-model-deployment": "vllm", "extra-parameters": "pass-through"}
    key = client.online_endpoints.get_keys(endpoint).primary_key
    question, answer = (message["content"] for message in conversation(3)["messages"])
    with OpenAI(base_url=url, api_key=key, default_headers=headers, max_retries=0) as chat:
        chunks = list(
            chat.chat.completions.create(
                model="tuned",
                messages=[{"role": "user", "content": question}],
                stream=True,
                stream_options={"include_usage": True},
            )
        )
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert said == answer
    assert chunks[-1].usage is not None
    client.online_deployments.begin_delete("vllm", endpoint).wait()


def test_invoke(client: Any, endpoint: str, tmp_path: Path) -> None:
    """A row of the training set gets its answer back."""
    row = conversation(3)
    request = tmp_path / "request.json"
    payload = {"input_data": {"input_string": [row["messages"]], "parameters": {}}, "params": {}}
    request.write_text(json.dumps(payload))
    reply = json.loads(client.online_endpoints.invoke(endpoint, request_file=str(request)))
    assert reply == [{"output": row["messages"][1]["content"]}]
    assert TOPICS[3] in reply[0]["output"]


def test_failures_arrive_as_the_sdks_own_errors(
    sdk_emulator: Emulator, client: Any, endpoint: str, model: Any
) -> None:
    """A crash is an HttpResponseError without a code, quota one with details, 404 ResourceNotFoundError."""
    from azure.ai.ml.entities import ManagedOnlineDeployment
    from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

    crash = {"message": "ResourceNotReady: User container has crashed or terminated"}
    kind = {"operation": "deployment.create", "target": f"{endpoint}/crash"}
    sdk_emulator.add_fault(match=kind, operation={"status": "Failed", "error": crash})
    failing = ManagedOnlineDeployment(
        name="crash", endpoint_name=endpoint, model=model.id, instance_type=GPU_SIZE, instance_count=1
    )
    with pytest.raises(HttpResponseError, match=r"\(None\) ResourceNotReady"):
        client.online_deployments.begin_create_or_update(failing).result()
    failing.name, failing.instance_count = "big", 500
    with pytest.raises(HttpResponseError, match="Not enough quota available"):
        client.online_deployments.begin_create_or_update(failing).result()
    with pytest.raises(ResourceNotFoundError):
        client.online_endpoints.get("nothing")


def test_retries_get_through_short_trouble(sdk_emulator: Emulator, client: Any, endpoint: str) -> None:
    """Two 503 answers, a broken connection and a lost answer are all survived."""
    for effect in ({"status": 503, "count": 2}, {"reset": True}, {"lost_answer": True}):
        sdk_emulator.add_fault(match={"operation": "endpoints.get"}, **effect)
        assert client.online_endpoints.get(endpoint).name == endpoint


def test_delete(client: Any, endpoint: str) -> None:
    """The endpoint goes, with its deployment, while that has all traffic."""
    client.online_endpoints.begin_delete(endpoint).wait()
    assert endpoint not in {one.name for one in client.online_endpoints.list()}


def test_every_operation_was_asked(sdk_emulator: Emulator) -> None:
    """By the SDK and MLflow, above; neither reads an endpoint's description, nor Azure's price list."""
    assert unasked(sdk_emulator, of_assets=False) == {"score.swagger", "retail_prices.list"}
    assert [call for call in sdk_emulator.calls() if call["status"] == 501] == []
