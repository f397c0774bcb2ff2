"""Datastores: containers under a name, and the addresses that lead to them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from local.azureml.blobs import shared_access_signature
from local.azureml.clock import wire_time
from local.azureml.request_bodies import DatastoreBody
from local.azureml.resources import Datastore
from local.azureml.wire import WORKSPACE, Answer, Call, Route, json_answer

if TYPE_CHECKING:
    from local.azureml.cloud import Cloud

BLOB_STORE = "workspaceblobstore"
ARTIFACT_STORE = "workspaceartifactstore"
_PATH = re.compile(
    r"azureml://(?:subscriptions/[^/]+/resourcegroups/[^/]+/(?:providers/[^/]+/)?workspaces/[^/]+/)?"
    r"datastores/(?P<datastore>[^/]+)/paths/(?P<path>.*)",
    re.IGNORECASE,
)


class Place(NamedTuple):
    """Where bytes are: account, container and blob name or prefix."""

    account: str
    container: str
    path: str


def add_builtin(cloud: Cloud) -> None:
    """Adds the datastores that every workspace is born with."""
    settings = cloud.settings
    containers = {BLOB_STORE: f"azureml-blobstore-{settings.workspace_id}", ARTIFACT_STORE: "azureml"}
    for name, container in containers.items():
        if cloud.datastores.get(name) is not None:
            continue
        properties = {
            "description": None,
            "tags": None,
            "properties": None,
            "subscriptionId": settings.subscription,
            "resourceGroup": settings.resource_group,
            "datastoreType": "AzureBlob",
            "accountName": settings.blob_account,
            "containerName": container,
            "protocol": "https",
            "credentials": {"credentialsType": "AccountKey"},
            "serviceDataAccessAuthIdentity": "WorkspaceSystemAssignedIdentity",
        }
        cloud.datastores.put(
            name,
            Datastore(
                name=name,
                properties=properties,
                secrets={"secretsType": "AccountKey"},
                created=cloud.clock.now(),
                is_default=name == BLOB_STORE,
            ),
        )


def long_uri(cloud: Cloud, uri: str) -> str:
    """The form in which the service returns a datastore address: with the workspace spelled out."""
    found = _PATH.fullmatch(uri)
    if not found:
        return uri
    settings = cloud.settings
    return (
        f"azureml://subscriptions/{settings.subscription}/resourceGroups/{settings.resource_group}"
        f"/workspaces/{settings.workspace}/datastores/{found['datastore']}/paths/{found['path']}"
    )


def place_of(cloud: Cloud, uri: str) -> Place:
    """Where a datastore address leads.

    Raises:
        ValueError: It is not such an address.
        LookupError: The workspace has no datastore of that name.
    """
    found = _PATH.fullmatch(uri)
    if not found:
        raise ValueError(uri)
    datastore = cloud.datastores.get(found["datastore"])
    if datastore is None:
        raise LookupError(found["datastore"])
    properties = datastore.properties
    return Place(properties["accountName"], properties["containerName"], found["path"])


def render(cloud: Cloud, call: Call, datastore: Datastore) -> dict[str, Any]:
    """The datastore as GET shows it: never its secrets."""
    moment = wire_time(datastore.created)
    # The suffix that this server announces, so that a client can put the account's address together.
    endpoint = datastore.properties.get("endpoint") or f"@{call.base.removeprefix('https://')}"
    return {
        "id": f"{cloud.settings.workspace_arm_id}/datastores/{datastore.name}",
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


def _put(cloud: Cloud, call: Call) -> Answer:
    given, name = cloud.body(call, DatastoreBody)["properties"], call["datastore"]
    if not re.fullmatch(r"[a-zA-Z0-9_]{1,255}", name):
        raise cloud.error(400, f"Datastore name '{name}' has other characters than letters, digits and '_'.")
    if given.get("datastoreType") not in ("AzureBlob", "AzureDataLakeGen2"):
        raise cloud.error(400, f"Datastore type '{given.get('datastoreType')}' is not supported here.")
    for needed in ("accountName", "containerName" if given["datastoreType"] == "AzureBlob" else "filesystem"):
        if not given.get(needed):
            raise cloud.error(400, f"The {needed} field is required.")
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
    with cloud.lock:
        existing = cloud.datastores.get(name)
        datastore = Datastore(
            name=name,
            properties=properties,
            secrets=secrets,
            created=existing.created if existing else cloud.clock.now(),
            is_default=existing.is_default if existing else False,
        )
        cloud.datastores.put(name, datastore)
    query = "&".join(f"{key}={value}" for key, value in call.query.items())
    return json_answer(
        render(cloud, call, datastore),
        200 if existing else 201,
        {"Location": f"{call.base}{call.path}?{query}"},
    )


def _found(cloud: Cloud, call: Call) -> Datastore:
    datastore = cloud.datastores.get(call["datastore"])
    if datastore is None:
        raise cloud.not_found(
            "DatastoreNotFound", f"Could not find datastore with name: {call['datastore']}."
        )
    return datastore


def _get(cloud: Cloud, call: Call) -> Answer:
    return json_answer(render(cloud, call, _found(cloud, call)))


def _list(cloud: Cloud, call: Call) -> Answer:
    only_default = call.query.get("isDefault", "").lower() == "true"
    return json_answer(
        {
            "value": [
                render(cloud, call, datastore)
                for datastore in cloud.datastores.values()
                if datastore.is_default or not only_default
            ]
        }
    )


def _delete(cloud: Cloud, call: Call) -> Answer:
    with cloud.lock:
        existed = cloud.datastores.get(call["datastore"]) is not None
        cloud.datastores.remove(call["datastore"])
    return Answer(200 if existed else 204)


def _list_secrets(cloud: Cloud, call: Call) -> Answer:
    """A signature for the workspace's own account; otherwise what was given at creation."""
    datastore = _found(cloud, call)
    kind = datastore.properties["credentials"]["credentialsType"]
    if kind == "None":
        raise cloud.error(400, "No secrets for credentials of type None.")
    if datastore.properties["accountName"] == cloud.settings.blob_account:
        return json_answer({"secretsType": "Sas", "sasToken": shared_access_signature(cloud)})
    return json_answer({**datastore.secrets, "secretsType": kind})


_ONE = f"{WORKSPACE}/datastores/{{datastore}}"
ROUTES = (
    Route("datastores.put", "PUT", _ONE, _put),
    Route("datastores.get", "GET", _ONE, _get),
    Route("datastores.list", "GET", f"{WORKSPACE}/datastores", _list),
    Route("datastores.delete", "DELETE", _ONE, _delete),
    Route("datastores.list_secrets", "POST", f"{_ONE}/listSecrets", _list_secrets),
)
