"""One worker process that advances several runs at once, as the queue trigger does."""

from __future__ import annotations

import os
import threading
from functools import partial

import pytest
from azure.identity import DefaultAzureCredential
from azureml_emulator import Emulator

from chaos.world import Upload, World
from local.azurite import Azurite
from shared.bootstrap import build_services
from shared.config import Settings
from shared.domain.run.stages import Stage
from shared.ports import Services
from shared.workflow.advance import advance_run
from shared.workflow.open_run import take_upload

AT_ONCE = 6
MOST_LOOKS = 500


def _carry(upload: Upload, start: threading.Barrier, settings: Settings, services: Services) -> None:
    start.wait()
    take_upload(upload.path, container="uploads", settings=settings, services=services)
    for _ in range(MOST_LOOKS):
        run = advance_run(upload.run_id, settings=settings, services=services)
        # Of six only four validate at once; the others wait for their turn.
        if run is None or run.stage is not Stage.RECEIVED:
            return


def test_runs_that_advance_in_one_process_stay_apart(
    azurite: Azurite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Six at the same moment, through one set of adapters: each has its own data, job, model, endpoint."""
    with Emulator(
        pace="instant", strict=True, storage={"devstoreaccount1": azurite.connection_string}
    ) as emulator:
        world = World(azurite, emulator)
        for name, value in world.environment().items():
            monkeypatch.setenv(name, value)
        settings = Settings.from_env(os.environ)
        services = build_services(settings, DefaultAzureCredential())
        uploads = [world.upload() for _ in range(AT_ONCE)]
        start = threading.Barrier(AT_ONCE)
        carry = partial(_carry, start=start, settings=settings, services=services)
        threads = [threading.Thread(target=carry, args=(upload,)) for upload in uploads]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        for upload in uploads:
            audit = world.audit(upload)
            assert (audit.jobs, audit.models, audit.endpoints, audit.deployments) == (1, 1, 1, 1)
            assert world.record(upload.run_id).stage is Stage.LIVE
            body = str(emulator.resources("jobs", containing=upload.run_id)["jobs"][0]["properties"])
            others = {other.run_id for other in uploads} - {upload.run_id}
            assert f"{upload.run_id}/train.jsonl" in body
            assert not any(other in body for other in others)
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("lease")]
