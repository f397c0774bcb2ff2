"""Datastores: containers under a name, and the addresses that lead to them."""

from __future__ import annotations

import re
from typing import Any

from azureml_emulator.core.clock import wire_time
from azureml_emulator.core.http import Request, Response, json_response
from azureml_emulator.core.lists import page
from azureml_emulator.core.request_bodies import DatastoreBody, SecretsBody
from azureml_emulator.core.resources import Datastore
from azureml_emulator.core.routing import WORKSPACE, Route
from azureml_emulator.core.shared_access import shared_access_signature
from azureml_emulator.core.state import EmulatorState


def render(state: EmulatorState, request: Request, datastore: Datastore) -> dict[str, Any]:
    """The datastore as GET shows it: never its secrets."""
    moment = wire_time(datastore.created)
    # The suffix that this server announces, so that a client can put the account's address together.
    endpoint = datastore.properties.get("endpoint") or f"@{request.base.removeprefix('https://')}"
    return {
        "id": f"{state.settings.workspace_arm_id}/datastores/{datastore.name}",
        "name": datastore.name,
        "type": "Microsoft.MachineLearningServices/workspaces/datastores",
        "properties": {
            **datastore.properties,
            "endpoint": endpoint,
            "isDefault": datastore.is_default,
        },
        "systemData": {
            "createdAt": moment,
            "createdBy": "local",
            "createdByType": "User",
            "lastModifiedAt": moment,
            "lastModifiedBy": "local",
            "lastModifiedByType": "User",
        },
    }


def _put(state: EmulatorState, request: Request) -> Response:
    given, name = state.body(request)["properties"], request["datastore"]
    if not re.fullmatch(r"[a-zA-Z0-9_]{1,255}", name):
        raise state.error(400, f"Datastore name '{name}' has other characters than letters, digits and '_'.")
    if given.get("datastoreType") not in ("AzureBlob", "AzureDataLakeGen2"):
        raise state.error(400, f"Datastore type '{given.get('datastoreType')}' is not supported here.")
    for needed in ("accountName", "containerName" if given["datastoreType"] == "AzureBlob" else "filesystem"):
        if not given.get(needed):
            raise state.error(400, f"The {needed} field is required.")
    credentials = dict(given.get("credentials") or {"credentialsType": "None"})
    secrets = credentials.pop("secrets", None) or {"secretsType": "None"}
    properties = {
        "description": None,
        "tags": {},
        "properties": None,
        "subscriptionId": None,
        "resourceGroup": None,
        "protocol": "https",
        "serviceDataAccessAuthIdentity": "None",
        **given,
        "credentials": credentials,
    }
    properties.setdefault("containerName", given.get("filesystem"))
    with state.lock:
        existing = state.datastores.get(name)
        datastore = Datastore(
            name=name,
            properties=properties,
            secrets=secrets,
            created=existing.created if existing else state.clock.now(),
            is_default=existing.is_default if existing else False,
        )
        state.datastores.put(name, datastore)
    query = "&".join(f"{key}={value}" for key, value in request.query.items())
    return json_response(
        render(state, request, datastore),
        200 if existing else 201,
        {"Location": f"{request.base}{request.path}?{query}"},
    )


def _found(state: EmulatorState, request: Request) -> Datastore:
    datastore = state.datastores.get(request["datastore"])
    if datastore is None:
        raise state.not_found(
            "DatastoreNotFound", f"Could not find datastore with name: {request['datastore']}."
        )
    return datastore


def _get(state: EmulatorState, request: Request) -> Response:
    return json_response(render(state, request, _found(state, request)))


def _list(state: EmulatorState, request: Request) -> Response:
    """In pages of ``count``; ``orderByAsc`` sorts by name."""
    only_default = request.query.get("isDefault", "").lower() == "true"
    found = [one for one in state.datastores.values() if one.is_default or not only_default]
    order = request.query.get("orderByAsc", "").lower()
    if order == "true":
        found.sort(key=lambda one: one.name)
    return page(state, request, found, lambda one: render(state, request, one), size="count")


def _delete(state: EmulatorState, request: Request) -> Response:
    with state.lock:
        existed = state.datastores.get(request["datastore"]) is not None
        state.datastores.remove(request["datastore"])
    return Response(200 if existed else 204)


def _list_secrets(state: EmulatorState, request: Request) -> Response:
    """A signature for the workspace's own account; otherwise what was given at creation."""
    datastore = _found(state, request)
    kind = datastore.properties["credentials"]["credentialsType"]
    if kind == "None":
        raise state.error(400, "No secrets for credentials of type None.")
    if datastore.properties["accountName"] == state.settings.blob_account:
        return json_response({"secretsType": "Sas", "sasToken": shared_access_signature(state)})
    return json_response({**datastore.secrets, "secretsType": kind})


_ONE = f"{WORKSPACE}/datastores/{{datastore}}"
ROUTES = (
    Route("datastores.put", "PUT", _ONE, _put, query=("skipValidation",), body=DatastoreBody),
    Route("datastores.get", "GET", _ONE, _get),
    Route(
        "datastores.list",
        "GET",
        f"{WORKSPACE}/datastores",
        _list,
        query=("isDefault", "count", "orderByAsc", "$skip"),
    ),
    Route("datastores.delete", "DELETE", _ONE, _delete),
    Route("datastores.list_secrets", "POST", f"{_ONE}/listSecrets", _list_secrets, body=SecretsBody),
)
