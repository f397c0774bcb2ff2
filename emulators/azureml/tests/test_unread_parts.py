"""What the emulator does not read is refused by name, or logged if it is not strict."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

import pytest
from azureml_emulator import Emulator
from azureml_emulator.core import request_bodies
from azureml_emulator.core.body_fields import unread_fields
from azureml_emulator.core.routing import Plane
from azureml_emulator.routes import ROUTES
from emulator_rest import GPU_SIZE, Rest

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


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.operation)
def test_every_operation_refuses_what_it_does_not_read(rest: Rest, route: Any) -> None:
    """An unknown query parameter, header of Azure's, precondition and field of the body, each by its name."""
    if route.plane is Plane.CONTROL:
        return
    path, query = address(rest, route.template), {}
    if route.plane is Plane.STORAGE:
        path = path.removesuffix("/x") + "/x" if "blob*" in route.template else path
        secret = rest("POST", "/datastores/workspaceblobstore/listSecrets").json()["sasToken"]
        query, storage = dict(parse_qsl(secret.removeprefix("?"))), {"x-ms-version": "2025-01-05"}
    else:
        storage = {}
    wrong: list[tuple[str, dict[str, Any]]] = [
        ("the query parameter nonsense", {"nonsense": "1"}),
        ("the header x-ms-nonsense", {"headers": {"x-ms-nonsense": "1"}}),
        ("the header if-match", {"headers": {"If-Match": "1"}}),
    ]
    if route.plane not in (Plane.STORAGE, Plane.SCORING):
        wrong.append(("the field nonsense of the body", {"body": {"nonsense": 1}}))
    for part, given in wrong:
        headers = {**storage, **given.pop("headers", {})}
        answer = rest(route.method, path, given.pop("body", None), headers=headers, **query, **given)
        assert answer.status_code == 501
        if route.method != "HEAD":
            assert f"does not read {part} of {route.method}" in answer.text


def test_headers_without_effect_are_ignored(rest: Rest) -> None:
    """What clients, proxies and tracers add: the service ignores them as well."""
    added = {
        "X-Forwarded-For": "10.0.0.1",
        "traceparent": "00-00000000000000000000000000000001-0000000000000001-01",
        "x-ms-client-request-id": "1",
        "Cache-Control": "no-cache",
        "My-Header": "1",
    }
    assert rest("GET", "/computes", headers=added).status_code == 200


def test_blobs_of_other_kinds_are_refused(rest: Rest) -> None:
    """Append blobs, leases and snapshots: never taken for the block blobs that the emulator has."""
    secret = rest("POST", "/datastores/workspaceblobstore/listSecrets").json()["sasToken"]
    version = {"x-ms-version": "2025-01-05"}
    for query, headers in (("", {"x-ms-blob-type": "AppendBlob"}), ("&comp=lease", {})):
        answer = rest.http.put(f"/c/b{secret}{query}", content=b"x", headers={**version, **headers})
        assert (answer.status_code, "block blobs" in answer.text) == (501, True)
    answer = rest.http.get(f"/c{secret}&restype=container&comp=list&include=snapshots", headers=version)
    assert answer.status_code == 501


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
