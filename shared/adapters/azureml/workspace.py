"""Compute and datastore of the workspace, over ARM.

Bodies and api-versions are those that azure-ai-ml 1.35.2 sends for `AmlCompute` and `AzureBlobDatastore`;
a test holds them equal to the SDK's own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, NoReturn, TypeVar

from shared.adapters.azureml.arm import Arm, WorkspaceId
from shared.adapters.storage.account import DATASETS, DatastoreAddress
from shared.domain.errors import InvalidRunError, ServiceRefusedError
from shared.domain.run.observation import ComputeStatus, provisioning
from shared.domain.sanitize import plain_text
from shared.domain.training.capacity import Quota, VmSize

T = TypeVar("T")

WORKSPACE_VERSION = "2024-10-01-preview"
COMPUTE_VERSION = "2023-08-01-preview"
DATASTORE_VERSION = "2024-10-01-preview"

IDLE_BEFORE_SCALE_DOWN = "PT2M"
"""How long a node may idle: short, since each GPU node is paid by the minute."""


FACTS_SECONDS = 30.0
"""How long what ARM said of the workspace is used again: another may have taken its name since."""


class WorkspaceFacts(NamedTuple):
    """What ARM says of the workspace: its immutable id, its region, and where its other services are."""

    id: str
    location: str
    discovery_url: str
    tracking_uri: str


class AzureMlWorkspace:
    """The workspace that everything of a run lives in."""

    def __init__(
        self,
        arm: Arm,
        workspace: WorkspaceId,
        *,
        datastore: str,
        account: DatastoreAddress,
        compute_identity: str | None = None,
    ) -> None:
        self._arm = arm
        self._workspace = workspace
        self._datastore = datastore
        self._account = account
        self._compute_identity = compute_identity
        self._read: tuple[WorkspaceFacts, float] | None = None

    @property
    def facts(self) -> WorkspaceFacts:
        """The workspace as ARM described it less than `FACTS_SECONDS` ago."""
        facts, read_at = self._read or (None, 0.0)
        if facts is None or time.monotonic() - read_at > FACTS_SECONDS:
            facts = self._arm.get(
                self._workspace.path,
                _read_workspace,
                api_version=WORKSPACE_VERSION,
                doing=f"reading workspace {self._workspace.workspace}",
            ) or _missing(self._workspace)
            self._read = (facts, time.monotonic())
        return facts

    def id(self) -> str:
        """See `Workspace.id`."""
        return self.facts.id

    @property
    def location(self) -> str:
        """The workspace's region."""
        return self.facts.location

    def compute(self, name: str) -> ComputeStatus | None:
        """See `Workspace.compute`."""
        return self._arm.get(
            f"{self._workspace.path}/computes/{name}",
            _read_compute,
            api_version=COMPUTE_VERSION,
            doing=f"looking at cluster {name}",
        )

    def vm_sizes(self) -> Mapping[str, VmSize]:
        """See `Workspace.vm_sizes`."""
        return self._of_region("vmSizes", _read_sizes, f"listing the VM sizes of {self.location}")

    def quotas(self) -> Mapping[str, Quota]:
        """See `Workspace.quotas`."""
        return self._of_region("usages", _read_quotas, f"reading the quotas of {self.location}")

    def _of_region(self, what: str, read: Callable[[Any], dict[str, T]], doing: str) -> Mapping[str, T]:
        region = f"/subscriptions/{self._workspace.subscription}/providers/Microsoft.MachineLearningServices"
        path = f"{region}/locations/{self.location}/{what}"
        found = self._arm.get(path, read, api_version=COMPUTE_VERSION, doing=doing)
        if found is None:
            # That the list is not there says nothing of what would be on it.
            raise ServiceRefusedError(f"{doing}: it answers 404", code="RegionNotFound", status=404)
        return found

    def create_compute(self, name: str, size: str, *, max_nodes: int) -> None:
        """See `Workspace.create_compute`."""
        self._arm.put(
            f"{self._workspace.path}/computes/{name}",
            compute_body(self.location, size, max_nodes, self._compute_identity),
            api_version=COMPUTE_VERSION,
            doing=f"creating cluster {name}",
        )

    def delete_compute(self, name: str) -> None:
        """See `Workspace.delete_compute`."""
        self._arm.delete(
            f"{self._workspace.path}/computes/{name}?underlyingResourceAction=Delete",
            api_version=COMPUTE_VERSION,
            doing=f"deleting cluster {name}",
        )

    def ensure_datastore(self) -> None:
        """See `Workspace.ensure_datastore`."""
        path = f"{self._workspace.path}/datastores/{self._datastore}"
        doing = f"registering datastore {self._datastore}"
        found = self._arm.get(path, _read_container, api_version=DATASTORE_VERSION, doing=doing)
        if found is not None:
            self._check_datastore(found)
        else:
            self._arm.put(
                f"{path}?skipValidation=true",
                datastore_body(self._account),
                api_version=DATASTORE_VERSION,
                doing=doing,
            )

    def _check_datastore(self, found: tuple[str, str]) -> None:
        if found != (self._account.account, DATASETS):
            raise InvalidRunError(
                f"datastore {self._datastore} of workspace {self._workspace.workspace} is over container "
                f"{found[1]} of account {found[0]}, not {DATASETS} of {self._account.account}: "
                "set DATASTORE_NAME to another name",
                code="DatastoreTaken",
            )


def compute_body(location: str, size: str, max_nodes: int, identity: str | None = None) -> dict[str, Any]:
    """The PUT of a GPU cluster that costs nothing while no job runs on it."""
    body: dict[str, Any] = {
        "location": location,
        "properties": {
            "computeType": "AmlCompute",
            "disableLocalAuth": True,
            "properties": {
                "osType": "Linux",
                "vmSize": size,
                "vmPriority": "Dedicated",
                "scaleSettings": {
                    "minNodeCount": 0,
                    "maxNodeCount": max_nodes,
                    "nodeIdleTimeBeforeScaleDown": IDLE_BEFORE_SCALE_DOWN,
                },
                "remoteLoginPortPublicAccess": "Disabled",
                "enableNodePublicIp": True,
            },
        },
    }
    if identity is not None:
        # Jobs read the datastore, which has no credentials, as the cluster that they run on.
        body["identity"] = {"type": "UserAssigned", "userAssignedIdentities": {identity: {}}}
    return body


def datastore_body(account: DatastoreAddress) -> dict[str, Any]:
    """The PUT of a datastore without credentials: jobs read with their own identity."""
    return {
        "properties": {
            "datastoreType": "AzureBlob",
            "accountName": account.account,
            "containerName": DATASETS,
            "endpoint": account.endpoint,
            "protocol": account.protocol,
            "credentials": {"credentialsType": "None"},
            "tags": {},
        },
    }


def _read_workspace(body: Any) -> WorkspaceFacts:
    facts = body["properties"]
    return WorkspaceFacts(
        id=str(facts["workspaceId"]),
        location=str(body["location"]),
        discovery_url=str(facts["discoveryUrl"]),
        tracking_uri=str(facts["mlFlowTrackingUri"]),
    )


def _read_compute(body: Any) -> ComputeStatus:
    facts = body["properties"]
    errors = facts.get("provisioningErrors") or []
    messages = [str((fault.get("error") or fault).get("message") or "") for fault in errors]
    return ComputeStatus(
        provisioning(facts.get("provisioningState")),
        str((facts.get("properties") or {}).get("vmSize") or ""),
        plain_text(" ".join(filter(None, messages))) or None,
    )


def _read_sizes(body: Any) -> dict[str, VmSize]:
    return {
        str(item["name"]).lower(): VmSize(
            int(item.get("gpus") or 0),
            int(item.get("vCPUs") or 0),
            str(item.get("family") or ""),
            str(item["name"]),
        )
        for item in body["value"]
    }


def _read_quotas(body: Any) -> dict[str, Quota]:
    return {
        str(item["name"]["value"]).lower(): Quota(int(item["currentValue"]), int(item["limit"]))
        for item in body["value"]
    }


def _read_container(body: Any) -> tuple[str, str]:
    facts = body["properties"]
    return str(facts.get("accountName")), str(facts.get("containerName"))


def _missing(workspace: WorkspaceId) -> NoReturn:
    raise ServiceRefusedError(
        f"there is no workspace {workspace.workspace} in resource group {workspace.resource_group}: "
        "check AZURE_SUBSCRIPTION_ID, AZURE_RESOURCE_GROUP and AZUREML_WORKSPACE",
        code="WorkspaceNotFound",
        status=404,
    )
