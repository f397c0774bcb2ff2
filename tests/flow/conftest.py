"""The app wired to Azurite and the Azure ML emulator, in this process, with a clock that tests turn.

Nothing of the app is replaced: the real adapters and SDKs go over the wire. Only the triggers are
missing; `tests/e2e` has them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from azure.core.exceptions import ResourceExistsError
from azure.identity import DefaultAzureCredential
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueClient
from azureml_emulator import Emulator

from local.azurite import Azurite
from local.settings import app_environment
from shared.adapters.storage.account import CONTAINERS
from shared.adapters.storage.advance_queue import QUEUE
from shared.bootstrap import build_services
from shared.config import Settings
from shared.domain.run.run import Run
from shared.domain.run.stages import Stage
from shared.ports import Services
from shared.workflow.advance import advance_run
from shared.workflow.open_run import take_upload

ROOT = Path(__file__).parents[2]
MOST_ADVANCES = 60


@pytest.fixture(scope="session")
def storage(azurite: Azurite) -> BlobServiceClient:
    """The data account with its containers."""
    service = BlobServiceClient.from_connection_string(azurite.connection_string)
    for name in CONTAINERS:
        if not service.get_container_client(name).exists():
            service.create_container(name)
    with (
        QueueClient.from_connection_string(azurite.connection_string, QUEUE) as queue,
        suppress(ResourceExistsError),
    ):
        queue.create_queue()
    return service


@pytest.fixture(scope="session")
def shared_emulator(azurite: Azurite) -> Iterator[Emulator]:
    """One Azure ML for all flows; each test resets it."""
    with Emulator(
        pace="instant", strict=True, storage={"devstoreaccount1": azurite.connection_string}
    ) as emulator:
        yield emulator


@dataclass
class Flow:
    """One app, and the hands that drive it."""

    emulator: Emulator
    storage: BlobServiceClient
    settings: Settings
    services: Services
    clock: list[datetime] = field(default_factory=lambda: [datetime.now(UTC)])

    def services_of(self, services: Services) -> Services:
        """The same services by this flow's clock, and with no jitter."""
        return replace(services, now=lambda: self.clock[0], jitter=lambda: 0.0)

    def upload(self, path: str, body: bytes) -> str:
        """Upload a file and open its run."""
        self.storage.get_blob_client("uploads", path).upload_blob(body, overwrite=True)
        (run_id,) = take_upload(
            path,
            container="uploads",
            settings=self.settings,
            services=self.services,
        )
        return run_id

    def advance(self, run_id: str) -> Run:
        """Advance once, as the queue would."""
        run = advance_run(run_id, settings=self.settings, services=self.services)
        assert run is not None
        return run

    def drive(self, run_id: str, until: Stage) -> Run:
        """Advance again and again, turning the clock to when the run is due, until it reaches a stage."""
        for _ in range(MOST_ADVANCES):
            run = self.advance(run_id)
            if run.stage is until:
                return run
            if run.stage.terminal:
                break
            assert run.due is not None
            self.clock[0] = max(self.clock[0], run.due)
        raise AssertionError(f"{run_id} is {run.stage} instead of {until}: {run.error} {run.last_fault}")

    def configured(self, **changes: object) -> Flow:
        """The same with other settings."""
        import msgspec

        return replace(self, settings=msgspec.structs.replace(self.settings, **changes))

    def calls(self, method: str, part: str) -> list[str]:
        """Paths of the calls that the emulator has seen."""
        return [
            call["path"]
            for call in self.emulator.calls()
            if call["method"] == method and part in call["path"]
        ]


@pytest.fixture
def flow(
    shared_emulator: Emulator,
    storage: BlobServiceClient,
    azurite: Azurite,
    monkeypatch: pytest.MonkeyPatch,
) -> Flow:
    """The app as `make dev` configures it, against a fresh Azure ML."""
    for container in CONTAINERS:
        client = storage.get_container_client(container)
        for blob in client.list_blob_names():
            client.delete_blob(blob)
    shared_emulator.reset()
    shared_emulator.set_pace("instant")
    for name, value in shared_emulator.environment.items():
        monkeypatch.setenv(name, value)
    example = json.loads((ROOT / "local.settings.json.example").read_text())["Values"]
    # Runs of other tests share the store; they are not to wait for one another.
    unlimited = {"MAX_TRAINING_RUNS": "0", "MAX_LIVE_ENDPOINTS": "0", "SETTLE_SECONDS": "0"}
    chosen = {**shared_emulator.environment, **unlimited, "TrainingStorage": azurite.connection_string}
    settings = Settings.from_env({**example, **chosen})
    built = Flow(shared_emulator, storage, settings, build_services(settings, DefaultAzureCredential()))
    return replace(built, services=built.services_of(built.services))


def later(flow: Flow, **span: float) -> None:
    """Turn the clock."""
    flow.clock[0] += timedelta(**span)


@pytest.fixture
def flow_environment(flow: Flow, azurite: Azurite) -> dict[str, str]:
    """The environment of a process of the app, beside the flow."""
    return app_environment(azurite.connection_string, flow.emulator.environment, {})
