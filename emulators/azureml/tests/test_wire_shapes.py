"""The shapes of the service's answers, as recorded, held against the emulator's.

``wire_shapes.json`` has one entry for each answer: the operation, which half of it (answer, change of what
is there, refusal), how it is known and since when, the status, the headers and every field with its type.
They were taken down from the public test recordings of azure-sdk-for-python and from what azure-ai-ml
accepts. A field that was recorded and that the emulator never sends fails here; ``null`` in a recording says
nothing of the type.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from azureml_emulator import Emulator, ManualClock, Settings
from azureml_emulator.core.switches import Switches
from azureml_emulator.routes import ROUTES
from emulator_rest import BASE_MODEL, COMPONENT, GPU_SIZE, Rest, chat, conversation
from wire_shapes import SHAPES, differences, missing

DATA = "2021-10-01-dataplanepreview"


class Answers:
    """Every answer of the file, asked of a running emulator once."""

    def __init__(self, rest: Rest, clock: ManualClock) -> None:
        self.rest, self.clock = rest, clock
        self.by_title: dict[str, httpx.Response] = {}

    def collect(self) -> dict[str, httpx.Response]:
        """Asks for all of them."""
        self.rest.upload("t.jsonl", [conversation(number) for number in range(30)])
        for ask in (
            self.openings,
            self.registry,
            self.compute,
            self.storage,
            self.assets,
            self.jobs,
            self.history,
            self.endpoints,
            self.deployments,
            self.failures,
        ):
            ask()
        return self.by_title

    def openings(self) -> None:
        """What any client asks first."""
        rest, got = self.rest, self.by_title
        got["cloud metadata"] = rest.http.get("/metadata/endpoints")
        got["managed identity token"] = rest.http.get(
            "/msi/token",
            params={"resource": "https://ml.azure.com"},
            headers={"X-IDENTITY-HEADER": rest.settings.identity_secret},
        )
        got["workspace"] = rest("GET", "")
        got["discovery"] = rest.http.get("/discovery")
        got["vm sizes"] = rest("GET", f"/{rest.settings.location_path}/vmSizes")
        got["usages"] = rest("GET", f"/{rest.settings.location_path}/usages")

    def registry(self) -> None:
        """The public registry."""
        rest, got = self.rest, self.by_title
        found = rest.http.get("/registrymanagement/v1.0/registries/azureml/discovery")
        got["registry discovery"] = found
        got["registry discovery refused"] = rest.http.get(
            "/registrymanagement/v1.0/registries/other/discovery"
        )
        root = (
            f"//mferp/managementfrontend/subscriptions/{found.json()['subscriptionId']}/resourceGroups/"
            f"{found.json()['resourceGroup']}/providers/Microsoft.MachineLearningServices"
        )
        model = BASE_MODEL.removeprefix("azureml:/")
        got["registry model"] = rest("GET", root + model, version=DATA)
        component = COMPONENT.removeprefix("azureml:/").rpartition("/")[0]
        got["registry component list"] = rest("GET", root + component, version=DATA)
        rows = f"{root}/registries/{rest.settings.registry}/data/rows/versions/foo"
        data = {"properties": {"dataType": "uri_file", "dataUri": f"{rest.emulator.url}/c/rows.jsonl"}}
        got["registry asset put"] = rest("PUT", rows, data, version=DATA)
        operation = got["registry asset put"].headers["Location"]
        got["registry operation running"] = rest("GET", operation, version=None)
        self.clock.advance(60)
        got["registry operation done"] = rest("GET", operation, version=None)

    def compute(self) -> None:
        """A cluster's life."""
        rest, got = self.rest, self.by_title
        scale = {"minNodeCount": 0, "maxNodeCount": 1, "nodeIdleTimeBeforeScaleDown": "PT1M40S"}
        inner = {"vmSize": GPU_SIZE, "scaleSettings": scale}
        cluster = {"computeType": "AmlCompute", "description": "d", "properties": inner}
        got["compute put"] = rest("PUT", "/computes/gpu", {"location": "local", "properties": cluster})
        got["compute operation running"] = rest("GET", got["compute put"].headers["Azure-AsyncOperation"])
        self.clock.advance(60)
        got["compute operation done"] = rest("GET", got["compute put"].headers["Azure-AsyncOperation"])
        got["compute"] = rest("GET", "/computes/gpu")
        got["compute delete"] = rest("DELETE", "/computes/gpu")
        got["compute missing"] = rest("GET", "/computes/nothing")

    def storage(self) -> None:
        """Datastores and blobs."""
        rest, got = self.rest, self.by_title
        body = {
            "properties": {
                "credentials": {"credentialsType": "None"},
                "datastoreType": "AzureBlob",
                "accountName": "account",
                "containerName": "c",
                "endpoint": "core.windows.net",
                "protocol": "https",
            }
        }
        got["datastore put"] = rest("PUT", "/datastores/own", body, skipValidation="true")
        got["workspace datastore"] = rest("GET", "/datastores/workspaceblobstore")
        secrets = rest("POST", "/datastores/workspaceblobstore/listSecrets")
        got["datastore secrets"] = secrets
        got["datastore without secrets"] = rest("POST", "/datastores/own/listSecrets")
        url = f"/container/name{secrets.json()['sasToken']}"
        version = {"x-ms-version": "2025-01-05"}
        got["blob missing"] = rest.http.head(url, headers=version)
        got["blob put"] = rest.http.put(url, content=b"bytes", headers=version)
        metadata = {"x-ms-meta-name": "n", "x-ms-meta-version": "1", "x-ms-meta-upload_status": "completed"}
        got["blob metadata put"] = rest.http.put(f"{url}&comp=metadata", headers={**version, **metadata})
        got["blob head"] = rest.http.head(url, headers=version)

    def assets(self) -> None:
        """Data and models."""
        rest, got = self.rest, self.by_title
        data = {
            "properties": {"dataType": "uri_file", "dataUri": rest.upload("d.jsonl", b""), "description": "d"}
        }
        got["data put"] = rest("PUT", "/data/d/versions/foo", data)
        got["data container"] = rest("GET", "/data/d")
        got["model missing"] = rest("GET", "/models/none/versions")
        model = {"properties": {"modelType": "custom_model", "modelUri": rest.upload("m.pkl", b"")}}
        got["model put"] = rest("PUT", "/models/m/versions/1", model)
        got["model put again"] = rest("PUT", "/models/m/versions/1", model)

    def jobs(self) -> None:
        """Pipeline and command jobs."""
        rest, got = self.rest, self.by_title
        inputs = {"train_file_path": "azureml://datastores/workspaceblobstore/paths/t.jsonl"}
        cluster = rest.compute().json()["id"]
        self.clock.advance(60)
        described = {"description": "d", "tags": {"a": "b"}, "settings": {"_source": "DSL"}}
        got["pipeline job put"] = rest.submit("job", inputs, computeId=cluster, **described)
        got["job name taken"] = rest.submit("job", {})
        self.clock.advance(6 * 3600)
        got["pipeline job"] = rest("GET", "/jobs/job")
        command = {
            "jobType": "Command",
            "command": "pip freeze",
            "identity": {"identityType": "AMLToken"},
            "inputs": {"data": {"uri": "azureml://datastores/workspaceblobstore/paths/t.jsonl"}},
        }
        got["command job put"] = rest("PUT", "/jobs/command", {"properties": command})
        got["job cancel"] = rest("POST", "/jobs/command/cancel")
        rest.submit(
            "failing", {"train_file_path": "azureml://datastores/workspaceblobstore/paths/none.jsonl"}
        )
        self.clock.advance(6 * 3600)
        rest("GET", "/jobs/failing")

    def history(self) -> None:
        """Run history and MLflow."""
        rest, got = self.rest, self.by_title
        root = f"//history/v1.0{rest.settings.workspace_arm_id}"
        runs = rest("GET", f"{root}/runs/failing/children", version="v1.0")
        failed = [run for run in runs.json()["value"] if run["status"] == "Failed"]
        got["child runs of a failed job"] = httpx.Response(200, json={"value": failed})
        got["run details"] = rest("GET", f"{root}/runs/job/details", version="v1.0")
        got["run data"] = rest("POST", f"{root}/rundata", {"runId": "job"}, version="v1.0")
        output = got["run data"].json()["runMetadata"]["outputs"]["trained_model"]["assetId"]
        resolve = f"//data/v1.0{rest.settings.workspace_arm_id}/dataversion/batchGetResolvedUris"
        got["resolved output addresses"] = rest("POST", resolve, {"values": [output]}, version="1.5.0")
        assert set(got["resolved output addresses"].json()["values"]) == {output}
        path = f"{root}/experiments/exp/runs/job"
        got["run patch"] = rest("PATCH", path, {"tags": {"x": "y"}}, version="v1.0")
        mlflow = f"//mlflow/v2.0{rest.settings.workspace_arm_id}/api/2.0/mlflow"
        search = {"filter": "metrics.epoch > 0"}
        run = rest("POST", f"{mlflow}/runs/search", search, version=None).json()["runs"][0]["info"]["run_id"]
        got["mlflow run"] = rest("GET", f"{mlflow}/runs/get", version=None, run_id=run)
        history = f"{mlflow}/metrics/get-history"
        got["mlflow metric history"] = rest("GET", history, version=None, run_id=run, metric_key="loss")

    def endpoints(self) -> None:
        """Endpoints, their keys and tokens."""
        rest, got = self.rest, self.by_title
        got["endpoint put"] = rest.endpoint("token", authMode="AMLToken", description="d")
        operation = got["endpoint put"].headers["Azure-AsyncOperation"]
        got["operation running"] = rest("GET", operation)
        self.clock.advance(3600)
        got["operation done"] = rest("GET", operation)
        got["endpoint"] = rest("GET", "/onlineEndpoints/token")
        got["no deployments"] = rest("GET", "/onlineEndpoints/token/deployments")
        got["endpoint token"] = rest("POST", "/onlineEndpoints/token/token")
        rest.endpoint()
        self.clock.advance(3600)
        got["endpoint keys"] = rest("POST", "/onlineEndpoints/chat/listKeys")
        regenerate = {"keyType": "Secondary", "keyValue": "x"}
        got["endpoint keys regenerated"] = rest("POST", "/onlineEndpoints/chat/regenerateKeys", regenerate)
        self.clock.advance(3600)

    def deployments(self) -> None:
        """Deployments and scoring."""
        rest, got = self.rest, self.by_title
        model = rest.model()
        got["deployment put"] = rest.deploy(model)
        self.clock.advance(3600)
        got["deployments"] = rest("GET", "/onlineEndpoints/chat/deployments")
        got["deployment update"] = rest.deploy(model)
        self.clock.advance(3600)
        got["traffic update"] = rest.endpoint(description="d", traffic={"main": 100})
        self.clock.advance(3600)
        header = {"azureml-model-deployment": "main"}
        got["score"] = rest.score(got["endpoint keys"].json()["primaryKey"], chat("hello"), headers=header)

    def failures(self) -> None:
        """Quota, crash and deletion."""
        rest, got = self.rest, self.by_title
        got["deployment over quota"] = rest.deploy(rest.model("second"), name="big", capacity=500)
        crash = {"status": "Failed", "error": {"message": "ResourceNotReady: User container has crashed"}}
        rest.emulator.add_fault(match={"operation": "deployment.create"}, operation=crash)
        crashing = rest.deploy(rest.model("third"), name="crashing").headers["Azure-AsyncOperation"]
        self.clock.advance(3600)
        got["deployment crashed"] = rest("GET", crashing)
        got["endpoint delete"] = rest("DELETE", "/onlineEndpoints/chat")
        got["endpoint delete, missing"] = rest("DELETE", "/onlineEndpoints/nothing")


@pytest.fixture(scope="module")
def answers() -> Iterator[dict[str, httpx.Response]]:
    """Every answer of the file, by its title."""
    clock = ManualClock()
    with Emulator(
        pace="timed", clock=clock, settings=Settings(switches=Switches(score_script="legacy"))
    ) as emulator:
        rest = Rest(emulator)
        rest.fetch_tokens_for(days=7)
        yield Answers(rest, clock).collect()
        rest.http.close()


@pytest.mark.parametrize("title", SHAPES)
def test_the_answer_has_everything_that_was_recorded(title: str, answers: dict[str, httpx.Response]) -> None:
    """Status, headers and each field with its type."""
    shape, answer = SHAPES[title], answers[title]
    if title == "child runs of a failed job":  # put together by the test
        shape = {**shape, "headers": []}
    assert differences(shape, answer) == []


def test_a_change_of_an_endpoint_is_answered_like_its_creation(answers: dict[str, httpx.Response]) -> None:
    """Creating, without addresses, and with the new traffic already."""
    properties = answers["traffic update"].json()["properties"]
    assert (properties["provisioningState"], properties["traffic"]) == ("Creating", {"main": 100})
    assert (properties["scoringUri"], properties["swaggerUri"]) == (None, None)


def test_every_shape_belongs_to_an_operation() -> None:
    """The file names operations as the emulator does."""
    assert {shape["operation"] for shape in SHAPES.values()} <= {route.operation for route in ROUTES}


@pytest.mark.parametrize(
    ("field", "body", "found"),
    [
        ("/a/b: string", {"a": {"b": "x"}}, True),
        ("/a/b: string", {"a": {}}, False),
        ("/a/b: string", {"a": {"b": 1}}, False),
        ("/a/b: string", {"a": {"b": None}}, False),
        ("/a/b: null", {"a": {"b": "x"}}, True),
        ("/a[]/b: number", {"a": [{"b": 1.5}]}, True),
        ("/a[]/b: number", {"a": []}, False),
    ],
)
def test_a_field_that_is_not_sent_is_noticed(field: str, body: dict[str, Any], found: bool) -> None:
    """The comparison itself: missing, empty and differently typed fields are found."""
    assert (missing(field, body) is None) == found
