"""The real adapters over containers of a test's own, and over an emulated Azure ML."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from azure.core.pipeline.transport import RequestsTransport
from azure.storage.blob import BlobServiceClient, ContainerClient
from azureml_emulator import Emulator

from local.azurite import Azurite
from shared.adapters.storage.account import CONTAINERS, blob_service
from shared.bootstrap import build_services, credential
from shared.config import Settings, StorageConnection
from shared.ports import Services
from tests.app.worlds import EXAMPLE


class OwnContainers(BlobServiceClient):
    """The data account with the app's containers under names of their own, so that tests keep apart."""

    suffix = ""

    def get_container_client(self, container: str) -> ContainerClient:  # type: ignore[override]
        """The container of that name that belongs to this test."""
        return super().get_container_client(f"{container}-{self.suffix}")


def seen_through(azurite: Azurite, containers: OwnContainers, transport: RequestsTransport) -> OwnContainers:
    """The same containers, over another network."""
    lossy = OwnContainers.from_connection_string(
        azurite.connection_string, transport=transport, retry_total=1, initial_backoff=0, increment_base=0
    )
    lossy.suffix = containers.suffix
    return lossy


@pytest.fixture(scope="session")
def account(azurite: Azurite) -> Iterator[BlobServiceClient]:
    """The data account as the app opens it."""
    with blob_service(StorageConnection(connection_string=azurite.connection_string), None) as service:  # type: ignore[arg-type]
        yield service


@pytest.fixture
def containers(azurite: Azurite) -> Iterator[OwnContainers]:
    """Fresh containers."""
    service = OwnContainers.from_connection_string(
        azurite.connection_string, max_single_get_size=4 << 20, max_chunk_get_size=4 << 20, retry_total=0
    )
    service.suffix = uuid.uuid4().hex[:12]
    with service:
        for name in CONTAINERS:
            service.get_container_client(name).create_container()
        yield service


@pytest.fixture(scope="session")
def shared_azure_ml(azurite: Azurite, account: BlobServiceClient) -> Iterator[Emulator]:
    """One emulated Azure ML for all tests of adapters, and the containers that the app is deployed with."""
    for name in CONTAINERS:
        if not account.get_container_client(name).exists():
            account.create_container(name)
    with Emulator(
        pace="instant", strict=True, storage={"devstoreaccount1": azurite.connection_string}
    ) as emulator:
        yield emulator


@pytest.fixture
def azure_ml(shared_azure_ml: Emulator, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    """The emulated Azure ML as new, and the environment that points the SDKs at it."""
    shared_azure_ml.reset()
    for name, value in shared_azure_ml.environment.items():
        monkeypatch.setenv(name, value)
    return shared_azure_ml


def connected(azure_ml: Emulator, azurite: Azurite, **changes: str) -> Services:
    """The real adapters, with some settings changed."""
    storage = {"TrainingStorage": azurite.connection_string}
    environment = {**EXAMPLE, **azure_ml.environment, **storage, **changes}
    return build_services(Settings.from_env(environment), credential())


@pytest.fixture
def services(azure_ml: Emulator, azurite: Azurite) -> Services:
    """The real adapters, over an Azure ML that knows nothing yet."""
    return connected(azure_ml, azurite)
