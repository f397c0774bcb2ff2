"""`GET /api/v1/models`: the live models in OpenAI's form."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from handlers.http.auth import check_key
from handlers.http.responses import Response, json_response
from shared.serving.live_models import LiveModel, LiveModels, unknown_model

OWNER = "finetune-on-upload"


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """A model that can be talked to."""

    id: Annotated[str, Meta(description="Endpoint name, or dataset name.")]
    created: Annotated[int, Meta(description="When it went live, in seconds since 1970.")]
    root: Annotated[str, Meta(description="The endpoint that answers under this id.")]
    object: Literal["model"] = "model"
    owned_by: str = OWNER


class ModelList(msgspec.Struct, frozen=True, kw_only=True):
    """All of them."""

    data: list[Model]
    object: Literal["list"] = "list"


async def list_models(headers: Mapping[str, str], keys: Iterable[str], models: LiveModels) -> Response:
    """List the live models.

    Raises:
        RequestError: 401 without an accepted key.
    """
    check_key(headers, keys)
    return json_response(200, ModelList(data=[_model(one) for one in await models.list_now()]))


async def show_model(
    model: str, headers: Mapping[str, str], keys: Iterable[str], models: LiveModels
) -> Response:
    """Show one live model.

    Raises:
        RequestError: 401 without an accepted key, 404 if no live model has that id.
    """
    check_key(headers, keys)
    for one in await models.list_now():
        if one.id == model:
            return json_response(200, _model(one))
    raise unknown_model(model)


def _model(one: LiveModel) -> Model:
    return Model(id=one.id, created=int(one.since.timestamp()), root=one.endpoint)
