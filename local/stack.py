"""The whole stack: Azurite, the Azure ML emulator, the function host and the watcher, as one unit."""

import fcntl
import json
import os
import secrets
import shutil
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
from azure.core.exceptions import ResourceExistsError
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueServiceClient

from local.azurite import ACCOUNT, Azurite
from local.core_tools import start_core_tools
from local.event_grid import STORAGE_SETTING, WEBHOOK_SETTING
from local.kept import Kept, free_port
from local.processes import ChildProcess
from local.settings import ROOT, app_environment, example_settings, tool_environment

FOLDER = ROOT / ".local"
CONTAINERS = ("uploads", "datasets", "runs", "reports", "coordination")
QUEUES = ("advance", "requested", "notifications", "uploads")
UPLOAD_FUNCTION = "dataset_uploaded"
JOB_FUNCTION = "job_status_changed"
START_SECONDS = 60.0


class StackRunningError(Exception):
    """Another stack uses the same folder; the message tells where it is."""


@dataclass(slots=True)
class Stack:
    """A running stack; leaving the context stops it, whatever happened inside.

    Start it from the main thread: on Linux its processes end with the thread that started them.

    Attributes:
        folder: Where logs, addresses and scratch files go; one stack a folder.
        app: The function app's folder.
        host: `auto` takes `func` when it is installed, `local` this project's host, `func` only that.
        pace: How long things take in Azure ML: `instant`, `fast` or `timed`.
        port: The function host's port; 0 takes a free one.
        settings: App settings that win over the stack's own.
        keep: Whether storage, Azure ML's state and the key stay in the folder for the next start.
        fresh: Whether what an earlier start has kept there is forgotten.
        events: Switches of `local.event_grid` that make the delivery of events bad.
        continued: Whether it goes on with what an earlier start has kept.
    """

    folder: Path = FOLDER
    app: Path = ROOT
    host: str = "auto"
    pace: str = "fast"
    port: int = 0
    settings: Mapping[str, str] = field(default_factory=dict)
    keep: bool = False
    fresh: bool = False
    events: Sequence[str] = ()

    continued: bool = field(init=False, default=False)
    functions_url: str = field(init=False, default="")
    function_key: str = field(init=False, default="")
    blob_connection_string: str = field(init=False, default="")
    azureml_url: str = field(init=False, default="")
    ca_bundle: str = field(init=False, default="")
    environment: dict[str, str] = field(init=False, default_factory=dict)
    _processes: dict[str, ChildProcess] = field(init=False, default_factory=dict)
    _azurite: Azurite | None = field(init=False, default=None)
    _azureml_port: int = field(init=False, default=0)
    _exits: ExitStack = field(init=False, default_factory=ExitStack)

    def start(self) -> Self:
        """Start everything and wait until it answers.

        Raises:
            StackRunningError: A stack already runs in this folder.
            ProcessError: A part did not start; the message ends with its log.
        """
        self._claim_folder()
        try:
            self._choose_address()
            self._start_storage()
            self._start_azureml()
            self.start_functions()
            self._start_event_grid()
            self._write_addresses()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop everything, last started first. Stopping twice is fine."""
        (self.folder / "stack.json").unlink(missing_ok=True)
        for process in reversed(self._processes.values()):
            process.stop()
        self._processes.clear()
        self._exits.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pids(self) -> dict[str, int]:
        """The process ids of the parts by name."""
        azurite = {"azurite": self._azurite.pid} if self._azurite is not None else {}
        return {**azurite, **{name: process.pid for name, process in self._processes.items()}}

    @property
    def ended(self) -> list[str]:
        """The parts that have ended without being asked to, each with its log."""
        ended = [f"{name} ({process.log})" for name, process in self._processes.items() if not process.alive]
        if self._azurite is not None and not self._azurite.alive:
            ended.append(f"azurite ({self._log('azurite')})")
        return ended

    def client(self) -> httpx.Client:
        """A client of the app's HTTP API, its key already in the headers."""
        return httpx.Client(
            base_url=self.functions_url,
            headers={"x-functions-key": self.function_key},
            timeout=60,
            trust_env=False,
        )

    def kill_functions(self) -> None:
        """Kill the function host as a crash would; `start_functions` brings it back at the same address."""
        self._processes.pop("functions").kill()

    def start_functions(self) -> None:
        """Start the function host, and wait until it answers.

        Raises:
            ProcessError: It did not.
        """
        if self._by_core_tools:
            self._processes["functions"] = start_core_tools(
                self.app, self.port, self._functions_environment(), self._log("functions")
            )
        else:
            self._start_local_host()

    @property
    def _kept(self) -> Kept:
        return Kept(self.folder)

    @property
    def _by_core_tools(self) -> bool:
        return self.host == "func" or (self.host == "auto" and shutil.which("func") is not None)

    def _choose_address(self) -> None:
        """Settle where the function host will be and its keys: its app and Azure ML are told beforehand."""
        if self.keep:
            self.function_key, self._azureml_port = self._kept.identity()
        self.port = self.port or free_port()
        self.functions_url = f"http://127.0.0.1:{self.port}"
        if self._by_core_tools:
            # Core Tools ask for no key locally.
            self.function_key = "not-asked-for-by-func-start"
        elif not self.keep:
            self.function_key = secrets.token_hex(24)

    def _claim_folder(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = self._exits.enter_context((self.folder / "stack.lock").open("w"))
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._exits.close()
            addresses = self.folder / "stack.json"
            where = (
                json.loads(addresses.read_text())["functions_url"] if addresses.exists() else "still starting"
            )
            raise StackRunningError(f"a stack already runs in {self.folder}: {where}") from None
        if self.fresh:
            self._kept.forget()
        self.continued = self.keep and self._kept.any
        for leftover in ("azureml.json", "functions.json", "event_grid.json", "stack.json"):
            (self.folder / leftover).unlink(missing_ok=True)

    def _start_storage(self) -> None:
        folder = self._kept.storage if self.keep else None
        self._azurite = self._exits.enter_context(Azurite(folder, log=self._log("azurite")))
        self.blob_connection_string = self._azurite.connection_string
        with BlobServiceClient.from_connection_string(self.blob_connection_string) as blobs:
            for container in CONTAINERS:
                with suppress(ResourceExistsError):
                    blobs.create_container(container)
        with QueueServiceClient.from_connection_string(self.blob_connection_string) as queues:
            for queue in QUEUES:
                with suppress(ResourceExistsError):
                    queues.create_queue(queue)

    def _start_azureml(self) -> None:
        values = {**example_settings(), **self.settings}
        ready = self._start_python(
            "azureml",
            "azureml_emulator",
            [
                *("--port", str(self._azureml_port), "--pace", self.pace, "--strict"),
                *(("--folder", str(self._kept.azureml)) if self.keep else ()),
                *("--subscription", values["AZURE_SUBSCRIPTION_ID"]),
                *("--resource-group", values["AZURE_RESOURCE_GROUP"]),
                *("--workspace", values["AZUREML_WORKSPACE"]),
            ],
            {
                **tool_environment(),
                # Keys are no arguments: everybody on the machine sees those.
                "AZUREML_EMULATOR_STORAGE": f"{ACCOUNT}={self.blob_connection_string}",
                "AZUREML_EMULATOR_EVENTS_URL": self._webhook("eventgrid", JOB_FUNCTION),
            },
        )
        self.azureml_url, self.ca_bundle = ready["url"], ready["ca_bundle"]
        self.environment = app_environment(self.blob_connection_string, ready["environment"], self.settings)

    def _start_local_host(self) -> None:
        self._start_python(
            "functions",
            "emulators.functions",
            ["--app", str(self.app), "--port", str(self.port)],
            {**self._functions_environment(), "FUNCTIONS_EMULATOR_KEY": self.function_key},
        )

    def _functions_environment(self) -> dict[str, str]:
        # The app accepts the host's key under /api/v1, too, where it checks keys itself.
        return {**self.environment, "API_KEYS": self.function_key, **self.settings}

    def _start_event_grid(self) -> None:
        webhook = self._webhook("blobs", f"Host.Functions.{UPLOAD_FUNCTION}")
        delivered = self._kept.delivered if self.keep else self.folder / "event_grid.json"
        self._processes["event_grid"] = ChildProcess(
            "event_grid",
            [sys.executable, "-m", "local.event_grid", "--state", str(delivered), *self.events],
            self._log("event_grid"),
            {
                **tool_environment(),
                STORAGE_SETTING: self.blob_connection_string,
                WEBHOOK_SETTING: webhook,
            },
            ROOT,
        )

    def _webhook(self, kind: str, function: str) -> str:
        query = f"functionName={function}&code={self.function_key}"
        return f"{self.functions_url}/runtime/webhooks/{kind}?{query}"

    def _start_python(
        self, name: str, module: str, arguments: list[str], environment: Mapping[str, str]
    ) -> dict[str, Any]:
        ready_file = self.folder / f"{name}.json"
        ready_file.unlink(missing_ok=True)
        process = ChildProcess(
            name,
            [sys.executable, "-m", module, *arguments, "--ready-file", str(ready_file)],
            self._log(name),
            environment,
            ROOT,
        )
        self._processes[name] = process
        process.wait_ready(ready_file.exists, START_SECONDS)
        ready: dict[str, Any] = json.loads(ready_file.read_text())
        return ready

    def _log(self, name: str) -> Path:
        return self.folder / "logs" / f"{name}.log"

    def _write_addresses(self) -> None:
        content = {
            "functions_url": self.functions_url,
            "function_key": self.function_key,
            "blob_connection_string": self.blob_connection_string,
            "azureml_url": self.azureml_url,
            "ca_bundle": self.ca_bundle,
            "pids": {"stack": os.getpid(), **self.pids},
        }
        unfinished = self.folder / "stack.json.unfinished"
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(content, file, indent=2)
        unfinished.replace(self.folder / "stack.json")
