"""Code that azure-ai-ml uploads for a component or a job; it is found by the hash of its contents."""

from __future__ import annotations

from azureml_emulator.arm import assets
from azureml_emulator.core.asset_families import CODE
from azureml_emulator.core.http import Request, Response, json_response
from azureml_emulator.core.request_bodies import PendingUploadBody
from azureml_emulator.core.resources import AssetVersion
from azureml_emulator.core.routing import WORKSPACE, Route
from azureml_emulator.core.shared_access import upload_location
from azureml_emulator.core.state import EmulatorState

_VERSIONS = f"{WORKSPACE}/{CODE.segment}/{{name}}/versions"


def _list_versions(state: EmulatorState, request: Request) -> Response:
    """The versions whose contents have this hash, whatever they are called; none is no error.

    azure-ai-ml asks before it uploads, under a name that it has just made up, and reads the name of what is
    there from the id of the first answer.
    """
    found = [
        asset
        for asset in state.assets.values()
        if asset.family == CODE.segment and _is_asked_for(asset, request)
    ]
    return json_response({"value": [assets.render(state, asset) for asset in found]})


def _is_asked_for(asset: AssetVersion, request: Request) -> bool:
    wanted, version = request.query.get("hash"), request.query.get("hashVersion")
    given = asset.properties["properties"]
    if not wanted:
        return asset.name == request["name"]
    return given.get("hash_sha256") == wanted and version in (None, str(given.get("hash_version", version)))


def _start_upload(state: EmulatorState, request: Request) -> Response:
    """A container for the bytes of a version that is about to be."""
    return json_response(
        upload_location(state, request, "-".join(("code", request["name"], request["version"])))
    )


ROUTES = (
    Route(
        "codes.list_versions",
        "GET",
        _VERSIONS,
        _list_versions,
        query=("hash", "hashVersion"),
    ),
    Route(
        "codes.start_upload",
        "POST",
        f"{_VERSIONS}/{{version}}/startPendingUpload",
        _start_upload,
        body=PendingUploadBody,
    ),
)
