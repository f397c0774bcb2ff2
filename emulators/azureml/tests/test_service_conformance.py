"""What the service is known to do, asked of a workspace: the emulator's, or a real one with `AZUREML_LIVE=1`.

Each test costs nothing worth naming in Azure: clusters stay at zero nodes, endpoints have no deployment,
jobs are cancelled before they get a node. What the tests make is deleted, and assets are archived.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from azureml_emulator import Emulator
from live_results import is_live
from real_service import NAMES, CleanUp, Workspace, live_workspace, same_as_recorded

SIZE = "Standard_DS2_v2"


@pytest.fixture(scope="module")
def workspace() -> Iterator[Workspace]:
    """The workspace of the environment, or that of an emulator whose environment is set meanwhile."""
    if is_live():
        with live_workspace() as live:
            yield live
        return
    with Emulator(pace="instant", strict=True) as emulator, pytest.MonkeyPatch.context() as patch:
        for name, value in emulator.environment.items():
            patch.setenv(name, value)
        for name, value in zip(NAMES, emulator.workspace, strict=True):
            patch.setenv(name, value)
        with live_workspace() as emulated:
            yield emulated


@pytest.fixture(scope="module")
def made(workspace: Workspace) -> Iterator[CleanUp]:
    """What the tests make, taken away at the end."""
    made = CleanUp()
    yield made
    assert made.run() == []


@pytest.fixture(autouse=True)
def operations(workspace: Workspace, record_property: Any) -> Iterator[None]:
    """Notes which operations a test called, and whether it was the real service that answered."""
    workspace.operations.clear()
    yield
    record_property("operations", sorted(workspace.operations))
    record_property("azure", workspace.is_azure)


def put_asset(
    workspace: Workspace, made: CleanUp, family: str, version: str, properties: dict[str, Any]
) -> Any:
    """Puts a version, which is archived at the end."""
    path = f"/{family}/{made.prefix}/versions/{version}"
    answer = workspace("PUT", path, {"properties": properties})
    assert answer.status_code == 201, answer.text
    made.add(lambda: workspace("PUT", path, {"properties": {**properties, "isArchived": True}}))
    return answer


def test_the_workspace_names_its_data_plane(workspace: Workspace) -> None:
    """Its discovery address leads to the addresses of run history and MLflow."""
    answer = workspace("GET", "")
    same_as_recorded("workspace", answer)
    found = workspace("GET", answer.json()["properties"]["discoveryUrl"])
    assert found.json()["api"].startswith("https://")


def test_what_is_not_there_is_404(workspace: Workspace, made: CleanUp) -> None:
    """A compute without a body, a model with the service's own; deleting a missing endpoint is 204."""
    absent = f"{made.prefix}x"
    same_as_recorded("compute missing", workspace("GET", f"/computes/{absent}"))
    same_as_recorded("model missing", workspace("GET", f"/models/{absent}/versions"))
    same_as_recorded("endpoint delete, missing", workspace("DELETE", f"/onlineEndpoints/{absent}"))


def test_datastores(workspace: Workspace) -> None:
    """The default one is in the list, and gives out its secrets."""
    listed = workspace("GET", "/datastores", None, isDefault="true").json()["value"]
    assert [one["properties"]["isDefault"] for one in listed] == [True]
    same_as_recorded("workspace datastore", workspace("GET", f"/datastores/{listed[0]['name']}"))


def test_data_is_listed_newest_first(workspace: Workspace, made: CleanUp) -> None:
    """Two versions; `$top` takes the newest; the container counts them; an archived one is hidden."""
    uri = "azureml://datastores/workspaceblobstore/paths/conformance/rows.jsonl"
    data = {"dataType": "uri_file", "dataUri": uri, "description": "d"}
    same_as_recorded("data put", put_asset(workspace, made, "data", "1", data))
    put_asset(workspace, made, "data", "2", data)
    path = f"/data/{made.prefix}/versions"

    def versions(**query: str) -> list[str]:
        return [one["name"] for one in workspace("GET", path, None, **query).json()["value"]]

    assert versions() == ["2", "1"]
    assert versions(**{"$top": "1"})[:1] == ["2"]
    container = workspace("GET", f"/data/{made.prefix}")
    same_as_recorded("data container", container)
    assert container.json()["properties"]["nextVersion"] == "3"
    workspace("PUT", f"{path}/2", {"properties": {**data, "isArchived": True}})
    assert (versions(), versions(listViewType="ArchivedOnly")) == (["1"], ["2"])


def test_a_models_stage_follows_archiving(workspace: Workspace, made: CleanUp) -> None:
    """Development, Archived, Development; each change moves the time of the last one."""
    uri = "azureml://datastores/workspaceblobstore/paths/conformance/model"
    model = {"modelType": "custom_model", "modelUri": uri}
    first = put_asset(workspace, made, "models", "1", model)
    same_as_recorded("model put", first)
    seen, moments = [first.json()["properties"]["stage"]], [first.json()["systemData"]["lastModifiedAt"]]
    for archived in (True, False):
        change = {"properties": {**model, "isArchived": archived}}
        answer = workspace("PUT", f"/models/{made.prefix}/versions/1", change)
        same_as_recorded("model put again", answer)
        seen.append(answer.json()["properties"]["stage"])
        moments.append(answer.json()["systemData"]["lastModifiedAt"])
    assert seen == ["Development", "Archived", "Development"]
    assert moments == sorted(set(moments))


@pytest.mark.parametrize(
    ("field", "segment"), [("componentId", "components"), ("environmentId", "environments")]
)
def test_a_job_of_a_missing_asset_is_404(
    workspace: Workspace, made: CleanUp, field: str, segment: str
) -> None:
    """By the code NotFound, before anything runs."""
    identifier = f"{workspace.path}/{segment}/{made.prefix}x/versions/1"
    job = {"jobType": "Command", "command": "true", field: identifier}
    answer = workspace("PUT", f"/jobs/{made.prefix}{segment}", {"properties": job})
    assert (answer.status_code, "NotFound" in answer.text) == (404, True)


def test_a_cluster_and_a_job_on_it(workspace: Workspace, made: CleanUp) -> None:
    """Put, read, one job cancelled before it gets a node, and deleted."""
    name = made.prefix[:16]
    scale = {"minNodeCount": 0, "maxNodeCount": 1, "nodeIdleTimeBeforeScaleDown": "PT120S"}
    inner = {"vmSize": SIZE, "scaleSettings": scale}
    location = workspace("GET", "").json()["location"]
    cluster = {"computeType": "AmlCompute", "description": "d", "properties": inner}
    put = workspace("PUT", f"/computes/{name}", {"location": location, "properties": cluster})
    same_as_recorded("compute put", put)
    made.add(lambda: workspace("DELETE", f"/computes/{name}", None, underlyingResourceAction="Delete"))
    assert workspace.ended(put) == "Succeeded"
    same_as_recorded("compute", workspace("GET", f"/computes/{name}"))
    image = {"image": "ubuntu:22.04", "osType": "Linux"}
    environment = put_asset(workspace, made, "environments", "1", image)
    job = {
        "jobType": "Command",
        "command": "true",
        "environmentId": environment.json()["id"],
        "computeId": f"{workspace.path}/computes/{name}",
    }
    submitted = workspace("PUT", f"/jobs/{made.prefix}", {"properties": job})
    assert (submitted.status_code, submitted.json()["properties"]["status"]) == (201, "Starting")
    hidden = {"properties": {**job, "isArchived": True}}
    made.add(lambda: workspace("PUT", f"/jobs/{made.prefix}", hidden))
    assert workspace("POST", f"/jobs/{made.prefix}/cancel").status_code in (200, 202)
    listed = workspace("GET", "/jobs", None, jobType="Command").json()["value"]
    assert listed[0]["name"] == made.prefix


def test_an_endpoints_life(workspace: Workspace, made: CleanUp) -> None:
    """Created, changed with the same answer, keys, deleted; a second deletion finds nothing."""
    path = f"/onlineEndpoints/{made.prefix}"
    location = workspace("GET", "").json()["location"]
    properties = {"authMode": "Key", "description": "d"}
    body = {"location": location, "identity": {"type": "SystemAssigned"}, "properties": properties}
    made.add(lambda: workspace("DELETE", path))
    put = workspace("PUT", path, body)
    same_as_recorded("endpoint put", put)
    assert workspace.ended(put) == "Succeeded"
    assert workspace("GET", path).json()["properties"]["scoringUri"].startswith("https://")
    change = workspace("PUT", path, {**body, "tags": {"changed": "yes"}})
    changed = change.json()["properties"]
    assert (change.status_code, changed["provisioningState"]) == (201, "Creating")
    assert changed["scoringUri"] is None
    assert workspace.ended(change) == "Succeeded"
    same_as_recorded("endpoint keys", workspace("POST", f"{path}/listKeys"))
    same_as_recorded("no deployments", workspace("GET", f"{path}/deployments"))
    deleted = workspace("DELETE", path)
    same_as_recorded("endpoint delete", deleted)
    assert workspace.ended(deleted) == "Succeeded"
    same_as_recorded("endpoint delete, missing", workspace("DELETE", path))
