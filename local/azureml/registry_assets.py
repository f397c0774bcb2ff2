"""Data and models of a registry of one's own, beside the public one, which is read-only.

Putting a version is a long-running operation here, unlike in a workspace: 202 and an address that answers 202
until it answers 200 with the asset's id.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from local.azureml import operations
from local.azureml.asset_families import DATA, MODEL, Family, key
from local.azureml.blobs import upload_place
from local.azureml.clock import wire_time
from local.azureml.errors import ServiceError, arm_error
from local.azureml.registry import NAME as PUBLIC
from local.azureml.request_bodies import AssetBody
from local.azureml.resources import AssetVersion, LongRunning
from local.azureml.wire import REGISTRY, Answer, Call, Evidence, Plane, Route, json_answer

if TYPE_CHECKING:
    from local.azureml.cloud import Cloud


def asset_id(registry: str, asset: AssetVersion) -> str:
    """The version's id, by which any workspace may name it."""
    segment = asset.family.rpartition("/")[2]
    return f"azureml://registries/{registry}/{segment}/{asset.name}/versions/{asset.version}"


def _read_only(segment: str) -> ServiceError:
    return arm_error(
        403,
        "AuthorizationFailed",
        f"The client does not have authorization to perform action '{segment}/versions/write' over registry "
        f"'{PUBLIC}'.",
    )


def _shelf_family(registry: str, family: Family) -> str:
    return f"registries/{registry}/{family.segment}"


def _render(registry: str, asset: AssetVersion) -> dict[str, Any]:
    return {
        "id": asset_id(registry, asset),
        "name": asset.version,
        "type": asset.family.rpartition("/")[2],
        "properties": asset.properties,
        "systemData": {"createdAt": wire_time(asset.created)},
    }


class _Calls:
    """The calls of one family."""

    def __init__(self, family: Family) -> None:
        self.family = family

    def put(self, cloud: Cloud, call: Call) -> Answer:
        """202; the version is there once its operation has ended."""
        if call["registry"] == PUBLIC:
            raise _read_only(self.family.segment)
        given = cloud.body(call, AssetBody)["properties"]
        address = self.family.uri or ""
        if not given.get(address):
            raise cloud.error(400, f"The {address} field is required.", code="BadRequest")
        asset = AssetVersion(
            family=_shelf_family(call["registry"], self.family),
            name=call["name"],
            version=call["version"],
            properties={**self.family.defaults, **given},
            created=cloud.clock.now(),
        )
        with cloud.lock:
            cloud.assets.put(key(asset.family, asset.name, asset.version), asset)
            target = asset_id(call["registry"], asset)
            operation = operations.begin(cloud, "registry.put", "", target, cloud.pace.cancel)
        location = f"{call.base}/assetstore/v1.0/operations/{operation.id}"
        return json_answer(None, 202, {"Location": location, "x-ms-async-operation-timeout": "PT1H"})

    def get(self, cloud: Cloud, call: Call) -> Answer:
        """One version."""
        found = cloud.assets.get(
            key(_shelf_family(call["registry"], self.family), call["name"], call["version"])
        )
        if found is None:
            raise cloud.not_found(
                f"{self.family.noun}NotFound",
                f"{self.family.noun} with name: {call['name']} and version: {call['version']} not found.",
            )
        return json_answer(_render(call["registry"], found))

    def list_versions(self, cloud: Cloud, call: Call) -> Answer:
        """Newest first; an unknown name is an empty list."""
        family = _shelf_family(call["registry"], self.family)
        found = [one for one in cloud.assets.values() if (one.family, one.name) == (family, call["name"])]
        top = int(call.query.get("$top", len(found)))
        return json_answer({"value": [_render(call["registry"], one) for one in found[::-1][:top]]})

    def container(self, cloud: Cloud, call: Call) -> Answer:
        """The latest version of a name."""
        family = _shelf_family(call["registry"], self.family)
        found = [one for one in cloud.assets.values() if (one.family, one.name) == (family, call["name"])]
        if not found:
            raise cloud.not_found(
                f"{self.family.noun}NotFound",
                f"{self.family.noun} container with name: {call['name']} not found.",
            )
        numbers = [int(one.version) for one in found if one.version.isdigit()]
        return json_answer(
            {
                "name": call["name"],
                "properties": {
                    "latestVersion": found[-1].version,
                    "nextVersion": str(max(numbers, default=0) + 1),
                },
            }
        )


def _upload_place(cloud: Cloud, call: Call) -> Answer:
    """A container for the bytes of a version that is about to be."""
    if call["registry"] == PUBLIC:
        raise _read_only("tempdatarefs")
    return json_answer(
        upload_place(cloud, call, "-".join(("registry", call["registry"], call["name"], call["version"])))
    )


def _status(cloud: Cloud, call: Call) -> Answer:
    operation = cloud.operations.get(call["operation"])
    if operation is None:
        raise arm_error(404, "NotFound", f"Operation {call['operation']} was not found.")
    if not operation.settled:
        headers = {"Location": call.base + call.path, **operations.poll_headers(cloud)}
        return Answer(202, headers=headers)
    return json_answer({"assetId": operation.target})


def _nothing(cloud: Cloud, operation: LongRunning) -> None:
    """The version was kept at once."""


def _routes(family: Family) -> tuple[Route, ...]:
    calls, root = _Calls(family), f"{REGISTRY}/{family.segment}/{{name}}"
    noun, versions = f"registry_{family.segment}", f"{root}/versions"
    return (
        Route(f"{noun}.put", "PUT", f"{versions}/{{version}}", calls.put, Plane.REGISTRY),
        Route(f"{noun}.get", "GET", f"{versions}/{{version}}", calls.get, Plane.REGISTRY),
        Route(f"{noun}.list_versions", "GET", versions, calls.list_versions, Plane.REGISTRY, Evidence.DRIVEN),
        Route(f"{noun}.container", "GET", root, calls.container, Plane.REGISTRY, Evidence.DRIVEN),
    )


COMPLETIONS = {"registry.put": _nothing}
ROUTES = (
    *_routes(DATA),
    *_routes(MODEL),
    Route(
        "registry.upload_place",
        "PUT",
        f"{REGISTRY}/tempdatarefs/{{name}}/versions/{{version}}",
        _upload_place,
        Plane.REGISTRY,
        Evidence.DRIVEN,
    ),
    Route("registry.operation", "GET", "/assetstore/v1.0/operations/{operation}", _status, Plane.DATA),
)
