"""Code that azure-ai-ml uploads for a component or a job: found again by what it holds, never by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from local.azureml import assets
from local.azureml.asset_families import CODE
from local.azureml.blobs import upload_place
from local.azureml.wire import WORKSPACE, Answer, Call, Evidence, Route, json_answer

if TYPE_CHECKING:
    from local.azureml.cloud import Cloud

_VERSIONS = f"{WORKSPACE}/{CODE.segment}/{{name}}/versions"


def _list_versions(cloud: Cloud, call: Call) -> Answer:
    """The versions whose contents have this hash, whatever they are called; none is no error.

    azure-ai-ml asks before it uploads, under a name that it has just made up, and reads the name of what is
    there from the id of the first answer.
    """
    wanted = call.query.get("hash")
    found = [
        asset
        for asset in cloud.assets.values()
        if asset.family == CODE.segment
        and (
            asset.properties["properties"].get("hash_sha256") == wanted
            if wanted
            else asset.name == call["name"]
        )
    ]
    return json_answer({"value": [assets.render(cloud, asset) for asset in found]})


def _start_upload(cloud: Cloud, call: Call) -> Answer:
    """A container for the bytes of a version that is about to be."""
    return json_answer(upload_place(cloud, call, "-".join(("code", call["name"], call["version"]))))


ROUTES = (
    Route("codes.list_versions", "GET", _VERSIONS, _list_versions, evidence=Evidence.DRIVEN),
    Route(
        "codes.start_upload",
        "POST",
        f"{_VERSIONS}/{{version}}/startPendingUpload",
        _start_upload,
        evidence=Evidence.DRIVEN,
    ),
)
