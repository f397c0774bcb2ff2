"""The two datastores that every workspace has from the start."""

from __future__ import annotations

from datetime import datetime

from azureml_emulator.core.resources import Datastore
from azureml_emulator.core.settings import Settings

BLOB_STORE = "workspaceblobstore"
ARTIFACT_STORE = "workspaceartifactstore"


def builtin_datastores(settings: Settings, created: datetime) -> list[Datastore]:
    """The default datastore, and the one that keeps what jobs write by themselves."""
    containers = {BLOB_STORE: f"azureml-blobstore-{settings.workspace_id}", ARTIFACT_STORE: "azureml"}
    return [
        Datastore(
            name=name,
            properties={
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
            },
            secrets={"secretsType": "AccountKey"},
            created=created,
            is_default=name == BLOB_STORE,
        )
        for name, container in containers.items()
    ]
