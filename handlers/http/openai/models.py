"""`GET /api/v1/models`: the models that answer or can be started, in OpenAI's form."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from handlers.http.auth import check_key
from handlers.http.requests import Request
from handlers.http.responses import Response, json_response
from shared.app import App
from shared.serving.endpoint_directory import Availability, AvailableModel

OWNER = "finetune-on-upload"


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """A model that answers, or that can be started."""

    id: Annotated[str, Meta(description="Endpoint name, or dataset name.")]
    created: Annotated[int, Meta(description="When it went live or was stopped, in seconds since 1970.")]
    root: Annotated[str, Meta(description="The endpoint that answers under this id.")]
    status: Annotated[
        Availability,
        Meta(description="`POST /api/runs/{root}/start` deploys a stopped one; so may a chat that names it."),
    ]
    object: Literal["model"] = "model"
    owned_by: str = OWNER


class ModelList(msgspec.Struct, frozen=True, kw_only=True):
    """All of them."""

    data: list[Model]
    object: Literal["list"] = "list"


async def list_models(request: Request, app: App) -> Response:
    """List the live models.

    Raises:
        RequestError: 401 without an accepted key, 503 if none is configured.
    """
    check_key(request.headers, app.settings.accepted_keys)
    return json_response(200, ModelList(data=[_model(one) for one in await app.directory.models()]))


async def show_model(request: Request, app: App) -> Response:
    """Show one live model.

    Raises:
        RequestError: 401 without an accepted key, 503 if there are none, 404 if no live model has that id,
            409 or 410 for an endpoint that is not live.
    """
    check_key(request.headers, app.settings.accepted_keys)
    # A dataset in a folder has a slash in its name, which a path has as its escape.
    model = request.path["model"].replace("%2F", "/").replace("%2f", "/")
    for one in await app.directory.models():
        if one.id == model:
            return json_response(200, _model(one))
    raise await app.directory.absence_of(model)


def _model(one: AvailableModel) -> Model:
    return Model(id=one.id, created=int(one.since.timestamp()), root=one.endpoint, status=one.status)
