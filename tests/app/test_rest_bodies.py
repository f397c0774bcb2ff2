"""What the adapters send is what unmodified azure-ai-ml sends for the same thing, byte for byte as JSON."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
from azure.core.exceptions import HttpResponseError
from azure.core.pipeline.transport import RequestsTransport
from azure.identity import DefaultAzureCredential
from azureml_emulator import Emulator

from local.azurite import Azurite
from shared.adapters.azureml.workspace import compute_body
from shared.adapters.storage.account import blob_service, datastore_address
from shared.config import Settings
from shared.domain.run.names import INSTALLATION_TAG
from shared.domain.serving.deployment import ENVIRONMENT_NAME, Deployment, ServingEnvironment
from shared.ports import Services
from tests.app.builders import PLAIN
from tests.app.conftest import connected
from tests.app.worlds import EXAMPLE

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

NAME = "ft-bodies-0123456789"
MODEL = "azureml://registries/azureml/models/Phi-4/versions/8"
A100 = "Standard_NC24ads_A100_v4"
TAGS = {"finetune-on-upload-run": NAME}

Put = tuple[str, dict[str, list[str]], Any]


@pytest.fixture
def puts(monkeypatch: pytest.MonkeyPatch) -> list[Put]:
    """Every PUT to Azure ML that leaves this process through azure-core: path, query, decoded body."""
    seen: list[Put] = []
    send = RequestsTransport.send

    def watch(self: RequestsTransport, request: Any, **kwargs: Any) -> Any:
        parts = urlsplit(request.url)
        if request.method == "PUT" and parts.path.startswith("/subscriptions/"):
            body = request.content if hasattr(request, "content") else request.data
            seen.append((parts.path, parse_qs(parts.query), json.loads(body)))
        return send(self, request, **kwargs)

    monkeypatch.setattr(RequestsTransport, "send", watch)
    return seen


@pytest.fixture
def services(azure_ml: Emulator, azurite: Azurite) -> Services:
    """The real adapters."""
    return connected(azure_ml, azurite)


@pytest.fixture
def sdk(azure_ml: Emulator) -> Iterator[MLClient]:
    """The SDK's own client of the same workspace."""
    from azure.ai.ml import MLClient

    with DefaultAzureCredential() as credential:
        yield MLClient(
            credential,
            EXAMPLE["AZURE_SUBSCRIPTION_ID"],
            EXAMPLE["AZURE_RESOURCE_GROUP"],
            EXAMPLE["AZUREML_WORKSPACE"],
        )


def sent(puts: list[Put], act: Callable[[], object]) -> Put:
    """The one PUT that an action makes; what comes of it does not matter here."""
    puts.clear()
    with contextlib.suppress(HttpResponseError):
        act()
    (put,) = puts
    return put


def test_the_endpoint(services: Services, sdk: MLClient, puts: list[Put]) -> None:
    """A new endpoint without traffic."""
    from azure.ai.ml.entities import ManagedOnlineEndpoint

    ours = sent(puts, lambda: services.endpoints.create(NAME, auth_mode="aad_token", tags=TAGS))
    tags = ours[2]["tags"]
    assert tags.keys() == {*TAGS, INSTALLATION_TAG}
    same = ManagedOnlineEndpoint(name=NAME, auth_mode="aad_token", tags=tags)
    theirs = sent(puts, lambda: sdk.online_endpoints.begin_create_or_update(same).result(30))
    assert ours == theirs


def test_the_traffic(services: Services, sdk: MLClient, puts: list[Put]) -> None:
    """The same endpoint with everything on the one deployment."""
    services.endpoints.create(NAME, auth_mode="aad_token", tags=TAGS)
    services.endpoints.deploy(
        NAME, PLAIN, environment_id=None, model_id=MODEL, instance_type=A100, instance_count=1
    )

    def update() -> None:
        endpoint = sdk.online_endpoints.get(NAME)
        endpoint.traffic = {"main": 100}
        sdk.online_endpoints.begin_create_or_update(endpoint).result(30)

    theirs = sent(puts, update)
    ours = sent(puts, lambda: services.endpoints.route_traffic(NAME))
    assert _meaning(ours) == _meaning(theirs)


def _meaning(put: Put) -> Put:
    """A PUT without what the SDK only echoes from the answer to its GET."""
    path, query, body = put
    properties = {key: value for key, value in body["properties"].items() if key != "properties"}
    kept = ("location", "tags", "identity")
    return path, query, {key: body.get(key) for key in kept} | {"properties": properties}


def test_the_deployment(services: Services, sdk: MLClient, puts: list[Put]) -> None:
    """A model by its id in an environment, with variables, probes and limits."""
    from azure.ai.ml.entities import ManagedOnlineDeployment, OnlineRequestSettings, ProbeSettings

    services.endpoints.create(NAME, auth_mode="aad_token", tags=TAGS)
    environment = services.endpoints.ensure_environment(ServingEnvironment("some/image:1"))
    deployment = ManagedOnlineDeployment(
        name="main",
        endpoint_name=NAME,
        model=MODEL,
        environment=environment,
        environment_variables={"WORKER_COUNT": "8"},
        instance_type=A100,
        instance_count=2,
        liveness_probe=ProbeSettings(initial_delay=600, period=100, timeout=30, failure_threshold=30),
        readiness_probe=ProbeSettings(initial_delay=60, period=30, timeout=30, failure_threshold=60),
        request_settings=OnlineRequestSettings(
            request_timeout_ms=180_000, max_concurrent_requests_per_instance=8
        ),
    )
    theirs = sent(puts, lambda: sdk.online_deployments.begin_create_or_update(deployment).result(30))
    asked = Deployment(ServingEnvironment("some/image:1"), {"WORKER_COUNT": "8"}, 8)
    ours = sent(
        puts,
        lambda: services.endpoints.deploy(
            NAME,
            asked,
            environment_id=environment,
            model_id=MODEL,
            instance_type=A100,
            instance_count=2,
        ),
    )
    assert ours == theirs


def test_the_environment(services: Services, sdk: MLClient, puts: list[Put]) -> None:
    """An image, and where its container answers; a version that is there is not put again."""
    from azure.ai.ml.entities import Environment

    asked = ServingEnvironment("some/image:2")
    ours = sent(puts, lambda: services.endpoints.ensure_environment(asked))
    root = {"path": "/", "port": 5001}
    same = Environment(
        name=ENVIRONMENT_NAME,
        version=asked.version,
        image="some/image:2",
        inference_config={
            "liveness_route": root,
            "readiness_route": root,
            "scoring_route": {"path": "/score", "port": 5001},
        },
    )
    theirs = sent(puts, lambda: sdk.environments.create_or_update(same))
    assert ours == theirs
    puts.clear()
    services.endpoints.ensure_environment(asked)
    assert puts == []


def test_the_cluster(services: Services, sdk: MLClient, puts: list[Put]) -> None:
    """A GPU cluster that scales to zero within two minutes."""
    from azure.ai.ml.entities import AmlCompute

    cluster = AmlCompute(
        name="gpu-cluster",
        size=A100,
        tier="dedicated",
        min_instances=0,
        max_instances=3,
        idle_time_before_scale_down=120,
        ssh_public_access_enabled=False,
    )
    theirs = sent(puts, lambda: sdk.compute.begin_create_or_update(cluster).result(30))
    ours = sent(puts, lambda: services.workspace.create_compute("gpu-cluster", A100, max_nodes=3))
    assert ours == theirs


def test_a_cluster_with_an_identity(sdk: MLClient, puts: list[Put]) -> None:
    """Jobs read data as the identity that a setting names."""
    from azure.ai.ml.entities import AmlCompute, IdentityConfiguration, ManagedIdentityConfiguration

    identity = (
        "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/local"
        "/providers/Microsoft.ManagedIdentity/userAssignedIdentities/training"
    )
    cluster = AmlCompute(
        name="gpu-cluster",
        size=A100,
        tier="dedicated",
        min_instances=0,
        max_instances=3,
        idle_time_before_scale_down=120,
        ssh_public_access_enabled=False,
        identity=IdentityConfiguration(
            type="user_assigned",
            user_assigned_identities=[ManagedIdentityConfiguration(resource_id=identity)],
        ),
    )
    _, _, theirs = sent(puts, lambda: sdk.compute.begin_create_or_update(cluster).result(30))
    ours = compute_body("localregion", A100, 3, identity)
    assert ours["identity"]["type"].lower().replace("_", "") == theirs["identity"]["type"].lower().replace(
        "_", ""
    )
    assert list(ours["identity"]["userAssignedIdentities"]) == list(
        theirs["identity"]["userAssignedIdentities"]
    )


def test_the_datastore(services: Services, sdk: MLClient, puts: list[Put], azurite: Azurite) -> None:
    """A blob datastore without credentials, at the account's own address."""
    from azure.ai.ml.entities import AzureBlobDatastore

    ours = sent(puts, services.workspace.ensure_datastore)
    settings = Settings.from_env({**EXAMPLE, "TrainingStorage": azurite.connection_string})
    with DefaultAzureCredential() as credential, blob_service(settings.storage, credential) as service:
        address = datastore_address(service)
    datastore = AzureBlobDatastore(
        name="finetune_datasets",
        account_name=address.account,
        container_name="datasets",
        endpoint=address.endpoint,
        protocol=address.protocol,
    )
    theirs = sent(puts, lambda: sdk.datastores.create_or_update(datastore))
    assert ours == theirs


def test_metrics_are_asked_for_as_mlflows_own_client_does(azure_ml: Emulator, services: Services) -> None:
    """Of the same addresses, and what is read of the answers is the same."""
    from mlflow.tracking import MlflowClient

    experiment = {"experiment_id": "7", "name": EXAMPLE["EXPERIMENT_NAME"], "lifecycle_stage": "active"}
    points = [
        {"key": "loss", "value": 3.0 - step, "timestamp": str(step), "step": str(step)} for step in (1, 2)
    ]
    odd = {"key": "grad_norm", "value": "NaN", "timestamp": "2", "step": "2"}
    found = {
        "info": {"run_id": NAME, "run_uuid": NAME, "experiment_id": "7", "status": "FINISHED"},
        "data": {"metrics": [points[-1], odd], "params": [], "tags": []},
    }
    for path, body in (
        ("experiments/get-by-name", {"experiment": experiment}),
        ("runs/search", {"runs": [found]}),
        ("metrics/get-history", {"metrics": points}),
    ):
        azure_ml.add_fault(match={"path": path}, status=200, body=body, count=None)

    def asked() -> list[tuple[str, str]]:
        return [
            (call["method"], call["path"]) for call in azure_ml.calls() if "/api/2.0/mlflow/" in call["path"]
        ]

    metrics = services.metrics.read(NAME)
    ours = asked()
    azure_ml.forget_calls()
    client = MlflowClient(tracking_uri=services.workspace.facts.tracking_uri)  # type: ignore[attr-defined]
    known = client.get_experiment_by_name(EXAMPLE["EXPERIMENT_NAME"])
    assert known is not None
    (run,) = client.search_runs([known.experiment_id], f"tags.mlflow.rootRunId='{NAME}'")
    history = client.get_metric_history(NAME, "loss")
    assert ours == asked()
    assert metrics.latest == {"loss": run.data.metrics["loss"]}
    assert [(point.step, point.value) for point in metrics.history["loss"]] == [
        (point.step, point.value) for point in history
    ]
