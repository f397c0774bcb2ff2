"""Names, storage accounts and limits of one emulated subscription.

No environment variable and no file is read here: the command line and tests pass every value in.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from azureml_emulator.core.switches import Switches


class Catalogue(StrEnum):
    """The month whose public model registry is served.

    Allow lists moved from tags to ``system_metadata`` in June and July 2026, and Phi-3-mini was archived on
    2026-06-02 (Azure/azureml-assets, ``assets/models/system``).
    """

    MAY_2026 = "2026-05"
    JULY_2026 = "2026-07"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Names, storage accounts and limits of one emulator.

    Attributes:
        registry: Name of a registry that may be written to, beside the public ``azureml``.
        storage: Connection strings of accounts outside the emulator (Azurite, usually), by account name.
        quota: Cores allowed per VM family; a family that is not named has ``default_quota``.
        folder: Where state is kept between runs; None keeps it in memory.
        strict: Whether a query parameter or body field that the emulator does not read is refused by 501;
            otherwise it is logged.
        switches: Answers to what is not known of the service, see ``Switches``.
        events_url: Where run status changes are posted as Event Grid events; None: events are not posted.
    """

    subscription: str = "00000000-0000-0000-0000-000000000001"
    resource_group: str = "local"
    workspace: str = "local"
    location: str = "localregion"
    registry: str = "local"
    cloud_name: str = "LocalCloud"
    tenant: str = "00000000-0000-0000-0000-0000000000aa"
    workspace_id: str = "00000000-0000-0000-0000-0000000000bb"
    identity_secret: str = "local-identity-header"  # noqa: S105  # it protects nothing; any value will do
    catalogue: Catalogue = Catalogue.MAY_2026
    storage: dict[str, str] = field(default_factory=dict)
    quota: dict[str, int] = field(default_factory=dict)
    default_quota: int = 500
    folder: Path | None = None
    strict: bool = False
    switches: Switches = field(default_factory=Switches)
    events_url: str | None = None

    @property
    def workspace_names(self) -> tuple[str, str, str]:
        """Subscription, resource group and workspace: what `MLClient` asks for after its credential."""
        return self.subscription, self.resource_group, self.workspace

    @property
    def workspace_arm_id(self) -> str:
        """The workspace's Azure Resource Manager id."""
        return (
            f"/subscriptions/{self.subscription}/resourceGroups/{self.resource_group}"
            f"/providers/Microsoft.MachineLearningServices/workspaces/{self.workspace}"
        )

    @property
    def studio_workspace(self) -> str:
        """The workspace's id as links into the studio spell it."""
        return (
            f"/subscriptions/{self.subscription}/resourcegroups/{self.resource_group}"
            f"/workspaces/{self.workspace}"
        )

    @property
    def location_path(self) -> str:
        """The path under which operations and sizes of the region are found."""
        return (
            f"/subscriptions/{self.subscription}/providers/Microsoft.MachineLearningServices"
            f"/locations/{self.location}"
        )

    @property
    def registry_resource_group(self) -> str:
        """The resource group that discovery names for the public registry."""
        return "registry-group"

    @property
    def blob_account(self) -> str:
        """The workspace's own storage account, which the emulator serves itself."""
        return f"{self.workspace}store"

    def experiment_id(self, name: str) -> str:
        """An experiment's id: the same name has the same one, as long as the workspace is the same."""
        return str(uuid.uuid5(uuid.UUID(self.workspace_id), name))
