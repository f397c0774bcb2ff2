"""Endpoints, deployments and traffic: their life, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from azureml_emulator import Emulator, ManualClock
from emulator_rest import GPU_SIZE, Rest, chat


def state(rest: Rest, path: str) -> str:
    """A resource's provisioning state."""
    return str(rest("GET", path).json()["properties"]["provisioningState"])


def test_an_endpoint_is_creating_until_its_operation_ends(
    rest_of: Callable[[Emulator], Rest],
) -> None:
    """201 Creating without an address; Updating documents; then Succeeded with one."""
    clock = ManualClock()
    with Emulator(pace="timed", clock=clock) as emulator:
        rest = rest_of(emulator)
        answer = rest.endpoint()
        assert answer.status_code == 201
        assert answer.json()["properties"]["provisioningState"] == "Creating"
        assert answer.json()["properties"]["scoringUri"] is None
        operation = answer.headers["Azure-AsyncOperation"]
        document = rest("GET", operation).json()
        assert (document["status"], document["endTime"][:4]) == ("Updating", "0001")
        clock.advance(61)
        document = rest("GET", operation).json()
        assert (document["status"], document["percentComplete"]) == ("Succeeded", 0.0)
        assert rest("GET", "/onlineEndpoints/chat").json()["properties"]["scoringUri"].startswith("https://")


def test_deployments_wait_for_their_endpoint(rest_of: Callable[[Emulator], Rest]) -> None:
    """409 while the endpoint is being made, and while the deployment itself is."""
    clock = ManualClock()
    with Emulator(pace="timed", clock=clock) as emulator:
        rest = rest_of(emulator)
        rest.train()
        clock.advance(3600)
        model = rest.model()
        rest.endpoint()
        assert rest.deploy(model).status_code == 409
        assert rest.endpoint().status_code == 409
        clock.advance(61)
        assert rest.deploy(model).status_code == 201
        assert rest.deploy(model).status_code == 409
        clock.advance(421)
        assert rest.deploy(model).status_code == 201


def test_a_cluster_that_is_going_says_so(rest_of: Callable[[Emulator], Rest]) -> None:
    """Its state is Deleting until it is gone, as an endpoint's is."""
    clock = ManualClock()
    with Emulator(pace="timed", clock=clock) as emulator:
        rest = rest_of(emulator)
        rest.compute()
        clock.advance(3600)
        assert rest("DELETE", "/computes/gpu").status_code == 202
        assert rest("GET", "/computes/gpu").json()["properties"]["provisioningState"] == "Deleting"
        clock.advance(3600)
        assert rest("GET", "/computes/gpu").status_code == 404


@pytest.mark.parametrize("name", ["ab", "-abc", "abc-", "a" * 33, "under_score", "1abc"])
def test_endpoint_names_are_checked(rest: Rest, name: str) -> None:
    """3 to 32 letters, digits and inner hyphens, first a letter."""
    assert rest.endpoint(name).status_code == 400


@pytest.mark.parametrize(
    "traffic", [{"main": 50}, {"main": 101}, {"other": 100}, {"main": 60, "other": 40}, {"main": 1.5}]
)
def test_traffic_must_sum_up_and_name_deployments_that_are_there(rest: Rest, traffic: dict[str, int]) -> None:
    """Shares of known deployments, 0 or 100 in all."""
    rest.serve()
    assert rest.endpoint(traffic=traffic).status_code == 400


def test_a_deployment_with_traffic_is_not_deleted(rest: Rest) -> None:
    """Traffic first, deployment after."""
    rest.serve()
    assert rest("DELETE", "/onlineEndpoints/chat/deployments/main").status_code == 400
    assert rest.endpoint(traffic={"main": 0}).status_code == 201
    assert rest("DELETE", "/onlineEndpoints/chat/deployments/main").status_code == 202
    assert rest("GET", "/onlineEndpoints/chat/deployments/main").status_code == 404
    assert rest("DELETE", "/onlineEndpoints/chat/deployments/main").status_code == 204


def test_deleting_an_endpoint_takes_its_deployments_along(rest: Rest) -> None:
    """Accepted with traffic on it; the body is the four bytes null; afterwards 204 and 404."""
    rest.serve()
    answer = rest("DELETE", "/onlineEndpoints/chat")
    assert (answer.status_code, answer.content) == (202, b"null")
    assert rest("GET", answer.headers["Azure-AsyncOperation"]).json()["status"] == "Succeeded"
    assert rest("GET", answer.headers["Location"]).status_code == 204
    assert rest("GET", "/onlineEndpoints/chat").status_code == 404
    assert rest("DELETE", "/onlineEndpoints/chat").status_code == 204
    assert len(rest.emulator._state.deployments) == 0


def test_a_second_delete_joins_the_first(rest_of: Callable[[Emulator], Rest]) -> None:
    """Two deletes of an endpoint that is going are one operation."""
    with Emulator(pace="timed", clock=ManualClock()) as emulator:
        rest = rest_of(emulator)
        rest.endpoint()
        first, second = (rest("DELETE", "/onlineEndpoints/chat") for _ in range(2))
        assert first.headers["Azure-AsyncOperation"] == second.headers["Azure-AsyncOperation"]
        assert state(rest, "/onlineEndpoints/chat") == "Deleting"


def test_quota_counts_a_fifth_more_instances_in_whole_ones(rest: Rest) -> None:
    """ceil(1.2 x instances) x cores, against what the family has left; refused at once."""
    rest.emulator.set_quota({"standardNCADSA100v4Family": 24 * 5})
    rest.train()
    model = rest.model()
    rest.endpoint()
    refused = rest.deploy(model, capacity=5)  # six instances
    assert refused.status_code == 400
    detail = refused.json()["error"]["details"][0]
    assert detail["code"] == "InferencingClientCreateDeploymentFailed"
    inner = json.loads(detail["message"].partition("error detail: ")[2])
    assert "Current usage/limit: 0/120. Additional needed: 144" in inner["errors"]["VmSize"][0]
    assert rest.deploy(model, name="one", capacity=1).status_code == 201  # two instances
    assert rest.deploy(model, name="two", capacity=2).status_code == 201  # three
    assert "usage/limit: 120/120" in rest.deploy(model, name="three").text
    usages = rest("GET", "/" + rest.settings.location_path + "/usages").json()["value"]
    held = {usage["name"]["value"]: usage["currentValue"] for usage in usages}
    assert held["standardNCADSA100v4Family"] == 120
    rest("DELETE", "/onlineEndpoints/chat/deployments/two")
    assert rest.deploy(model, name="three").status_code == 201


def test_an_unknown_instance_type_is_refused(rest: Rest) -> None:
    """Sizes that the region has not got."""
    rest.train()
    model = rest.model()
    rest.endpoint()
    assert rest.deploy(model, instanceType="Standard_Imaginary").status_code == 400


def test_a_container_that_crashes_fails_its_operation(rest: Rest) -> None:
    """The put is accepted; the operation fails without a code, and the deployment stays, failed."""
    message = "ResourceNotReady: User container has crashed or terminated: Liveness probe failed"
    rest.emulator.add_fault(
        match={"operation": "deployment.create"},
        operation={"status": "Failed", "error": {"message": message}},
    )
    rest.train()
    model = rest.model()
    rest.endpoint()
    answer = rest.deploy(model)
    assert answer.status_code == 201
    document = rest("GET", answer.headers["Azure-AsyncOperation"]).json()
    assert document["status"] == "Failed"
    assert document["error"] == {"message": message}
    assert state(rest, "/onlineEndpoints/chat/deployments/main") == "Failed"
    logs = rest("POST", "/onlineEndpoints/chat/deployments/main/getLogs", {"tail": 5}).json()["content"]
    assert message in logs


def test_a_model_the_container_cannot_load_crashes_it(rest: Rest) -> None:
    """The operation fails when the container starts; the reason is in its log."""
    uri = rest.upload("folder/MLmodel", b"flavors: {}\n").removesuffix("/MLmodel")
    body = {"properties": {"modelType": "mlflow_model", "modelUri": uri}}
    model = rest("PUT", "/models/own/versions/1", body).json()["id"]
    rest.endpoint()
    answer = rest.deploy(model)
    document = rest("GET", answer.headers["Azure-AsyncOperation"]).json()
    crashed = "User container has crashed or terminated: Liveness probe failed: HTTP probe failed with "
    assert document["error"] == {"code": "BadArgument", "message": f"{crashed}statuscode: 502."}
    logs = rest("POST", "/onlineEndpoints/chat/deployments/main/getLogs", {}).json()["content"]
    assert "the model folder lacks" in logs
    rest.emulator.set_switches(crash_error="ResourceNotReady", failed_deployment_status=404)
    answer = rest.deploy(model)
    document = rest("GET", answer.headers["Azure-AsyncOperation"]).json()
    assert document["error"]["message"].startswith("ResourceNotReady: User container has crashed")
    key = rest("POST", "/onlineEndpoints/chat/listKeys").json()["primaryKey"]
    headers = {"azureml-model-deployment": "main"}
    assert rest.score(key, chat("hello"), headers=headers).status_code == 404


def test_defaults_are_filled_in(rest: Rest) -> None:
    """Probes, request settings and scale are the service's where nothing was sent."""
    rest.train()
    model = rest.model()
    rest.endpoint()
    given = {"livenessProbe": {"initialDelay": "PT10M"}, "requestSettings": {"requestTimeout": "PT1M30S"}}
    properties = rest.deploy(model, **given).json()["properties"]
    assert properties["livenessProbe"]["initialDelay"] == "PT10M"
    assert properties["livenessProbe"]["failureThreshold"] == 30
    assert properties["readinessProbe"]["initialDelay"] == "PT10S"
    assert properties["requestSettings"] == {
        "maxQueueWait": "PT0S",
        "requestTimeout": "PT1M30S",
        "maxConcurrentRequestsPerInstance": 1,
    }
    ready = rest("GET", "/onlineEndpoints/chat/deployments/main").json()["properties"]
    assert "AZUREML_MODEL_DIR" in ready["environmentVariables"]


@pytest.mark.parametrize(
    "settings",
    [{"requestTimeout": "PT181S"}, {"requestTimeout": "soon"}, {"maxConcurrentRequestsPerInstance": 0}],
)
def test_request_settings_have_limits(rest: Rest, settings: dict[str, object]) -> None:
    """At most 180 seconds, at least one request."""
    rest.train()
    model = rest.model()
    rest.endpoint()
    assert rest.deploy(model, requestSettings=settings).status_code == 400


def test_keys_can_be_made_anew(rest: Rest) -> None:
    """The old primary key stops working; the secondary one goes on."""
    key = rest.serve()
    secondary = rest("POST", "/onlineEndpoints/chat/listKeys").json()["secondaryKey"]
    answer = rest("POST", "/onlineEndpoints/chat/regenerateKeys", {"keyType": "Primary"})
    assert answer.status_code == 202
    assert rest("GET", answer.headers["Azure-AsyncOperation"]).json()["status"] == "Succeeded"
    assert rest.score(key, chat("hello")).status_code == 401
    assert rest.score(secondary, chat("hello")).status_code == 200


def test_compute_asks_for_known_sizes_within_quota(rest: Rest) -> None:
    """An unknown size, too many nodes and a bad name are refused; a good cluster is 201 both times."""
    rest.emulator.set_quota({"standardNCADSA100v4Family": 24})
    assert rest.compute(size="Standard_Imaginary").status_code == 400
    assert "quota" in rest.compute(nodes=2).text
    assert rest.compute("9lives").status_code == 400
    answer = rest.compute()
    assert answer.status_code == 201
    assert answer.json()["properties"]["properties"]["vmSize"] == GPU_SIZE.upper()
    assert rest.compute().status_code == 201
    assert rest("GET", "/computes/gpu").json()["properties"]["properties"]["vmSize"] == GPU_SIZE
