"""Data and models of a private registry; the public one is read-only.

Putting a version is a long-running operation here, unlike in a workspace: 202 and an address that answers 202
until it answers 200 with the asset's id.
"""

from __future__ import annotations

from typing import Any

from azureml_emulator.core import operations
from azureml_emulator.core.asset_families import DATA, MODEL, Family, key
from azureml_emulator.core.catalogue import PUBLIC_REGISTRY_NAME as PUBLIC
from azureml_emulator.core.clock import wire_time
from azureml_emulator.core.errors import ServiceError, arm_error
from azureml_emulator.core.http import Request, Response, json_response
from azureml_emulator.core.lists import PAGING, in_view, page
from azureml_emulator.core.request_bodies import AssetBody, DataReferenceBody
from azureml_emulator.core.resources import AssetVersion, LongRunning
from azureml_emulator.core.routing import REGISTRY, Plane, Route
from azureml_emulator.core.shared_access import upload_location
from azureml_emulator.core.state import EmulatorState


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


def _registry_family(registry: str, family: Family) -> str:
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

    def put(self, state: EmulatorState, request: Request) -> Response:
        """202; the version is there once its operation has ended."""
        if request["registry"] == PUBLIC:
            raise _read_only(self.family.segment)
        given = state.body(request)["properties"]
        address = self.family.uri or ""
        if not given.get(address):
            raise state.error(400, f"The {address} field is required.", code="BadRequest")
        asset = AssetVersion(
            family=_registry_family(request["registry"], self.family),
            name=request["name"],
            version=request["version"],
            properties={**self.family.defaults, **given},
            created=state.clock.now(),
        )
        with state.lock:
            state.assets.put(key(asset.family, asset.name, asset.version), asset)
            target = asset_id(request["registry"], asset)
            operation = operations.begin(state, "registry.put", "", target, state.pace.cancel)
        location = f"{request.base}/assetstore/v1.0/operations/{operation.id}"
        return json_response(None, 202, {"Location": location, "x-ms-async-operation-timeout": "PT1H"})

    def get(self, state: EmulatorState, request: Request) -> Response:
        """One version."""
        found = state.assets.get(
            key(_registry_family(request["registry"], self.family), request["name"], request["version"])
        )
        if found is None:
            raise state.not_found(
                f"{self.family.noun}NotFound",
                f"{self.family.noun} with name: {request['name']} and version: {request['version']} not "
                "found.",
            )
        return json_response(_render(request["registry"], found))

    def list_versions(self, state: EmulatorState, request: Request) -> Response:
        """Newest first, unless ``$orderBy`` asks for the opposite; an unknown name is an empty list."""
        family = _registry_family(request["registry"], self.family)
        found = [one for one in state.assets.values() if (one.family, one.name) == (family, request["name"])]
        found = [one for one in found if in_view(state, request, archived=bool(one.properties["isArchived"]))]
        if "desc" in request.query.get("$orderBy", "createdtime desc").lower():
            found.reverse()
        return page(state, request, found, lambda one: _render(request["registry"], one))

    def container(self, state: EmulatorState, request: Request) -> Response:
        """The latest version of a name."""
        family = _registry_family(request["registry"], self.family)
        found = [one for one in state.assets.values() if (one.family, one.name) == (family, request["name"])]
        if not found:
            raise state.not_found(
                f"{self.family.noun}NotFound",
                f"{self.family.noun} container with name: {request['name']} not found.",
            )
        numbers = [int(one.version) for one in found if one.version.isdigit()]
        return json_response(
            {
                "name": request["name"],
                "properties": {
                    "latestVersion": found[-1].version,
                    "nextVersion": str(max(numbers, default=0) + 1),
                },
            }
        )


def _upload_location(state: EmulatorState, request: Request) -> Response:
    """A container for the bytes of a version that is about to be."""
    if request["registry"] == PUBLIC:
        raise _read_only("tempdatarefs")
    return json_response(
        upload_location(
            state, request, "-".join(("registry", request["registry"], request["name"], request["version"]))
        )
    )


def _status(state: EmulatorState, request: Request) -> Response:
    operation = state.operations.get(request["operation"])
    if operation is None:
        raise arm_error(404, "NotFound", f"Operation {request['operation']} was not found.")
    if not operation.settled:
        headers = {"Location": request.base + request.path, **operations.poll_headers(state)}
        return Response(202, headers=headers)
    return json_response({"assetId": operation.target})


def _nothing(state: EmulatorState, operation: LongRunning) -> None:
    """The version was kept at once."""


def _routes(family: Family) -> tuple[Route, ...]:
    calls, root = _Calls(family), f"{REGISTRY}/{family.segment}/{{name}}"
    noun, versions = f"registry_{family.segment}", f"{root}/versions"
    return (
        Route(f"{noun}.put", "PUT", f"{versions}/{{version}}", calls.put, Plane.REGISTRY, body=AssetBody),
        Route(f"{noun}.get", "GET", f"{versions}/{{version}}", calls.get, Plane.REGISTRY),
        Route(
            f"{noun}.list_versions",
            "GET",
            versions,
            calls.list_versions,
            Plane.REGISTRY,
            query=("$orderBy", "listViewType", *PAGING),
        ),
        Route(f"{noun}.container", "GET", root, calls.container, Plane.REGISTRY),
    )


COMPLETIONS = {"registry.put": _nothing}
ROUTES = (
    *_routes(DATA),
    *_routes(MODEL),
    Route(
        "registry.start_upload",
        "PUT",
        f"{REGISTRY}/tempdatarefs/{{name}}/versions/{{version}}",
        _upload_location,
        Plane.REGISTRY,
        body=DataReferenceBody,
    ),
    Route("registry.operation", "GET", "/assetstore/v1.0/operations/{operation}", _status, Plane.DATA),
)
