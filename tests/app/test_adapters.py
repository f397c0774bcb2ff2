"""What goes wrong on the wire, and what becomes of it; Azure ML's own refusals, word for word."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from azureml_emulator import Catalogue, Emulator

from local.azurite import Azurite
from shared.adapters import retries
from shared.domain.errors import (
    FinetuneError,
    InvalidRunError,
    ServiceRefusedError,
    TransientServiceError,
)
from shared.domain.run.names import RUN_TAG
from shared.domain.run.observation import Provisioning
from shared.domain.run.parts import MetricPoint
from shared.domain.serving.deployment import ServingEnvironment
from shared.ports import Services
from tests.app.builders import PLAIN
from tests.app.catalogue import PHI_3
from tests.app.conftest import connected

A100 = "Standard_NC24ads_A100_v4"
NAME = "ft-wire-0123456789"
MODEL = "azureml://registries/azureml/models/Phi-4/versions/8"
PAYLOAD = {"input_data": {"input_string": [[{"role": "user", "content": "Hello?"}]], "parameters": {}}}


CALLS: dict[str, Callable[[Services], object]] = {
    "registry.base_model": lambda services: services.registry.base_model("Phi-4"),
    "registry.component": lambda services: services.registry.component("chat_completion_pipeline"),
    "workspace.compute": lambda services: services.workspace.compute("gpu-cluster"),
    "workspace.vm_sizes": lambda services: services.workspace.vm_sizes(),
    "workspace.quotas": lambda services: services.workspace.quotas(),
    "workspace.create_compute": lambda services: services.workspace.create_compute("gpus", A100, max_nodes=1),
    "workspace.delete_compute": lambda services: services.workspace.delete_compute("gpus"),
    "workspace.ensure_datastore": lambda services: services.workspace.ensure_datastore(),
    "training.job": lambda services: services.training.job(NAME, NAME),
    "training.cancel": lambda services: services.training.cancel(NAME),
    "metrics.read": lambda services: services.metrics.read(NAME),
    "endpoints.endpoint": lambda services: services.endpoints.endpoint(NAME, NAME),
    "endpoints.create": lambda services: services.endpoints.create(NAME, auth_mode="key", tags={}),
    "endpoints.deploy": lambda services: services.endpoints.deploy(
        NAME, PLAIN, environment_id=None, model_id=MODEL, instance_type=A100, instance_count=1
    ),
    "endpoints.ensure_environment": lambda services: services.endpoints.ensure_environment(
        ServingEnvironment("image:1")
    ),
    "endpoints.delete_deployment": lambda services: services.endpoints.delete_deployment(NAME),
    "endpoints.delete": lambda services: services.endpoints.delete(NAME),
    "endpoints.list_owned": lambda services: list(services.endpoints.list_owned()),
}


NOT_REPEATED = {"metrics.read", "endpoints.deploy", "training.cancel"}
"""There is no experiment, a deployment needs its endpoint, and a POST is repeated by the next advance."""


@pytest.mark.parametrize("call", CALLS)
def test_a_forbidden_call_is_refused_in_the_services_words(
    call: str, services: Services, azure_ml: Emulator
) -> None:
    """403 is permanent, and says who may not do what."""
    body = {"error": {"code": "AuthorizationFailed", "message": "The client may not perform this action."}}
    azure_ml.add_fault(match={"path": "providers|registr|mlflow"}, status=403, body=body, count=None)
    with pytest.raises(ServiceRefusedError, match="may not perform this action"):
        CALLS[call](services)


BUSY = {"status": 503, "body": {"error": {"code": "Busy", "message": "busy"}}}


@pytest.mark.parametrize(
    ("call", "fault"),
    [
        *((call, BUSY) for call in CALLS),
        ("endpoints.endpoint", {"status": 200, "body": "<html>Please sign in</html>"}),
        ("endpoints.endpoint", {"reset": True}),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
def test_a_service_that_stumbles_is_tried_again_later(
    call: str, fault: dict[str, Any], services: Services, azure_ml: Emulator
) -> None:
    """Errors of the service, of the network and of what is in between are transient."""
    azure_ml.add_fault(match={"path": "providers|registr"}, count=None, **fault)
    with pytest.raises(TransientServiceError):
        CALLS[call](services)


@pytest.mark.parametrize(
    ("call", "fault"),
    [
        *((call, "lost_answer") for call in CALLS if call not in NOT_REPEATED),
        ("endpoints.endpoint", "reset"),
    ],
)
def test_a_single_stumble_is_not_even_noticed(
    call: str, fault: str, services: Services, azure_ml: Emulator
) -> None:
    """A connection that breaks is tried again at once; a write that is sent twice is still one thing."""
    azure_ml.add_fault(match={"path": "providers|registr"}, **{fault: True})
    CALLS[call](services)


def test_a_token_service_that_asks_for_an_hour_gets_two_seconds(
    services: Services, azure_ml: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No invocation sleeps for as long as an answer likes: if this one did, the test would not end."""
    monkeypatch.setattr(retries, "LONGEST_SLEEP_SECONDS", 0.01)
    azure_ml.add_fault(match={"path": "/token"}, status=429, headers={"Retry-After": "3600"}, count=2)
    assert services.endpoints.endpoint(NAME, NAME) is None
    assert [call["status"] for call in azure_ml.calls() if "/token" in call["path"]] == [429, 429, 200]


@pytest.mark.parametrize(
    ("status", "transient"),
    [
        *((status, False) for status in (400, 401, 403, 410, 412, 422)),
        *((status, True) for status in (408, 409, 429, 500, 502, 503, 504)),
    ],
)
def test_statuses(status: int, transient: bool, services: Services, azure_ml: Emulator) -> None:
    """One table says which statuses pass; a pause that the service asks for is kept."""
    headers = {"Retry-After": "0"}
    azure_ml.add_fault(match={"operation": "endpoints.get"}, status=status, headers=headers, count=None)
    with pytest.raises(TransientServiceError if transient else ServiceRefusedError) as caught:
        services.endpoints.endpoint(NAME, NAME)
    assert f"looking at endpoint {NAME}" in caught.value.message
    if isinstance(caught.value, TransientServiceError):
        assert caught.value.retry_after == 0


def test_another_workspace_is_said_not_to_exist(azure_ml: Emulator, azurite: Azurite) -> None:
    """A wrong name in the settings is named as such, not as a missing endpoint or job."""
    wrong = connected(azure_ml, azurite, AZUREML_WORKSPACE="elsewhere")
    with pytest.raises(ServiceRefusedError, match="AZUREML_WORKSPACE"):
        wrong.workspace.vm_sizes()
    with pytest.raises(FinetuneError) as caught:
        connected(azure_ml, azurite, AZUREML_REGISTRY="elsewhere").registry.base_model("Phi-4")
    assert not caught.value.retryable


def test_an_archived_model_is_found_by_its_version(azurite: Azurite, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the registry has it since the summer of 2026: hidden from lists, facts in `system_metadata`."""
    with Emulator(pace="instant", strict=True, catalogue=Catalogue.JULY_2026) as july:
        for name, value in july.environment.items():
            monkeypatch.setenv(name, value)
        registry = connected(july, azurite).registry
        with pytest.raises(InvalidRunError, match="only by its version"):
            registry.base_model(PHI_3)
        model = registry.base_model(f"{PHI_3}:15")
    assert model.archived
    assert model.finetune_sizes


def test_the_datastore_is_registered_once(services: Services, azure_ml: Emulator) -> None:
    """The second time it is only looked at."""
    for _ in range(3):
        services.workspace.ensure_datastore()
    assert len(azure_ml.calls("datastores.put")) == 1


def deploying(services: Services, auth_mode: str = "key") -> None:
    """An endpoint with a deployment on its way."""
    services.endpoints.create(NAME, auth_mode=auth_mode, tags={RUN_TAG: NAME})
    services.endpoints.deploy(
        NAME, PLAIN, environment_id=None, model_id=MODEL, instance_type=A100, instance_count=1
    )


def test_a_quota_refusal_says_how_much_is_missing(services: Services, azure_ml: Emulator) -> None:
    """The inner service's text, not the envelope around it."""
    azure_ml.set_quota({"standardNCADSA100v4Family": 1})
    with pytest.raises(ServiceRefusedError, match=r"Not enough quota available for Standard_NC24ads_A100_v4"):
        deploying(services)


def test_a_crashed_container_says_why(services: Services, azure_ml: Emulator) -> None:
    """The reason is in the operation that the deployment names, not in the deployment."""
    message = "ResourceNotReady: User container has crashed or terminated: out of memory"
    azure_ml.add_fault(match={"operation": "deployment.create"}, operation={"error": {"message": message}})
    deploying(services)
    seen = services.endpoints.endpoint(NAME, NAME)
    assert seen is not None
    assert seen.deployment is not None
    assert seen.deployment.state is Provisioning.FAILED
    assert seen.deployment.failure == message

    for nothing in ({"status": 204}, {"status": 200, "body": "<html>"}, {"status": 403}):
        fault = azure_ml.add_fault(match={"path": "mfeOperationsStatus"}, count=1, **nothing)
        seen = services.endpoints.endpoint(NAME, NAME)
        assert seen is not None
        assert seen.deployment is not None
        assert (seen.deployment.state, seen.deployment.failure) == (Provisioning.FAILED, None)
        assert fault.hits == 1


def test_points_without_steps_are_numbered_by_their_time() -> None:
    """As the trainer logs them by epoch; points with steps keep these."""
    from shared.adapters.azureml.metrics import LoggedPoint, numbered

    logged = [LoggedPoint(0, timestamp, value) for value, timestamp in ((2.0, 20), (3.0, 10), (1.0, 30))]
    assert numbered(logged) == [MetricPoint(step=step, value=4.0 - step) for step in (1, 2, 3)]
    assert numbered([LoggedPoint(10, 9, 3.0), LoggedPoint(20, 8, 2.0)]) == [
        MetricPoint(step=10, value=3.0),
        MetricPoint(step=20, value=2.0),
    ]


def test_histories_are_thinned_evenly() -> None:
    """A long history keeps its first point, its last, and as many in between as there is room for."""
    from shared.adapters.azureml.metrics import HISTORY_POINTS, thinned

    for count in (0, 1, 2, HISTORY_POINTS, HISTORY_POINTS + 1, 10_000):
        points = [MetricPoint(step=step, value=float(step)) for step in range(count)]
        kept = thinned(points)
        assert len(kept) == min(count, HISTORY_POINTS)
        assert list(kept) == sorted(set(kept), key=lambda point: point.step)
        if count:
            assert (kept[0], kept[-1]) == (points[0], points[-1])
