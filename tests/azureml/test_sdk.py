"""azure-ai-ml itself, pointed at the emulator by environment alone, through every operation."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.azureml import Emulator
from tests.azureml.conftest import BASE_MODEL, GPU_SIZE, TOPICS, conversation, jsonl

# The SDK's own warnings (experimental classes, pkg_resources, marshmallow) are not ours to mend.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def sdk_emulator() -> Iterator[Emulator]:
    """One emulator for the module, whose environment this process has meanwhile."""
    with Emulator(pace="instant") as emulator, pytest.MonkeyPatch.context() as patch:
        for name, value in emulator.environment.items():
            patch.setenv(name, value)
        yield emulator


@pytest.fixture(scope="module")
def client(sdk_emulator: Emulator) -> Any:
    """A workspace client with a plain DefaultAzureCredential."""
    from azure.ai.ml import MLClient
    from azure.identity import DefaultAzureCredential

    settings = sdk_emulator.cloud.settings
    return MLClient(
        DefaultAzureCredential(), settings.subscription, settings.resource_group, settings.workspace
    )


@pytest.fixture(scope="module")
def registry(sdk_emulator: Emulator) -> Any:
    """A client of the public registry."""
    from azure.ai.ml import MLClient
    from azure.identity import DefaultAzureCredential

    return MLClient(DefaultAzureCredential(), registry_name="azureml")


@pytest.fixture(scope="module")
def job(client: Any, registry: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A fine-tuning job of a local file, submitted by the SDK's pipeline DSL and finished."""
    from azure.ai.ml import Input
    from azure.ai.ml.dsl import pipeline
    from azure.ai.ml.entities import AmlCompute

    train = tmp_path_factory.mktemp("data") / "train.jsonl"
    train.write_bytes(jsonl([conversation(number) for number in range(60)]))
    cluster = AmlCompute(name="cluster", size=GPU_SIZE, min_instances=0, max_instances=1)
    client.compute.begin_create_or_update(cluster).result()
    component = registry.components.get("chat_completion_pipeline", label="latest")

    @pipeline(name="display")
    def create() -> dict[str, Any]:
        node = component(
            mlflow_model_path=BASE_MODEL,
            train_file_path=Input(type="uri_file", path=str(train)),
            learning_rate=2e-5,
            compute_finetune="cluster",
        )
        return {"trained_model": node.outputs.mlflow_model_folder}

    submitted = client.jobs.create_or_update(create(), experiment_name="sdk")
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


def test_a_registry_of_ones_own(sdk_emulator: Emulator, tmp_path: Path) -> None:
    """A local file is uploaded and put by a long-running operation."""
    from azure.ai.ml import MLClient
    from azure.ai.ml.entities import Data
    from azure.identity import DefaultAzureCredential

    own = MLClient(DefaultAzureCredential(), registry_name=sdk_emulator.cloud.settings.registry)
    path = tmp_path / "rows.jsonl"
    path.write_bytes(jsonl([conversation(1)]))
    data = Data(name="rows", version="7", type="uri_file", path=str(path))
    assert own.data.create_or_update(data).version == "7"
    assert own.data.get("rows", version="7").name == "rows"


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


def test_data_assets(client: Any, tmp_path: Path) -> None:
    """A local file becomes a version, found by version and by label; the next one is numbered."""
    from azure.ai.ml.entities import Data

    path = tmp_path / "rows.jsonl"
    path.write_bytes(jsonl([conversation(1)]))
    first = client.data.create_or_update(Data(name="rows", type="uri_file", path=str(path)))
    path.write_bytes(jsonl([conversation(2)]))
    second = client.data.create_or_update(Data(name="rows", type="uri_file", path=str(path)))
    assert (first.version, second.version) == ("1", "2")
    assert client.data.get("rows", label="latest").path == second.path
    assert [one.version for one in client.data.list("rows")] == ["1", "2"]


def test_models(client: Any, model: Any, tmp_path: Path) -> None:
    """A job's output and a local folder; latest and list."""
    from azure.ai.ml.entities import Model

    assert client.models.get("ft", label="latest").id == model.id
    (tmp_path / "MLmodel").write_text("flavors: {}\n")
    local = client.models.create_or_update(
        Model(path=str(tmp_path), type="mlflow_model", name="local-folder")
    )
    assert local.version == "1"
    assert {one.name for one in client.models.list()} >= {"ft", "local-folder"}


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


def test_stream(client: Any, job: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """A finished job's stream ends with its summary."""
    client.jobs.stream(job.name)
    assert job.name in capsys.readouterr().out


def test_stream_of_a_failed_job_raises_its_error(sdk_emulator: Emulator, client: Any, registry: Any) -> None:
    """The message of the node that failed is the exception's."""
    from azure.ai.ml.dsl import pipeline
    from azure.ai.ml.exceptions import JobException

    sdk_emulator.add_fault(job={"child": "ft_nlp_common_validation", "message": "It will not do."})
    component = registry.components.get("chat_completion_pipeline", label="latest")

    @pipeline(name="failing")
    def create() -> dict[str, Any]:
        node = component(mlflow_model_path=BASE_MODEL)
        return {"trained_model": node.outputs.mlflow_model_folder}

    failing = client.jobs.create_or_update(create(), experiment_name="sdk")
    with pytest.raises(JobException, match="It will not do"):
        client.jobs.stream(failing.name)


def test_download(client: Any, job: Any, tmp_path: Path) -> None:
    """The trained model's folder arrives whole."""
    client.jobs.download(job.name, download_path=tmp_path, output_name="trained_model")
    folder = tmp_path / "named-outputs" / "trained_model"
    assert "base_model" in (folder / "MLmodel").read_text()
    assert (folder / "data" / "weights.npz").stat().st_size > 1000


def test_cancel(client: Any, registry: Any) -> None:
    """A command job, cancelled when it is over already."""
    from azure.ai.ml import command

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
    trained = next(run for run in runs if "train_loss" in run.data.metrics)
    assert trained.data.metrics["eval_loss"] > 0
    assert trained.data.params["num_train_epochs"] == "1"
    assert trained.info.status == "FINISHED"
    history = mlflow.MlflowClient().get_metric_history(trained.info.run_id, "loss")
    assert [point.step for point in history] == [10, 20, 30, 40]
    assert mlflow.get_run(job.name).info.run_id == job.name


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


def test_nothing_was_asked_that_is_not_served(sdk_emulator: Emulator) -> None:
    """Through all of the above no call went unanswered."""
    assert [call for call in sdk_emulator.calls() if call["status"] == 501] == []
