"""What the emulator does not read is refused by name, or logged if it is not strict."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
from azureml_emulator import Emulator
from azureml_emulator.core import request_bodies
from azureml_emulator.core.body_fields import unread_fields
from azureml_emulator.core.routing import Plane
from azureml_emulator.routes import ROUTES
from emulator_rest import GPU_SIZE, Rest

CHECKED = [
    route
    for route in ROUTES
    if route.plane in (Plane.ARM, Plane.REGISTRY, Plane.DATA) and route.operation != "registry.operation"
]
BODIES = {
    "computes/gpu": {"properties": {"computeType": "AmlCompute", "properties": {"vmSize": GPU_SIZE}}},
    "data/d/versions/1": {"properties": {"dataUri": "azureml://datastores/workspaceblobstore/paths/x"}},
    "environments/e/versions/1": {"properties": {"image": "ubuntu"}},
    "jobs/j": {"properties": {"jobType": "Command", "command": "true"}},
    "onlineEndpoints/chat": {"properties": {"authMode": "Key"}},
}


def address(rest: Rest, template: str) -> str:
    """A path of an operation, with the emulator's own names and made-up ones."""
    names = {
        "subscription": rest.settings.subscription,
        "group": rest.settings.resource_group,
        "workspace": rest.settings.workspace,
        "location": rest.settings.location,
        "registry": rest.settings.registry,
        "registry=azureml|azureml-openai-oss": "azureml",
    }
    pieces = template.replace("}", "{").split("{")
    return "/" + "".join(names.get(one, "x") if index % 2 else one for index, one in enumerate(pieces))


@pytest.mark.parametrize("route", CHECKED, ids=lambda route: route.operation)
def test_an_unknown_query_parameter_is_refused(rest: Rest, route: Any) -> None:
    """By every operation of ARM, of registries and of the data plane."""
    answer = rest(route.method, address(rest, route.template), {}, nonsense="1")
    assert answer.status_code == 501, answer.text
    assert "query parameter nonsense" in answer.text


@pytest.mark.parametrize("path", BODIES)
def test_an_unknown_field_is_refused(rest: Rest, path: str) -> None:
    """At the top of a body and in its properties, by its path."""
    body = BODIES[path]
    for wrong, field in (
        ({**body, "nonsense": 1}, "nonsense"),
        ({"properties": {**body["properties"], "nonsense": 1}}, "properties.nonsense"),
    ):
        answer = rest("PUT", f"/{path}", wrong)
        assert (answer.status_code, f"the field {field} of the body" in answer.text) == (501, True)
    assert rest("PUT", f"/{path}", body).status_code in (200, 201)


def test_unread_fields_are_found_wherever_they_are() -> None:
    """In nested types, behind optional ones, and in the values of dictionaries."""
    body = {"properties": {"jobType": "x", "jobs": {"a": {"inputs": {}, "b": 1}}, "tags": {"any": "thing"}}}
    assert list(unread_fields(body, request_bodies.JobBody)) == ["properties.jobs.a.b"]


def test_without_strictness_it_is_logged(
    rest_of: Callable[[Emulator], Rest], caplog: pytest.LogCaptureFixture
) -> None:
    """The request is served, and the log names the part."""
    with Emulator(pace="instant") as emulator, caplog.at_level(logging.WARNING):
        assert rest_of(emulator)("GET", "/computes", None, nonsense="1").status_code == 200
    assert any("nonsense" in str(getattr(record, "reason", "")) for record in caplog.records)
