"""Lists in pages, what may be changed, and references that lead nowhere."""

from __future__ import annotations

from typing import Any

import pytest
from emulator_rest import GPU_SIZE, Rest


def asset(rest: Rest, family: str, name: str, version: str, **properties: Any) -> dict[str, Any]:
    """Puts a version; returns it."""
    uri = {"data": "dataUri", "models": "modelUri"}.get(family)
    given = {uri: "azureml://datastores/workspaceblobstore/paths/x"} if uri else {}
    answer = rest("PUT", f"/{family}/{name}/versions/{version}", {"properties": {**given, **properties}})
    assert answer.status_code in (200, 201), answer.text
    document: dict[str, Any] = answer.json()
    return document


def names(rest: Rest, path: str, **query: str) -> list[str]:
    """The names in a list, over all of its pages."""
    answer = rest("GET", path, None, **query).json()
    found = [one["name"] for one in answer["value"]]
    while "nextLink" in answer:
        answer = rest("GET", answer["nextLink"], version=None).json()
        found += [one["name"] for one in answer["value"]]
    return found


def test_lists_come_in_pages_newest_first(rest: Rest) -> None:
    """`nextLink` leads through all of them; `$top` ends the list, `$skip` begins it later."""
    for number in range(1, 6):
        asset(rest, "models", "m", str(number))
    rest.emulator.set_switches(page_size=2)
    path = "/models/m/versions"
    assert len(rest("GET", path).json()["value"]) == 2
    assert names(rest, path) == ["5", "4", "3", "2", "1"]
    assert names(rest, path, **{"$orderBy": "createdtime asc"}) == ["1", "2", "3", "4", "5"]
    assert names(rest, path, **{"$top": "3"}) == ["5", "4", "3"]
    assert names(rest, path, **{"$skip": "3"}) == ["2", "1"]
    assert rest("GET", path, None, **{"$top": "few"}).status_code == 400
    assert rest("GET", path, None, listViewType="Some").status_code == 400
    assert names(rest, "/datastores", count="1") == names(rest, "/datastores")
    assert len(rest("GET", "/datastores", None, count="1").json()["value"]) == 1


def test_lists_are_filtered(rest: Rest) -> None:
    """By tags, stage and view; jobs by type and tag."""
    asset(rest, "models", "m", "1", tags={"team": "a"})
    asset(rest, "models", "m", "2", tags={"team": "b"}, stage="Production")
    asset(rest, "models", "m", "3", isArchived=True)
    path = "/models/m/versions"
    assert names(rest, path, tags="team") == ["2", "1"]
    assert names(rest, path, tags="team=a") == ["1"]
    assert names(rest, path, stage="Production") == ["2"]
    assert names(rest, path, listViewType="ArchivedOnly") == ["3"]
    assert names(rest, path, listViewType="All") == ["3", "2", "1"]
    for name in ("first", "second"):
        body = {"properties": {"jobType": "Command", "command": "true", "tags": {"n": name}}}
        assert rest("PUT", f"/jobs/{name}", body).status_code == 201
    assert names(rest, "/jobs") == ["second", "first"]
    assert names(rest, "/jobs", tag="n=first") == ["first"]
    assert names(rest, "/jobs", jobType="Pipeline") == []


def test_a_stage_follows_archiving(rest: Rest) -> None:
    """Archived, then Development again; a change moves the time of the last one."""
    first = asset(rest, "models", "m", "1", stage="Production")
    assert first["properties"]["stage"] == "Production"
    for archived, stage in ((False, "Production"), (True, "Archived"), (False, "Development")):
        changed = asset(rest, "models", "m", "1", isArchived=archived)
        assert changed["properties"]["stage"] == stage
    assert changed["systemData"]["createdAt"] == first["systemData"]["createdAt"]
    assert changed["systemData"]["lastModifiedAt"] > first["systemData"]["lastModifiedAt"]


def test_a_component_changes_what_may_change(rest: Rest) -> None:
    """Its display name and description; not its inputs."""
    spec = {"name": "c", "type": "command", "display_name": "one", "inputs": {"a": {"type": "string"}}}
    asset(rest, "components", "c", "1", componentSpec=spec)
    changed = asset(rest, "components", "c", "1", componentSpec={**spec, "display_name": "two", "inputs": {}})
    kept = changed["properties"]["componentSpec"]
    assert (kept["display_name"], kept["inputs"]) == ("two", {"a": {"type": "string"}})


def test_a_change_of_a_deployment_is_answered_like_its_creation(rest: Rest) -> None:
    """201, Creating, and no instance type; afterwards all is there."""
    rest.train()
    model = rest.model()
    rest.endpoint()
    rest.deploy(model)
    answer = rest.deploy(model, instanceType=GPU_SIZE)
    properties = answer.json()["properties"]
    assert (answer.status_code, properties["provisioningState"]) == (201, "Creating")
    assert properties["instanceType"] is None
    path = "/onlineEndpoints/chat/deployments/main"
    assert rest("GET", path).json()["properties"]["instanceType"] == GPU_SIZE


def test_a_deleted_deployment_takes_its_traffic_entries_along(rest: Rest) -> None:
    """Those of 0 percent and those of mirrored traffic."""
    rest.serve()
    assert rest.deploy(rest.model("second"), name="other").status_code == 201
    shares = {"main": 100, "other": 0}
    assert rest.endpoint(traffic=shares, mirrorTraffic={"other": 10}).status_code == 201
    assert rest("DELETE", "/onlineEndpoints/chat/deployments/other").status_code == 202
    properties = rest("GET", "/onlineEndpoints/chat").json()["properties"]
    assert (properties["traffic"], properties["mirrorTraffic"]) == ({"main": 100}, {})


def test_a_clusters_identity_is_kept(rest: Rest) -> None:
    """And completed for a system-assigned one; computes of other kinds are 501 by name."""
    inner = {"vmSize": GPU_SIZE, "scaleSettings": {"minNodeCount": 0, "maxNodeCount": 1}}
    body = {
        "location": rest.settings.location,
        "identity": {"type": "SystemAssigned"},
        "properties": {"computeType": "AmlCompute", "properties": inner},
    }
    rest("PUT", "/computes/gpu", body)
    identity = rest("GET", "/computes/gpu").json()["identity"]
    assert identity["type"] == "SystemAssigned"
    assert identity["tenantId"] == rest.settings.tenant
    instance = {"properties": {"computeType": "ComputeInstance", "properties": {"vmSize": "Standard_DS3_v2"}}}
    answer = rest("PUT", "/computes/mine", instance)
    assert (answer.status_code, "ComputeInstance" in answer.text) == (501, True)
    assert rest("POST", "/computes/mine/start").status_code == 501


@pytest.mark.parametrize(
    ("field", "segment"),
    [("componentId", "components"), ("environmentId", "environments"), ("codeId", "codes"), ("uri", "data")],
)
def test_a_job_that_names_what_is_not_there_is_refused(rest: Rest, field: str, segment: str) -> None:
    """404 that names it, on the job itself and on a pipeline's node."""
    identifier = f"{rest.settings.workspace_arm_id}/{segment}/absent/versions/1"
    named = {"inputs": {"x": {"uri": identifier, "jobInputType": "uri_file"}}} if field == "uri" else {}
    part: dict[str, Any] = named or {field: identifier}
    command = {"properties": {"jobType": "Command", "command": "true", **part}}
    pipeline = {"properties": {"jobType": "Pipeline", "jobs": {"node": part}}}
    for body in (command, pipeline):
        answer = rest("PUT", "/jobs/job", body, headers={"x-azureml-token": rest.ml_token})
        assert answer.status_code == 404
        detail = answer.json()["error"]["details"][0]
        assert detail["code"] == "NotFound"
        assert identifier in detail["message"]


def test_a_command_job_needs_its_compute(rest: Rest) -> None:
    """A cluster that is not there is refused by name."""
    body = {"properties": {"jobType": "Command", "command": "true", "computeId": "/x/computes/absent"}}
    answer = rest("PUT", "/jobs/job", body)
    assert (answer.status_code, "absent" in answer.text) == (400, True)


def search(rest: Rest, **given: Any) -> list[str]:
    """The names of the runs that an MLflow search finds."""
    path = f"//mlflow/v2.0{rest.settings.workspace_arm_id}/api/2.0/mlflow/runs/search"
    answer = rest("POST", path, given, version=None)
    assert answer.status_code == 200, answer.text
    return [run["info"]["run_name"] for run in answer.json()["runs"]]


def test_mlflow_orders_and_picks(rest: Rest) -> None:
    """`order_by` over attributes and tags, and `IN` and `NOT IN`."""
    for name in ("b", "a", "c"):
        body = {"properties": {"jobType": "Command", "command": "true", "tags": {"n": name}}}
        rest("PUT", f"/jobs/{name}", body)
    assert search(rest, order_by=["attributes.run_name ASC"]) == ["a", "b", "c"]
    assert search(rest, order_by=["tags.n DESC"]) == ["c", "b", "a"]
    picked = search(rest, filter="attributes.run_id IN ('a', 'c')", order_by=["run_name"])
    assert picked == ["a", "c"]
    assert search(rest, filter="run_id NOT IN ('a','c')") == ["b"]
    root = f"//mlflow/v2.0{rest.settings.workspace_arm_id}/api/2.0/mlflow"
    for wrong in ({"filter": "run_id > 'x'"}, {"filter": "nonsense"}, {"page_token": "x"}):
        assert rest("POST", f"{root}/runs/search", wrong, version=None).status_code == 400
    path = f"{root}/runs/create"
    assert rest("POST", path, {}, version=None).status_code == 501
