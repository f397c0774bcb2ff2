"""What callers of an endpoint prove themselves with: keys, new keys, and tokens."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from local.azureml import operations
from local.azureml.endpoints import accepted, find
from local.azureml.resources import LongRunning
from local.azureml.wire import WORKSPACE, Answer, Call, Evidence, Route, json_answer

if TYPE_CHECKING:
    from local.azureml.cloud import Cloud

TOKEN_SECONDS, REFRESH_SECONDS = 86_340, 43_140  # recorded: a minute under a day and half a day


def _list_keys(cloud: Cloud, call: Call) -> Answer:
    endpoint = find(cloud, call)
    if endpoint.properties["authMode"] != "Key":
        raise cloud.error(
            400, "Keys can be listed only for endpoints whose authMode is Key.", code="BadRequest"
        )
    return json_answer({"primaryKey": endpoint.primary_key, "secondaryKey": endpoint.secondary_key})


def _regenerate(cloud: Cloud, call: Call) -> Answer:
    document = call.document()
    kind = document.get("keyType")
    if kind not in ("Primary", "Secondary"):
        raise cloud.error(400, f"keyType must be Primary or Secondary, not '{kind}'.", code="BadRequest")
    with cloud.lock:
        endpoint = find(cloud, call)
        name = endpoint.name.lower()
        operation = operations.begin(
            cloud, f"endpoint.regenerate_{kind.lower()}", "oeidp", name, cloud.pace.cancel
        )
    return accepted(cloud, call, operation)


def _token(cloud: Cloud, call: Call) -> Answer:
    endpoint = find(cloud, call)
    if endpoint.properties["authMode"] != "AMLToken":
        raise cloud.error(
            400, "Tokens are issued only for endpoints whose authMode is AMLToken.", code="BadRequest"
        )
    now = int(cloud.clock.now().timestamp())
    claims = {"aud": f"endpoint/{endpoint.name}", "exp": now + TOKEN_SECONDS}
    return json_answer(
        {
            "accessToken": cloud.issuer.issue(claims),
            "tokenType": "Bearer",
            "expiryTimeUtc": now + TOKEN_SECONDS,
            "refreshAfterTimeUtc": now + REFRESH_SECONDS,
        }
    )


def _regenerated(field: str) -> operations.Completion:
    def complete(cloud: Cloud, operation: LongRunning) -> None:
        endpoint = cloud.endpoints.get(operation.target)
        if endpoint is not None and operation.status == "Succeeded":
            setattr(endpoint, field, secrets.token_urlsafe(24))
            cloud.endpoints.put(operation.target, endpoint)

    return complete


COMPLETIONS = {
    "endpoint.regenerate_primary": _regenerated("primary_key"),
    "endpoint.regenerate_secondary": _regenerated("secondary_key"),
}
_ONE = f"{WORKSPACE}/onlineEndpoints/{{endpoint}}"
ROUTES = (
    Route("endpoints.list_keys", "POST", f"{_ONE}/listKeys", _list_keys),
    Route(
        "endpoints.regenerate_keys", "POST", f"{_ONE}/regenerateKeys", _regenerate, evidence=Evidence.DRIVEN
    ),
    Route("endpoints.token", "POST", f"{_ONE}/token", _token),
)
