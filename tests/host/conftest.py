"""A function host as a process of its own, serving the sample apps in `apps/`."""

from __future__ import annotations

import json
import os
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from azure.storage.queue import QueueClient, TextBase64DecodePolicy, TextBase64EncodePolicy

from local.azurite import Azurite
from local.processes import ChildProcess, wait_until

APPS = Path(__file__).parent / "apps"
ROOT = Path(__file__).parents[2]
SECONDS = 120.0


@dataclass
class RunningHost:
    """A host that answers; `process` is its process, `prefix` the beginning of its queues' names."""

    process: ChildProcess
    url: str
    key: str
    prefix: str
    storage: str
    exits: ExitStack

    def client(self, **headers: str) -> httpx.Client:
        """A client without a key, unless one is among the headers."""
        return httpx.Client(base_url=self.url, headers=headers, timeout=SECONDS, trust_env=False)

    def queue(self, name: str) -> QueueClient:
        """One of the sample app's queues, created when it is missing; bodies in base64, as the host's."""
        client = QueueClient.from_connection_string(
            self.storage,
            f"{self.prefix}-{name}",
            message_encode_policy=TextBase64EncodePolicy(),
            message_decode_policy=TextBase64DecodePolicy(),
        )
        make_queue(client)
        return self.exits.enter_context(client)

    def records(self) -> list[dict[str, Any]]:
        """What it has logged so far."""
        lines = self.process.output().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]


StartHost = Callable[..., RunningHost]


def make_queue(client: QueueClient) -> None:
    """Create a queue unless it is there."""
    from azure.core.exceptions import ResourceExistsError

    try:
        client.create_queue()
    except ResourceExistsError:
        return


def take(queue: QueueClient, count: int, seconds: float = SECONDS) -> list[str]:
    """Wait for so many messages and take them off the queue."""
    taken: list[str] = []

    def enough() -> bool:
        for message in queue.receive_messages(visibility_timeout=60):
            taken.append(message.content)
            queue.delete_message(message)
        return len(taken) >= count

    wait_until(enough, seconds)
    return taken


def starter(azurite: Azurite, folder: Path, exits: ExitStack) -> StartHost:
    """Make the function that starts hosts and has them stopped with `exits`."""

    def start(
        app: str | Path,
        *,
        prefix: str | None = None,
        arguments: tuple[str, ...] = (),
        settings: dict[str, str] | None = None,
    ) -> RunningHost:
        name = uuid.uuid4().hex[:12]
        prefix = prefix or f"t{name}"
        ready_file = folder / f"{name}.json"
        process = ChildProcess(
            "host",
            [
                *(sys.executable, "-m", "emulators.functions", "--app", str(APPS / app)),
                *("--port", "0", "--ready-file", str(ready_file), *arguments),
            ],
            folder / f"{name}.log",
            {
                **os.environ,
                "AzureWebJobsStorage": azurite.connection_string,
                "SampleStorage": azurite.connection_string,
                "AzureFunctionsWebHost__hostid": prefix,
                "PREFIX": prefix,
                "SCHEDULE": "0 0 0 1 1 *",
                **(settings or {}),
            },
            ROOT,
        )
        exits.callback(process.stop)
        process.wait_ready(ready_file.exists, SECONDS)
        ready = json.loads(ready_file.read_text())
        return RunningHost(
            process=process,
            url=ready["url"],
            key=ready["function_key"],
            prefix=prefix,
            storage=azurite.connection_string,
            exits=exits,
        )

    return start


@pytest.fixture
def start_host(azurite: Azurite, tmp_path: Path) -> Iterator[StartHost]:
    """Starts hosts for one test."""
    with ExitStack() as exits:
        yield starter(azurite, tmp_path, exits)


@pytest.fixture(scope="package")
def http_host(azurite: Azurite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHost]:
    """One host for all tests of a process, serving `apps/http`."""
    with ExitStack() as exits:
        yield starter(azurite, tmp_path_factory.mktemp("http"), exits)("http")


@pytest.fixture(scope="package")
def work_host(azurite: Azurite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHost]:
    """One host for all tests of a process, serving `apps/work`."""
    with ExitStack() as exits:
        yield starter(azurite, tmp_path_factory.mktemp("work"), exits)("work")
