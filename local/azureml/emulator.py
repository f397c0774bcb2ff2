"""The emulator as an object: a TLS server in a thread of this process, on a port of its own choice."""

from __future__ import annotations

import socket
import ssl
import tempfile
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import msgspec
import uvicorn

from local.azureml import (
    assets,
    blobs,
    certificates,
    codes,
    computes,
    controls,
    datastores,
    deployments,
    endpoint_keys,
    endpoints,
    history,
    identity,
    jobs,
    mlflow_api,
    operations,
    registry,
    registry_assets,
    run_logs,
    scoring,
    vm_sizes,
    workspaces,
)
from local.azureml.clock import PACES, Clock, Pace
from local.azureml.cloud import Cloud
from local.azureml.events import Announcer
from local.azureml.faults import Fault
from local.azureml.server import AbortableProtocol, Server
from local.azureml.settings import Settings

ROUTES = (
    *identity.ROUTES,
    *workspaces.ROUTES,
    *vm_sizes.ROUTES,
    *operations.ROUTES,
    *computes.ROUTES,
    *datastores.ROUTES,
    *registry.ROUTES,
    *registry_assets.ROUTES,
    *assets.ROUTES,
    *codes.ROUTES,
    *jobs.ROUTES,
    *history.ROUTES,
    *run_logs.ROUTES,
    *mlflow_api.ROUTES,
    *endpoints.ROUTES,
    *endpoint_keys.ROUTES,
    *deployments.ROUTES,
    *scoring.ROUTES,
    *blobs.ROUTES,
    *controls.ROUTES,
)
COMPLETIONS = {
    **computes.COMPLETIONS,
    **endpoints.COMPLETIONS,
    **endpoint_keys.COMPLETIONS,
    **deployments.COMPLETIONS,
    **jobs.COMPLETIONS,
    **registry_assets.COMPLETIONS,
}
START_SECONDS = 10.0


class Emulator:
    """A local Azure ML for as long as the ``with`` block lasts.

        with Emulator(pace="instant") as emulator:
            monkeypatch.setenv(...)  # each item of emulator.environment

    Args:
        pace: ``instant``, ``fast`` or ``timed``, or durations of your own.
        clock: What time it is; the machine's clock by default.
        host: Address to listen on.
        port: Port to listen on; 0 takes a free one.
        settings: All the rest; or give the fields of ``Settings`` by keyword.
    """

    def __init__(
        self,
        *,
        pace: str | Pace = "fast",
        clock: Clock | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        settings: Settings | None = None,
        **fields: Any,
    ) -> None:
        self.cloud = Cloud(
            settings or Settings(**fields),
            pace=PACES[pace] if isinstance(pace, str) else pace,
            clock=clock,
            completions=COMPLETIONS,
        )
        self._host, self._port = host, port
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        if self.cloud.settings.folder is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="azureml-emulator-")
        self._folder = Path(self._temporary.name) if self._temporary else self.cloud.settings.folder or Path()
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None
        self._announcer: Announcer | None = None

    @property
    def url(self) -> str:
        """Scheme, host and port, no slash at the end."""
        return self.cloud.base

    @property
    def ca_bundle(self) -> str:
        """Path of the certificate that a client must trust."""
        return str(self._folder / "ca.pem")

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables that point azure-ai-ml, azure-identity, MLflow and HTTP clients here.

        `SCORING_DOMAIN` is for finetune-on-upload, which scores nowhere else.
        """
        return {
            "ARM_CLOUD_METADATA_URL": f"{self.url}/metadata/endpoints?api-version=2022-09-01",
            "REGISTRY_DISCOVERY_ENDPOINT_URL": f"{self.url}/",
            "REQUESTS_CA_BUNDLE": self.ca_bundle,
            "SSL_CERT_FILE": self.ca_bundle,
            "IDENTITY_ENDPOINT": f"{self.url}/msi/token",
            "IDENTITY_HEADER": self.cloud.settings.identity_secret,
            "AZUREML_CURRENT_CLOUD": self.cloud.settings.cloud_name,
            "SCORING_DOMAIN": urlsplit(self.url).hostname or "",
        }

    def add_fault(self, **fault: Any) -> Fault:
        """Sets a fault; the same fields as ``POST /_emulator/faults``. It knows its ``hits``."""
        added = msgspec.convert(fault, Fault)
        self.cloud.faults.add(added)
        return added

    def calls(self, operation: str | None = None) -> list[dict[str, Any]]:
        """The calls so far, oldest first; of one operation only if it is named."""
        return [call for call in list(self.cloud.calls) if operation in (None, call["operation"])]

    def start(self) -> None:
        """Starts to listen.

        Raises:
            TimeoutError: It did not come up.
        """
        # The protocol is named because asyncio switches Nagle's algorithm off only where it is: 40 ms a call.
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((self._host, self._port))
        listener.listen(512)
        port = listener.getsockname()[1]
        self.cloud.base = f"https://{self._host}:{port}"
        files = certificates.ensure(self._folder, self._host)
        config = uvicorn.Config(
            Server(self.cloud, ROUTES).application(),
            http=AbortableProtocol,
            loop="asyncio",
            lifespan="off",
            log_level="critical",
            access_log=False,
            ssl_certfile=str(files.chain),
            ssl_keyfile=str(files.key),
            ssl_version=ssl.PROTOCOL_TLS_SERVER,
            timeout_keep_alive=60,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [listener]}, name="azureml-emulator", daemon=True
        )
        self._thread.start()
        if self.cloud.settings.events_url:
            self._announcer = Announcer(self.cloud, self.cloud.settings.events_url)
            self._announcer.start()
        deadline = time.monotonic() + START_SECONDS
        while not self._server.started:
            if time.monotonic() > deadline or not self._thread.is_alive():
                raise TimeoutError(f"the emulator did not start on {self.url}")
            time.sleep(0.005)

    def stop(self) -> None:
        """Stops listening and closes what is open."""
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join(timeout=START_SECONDS)
        if self._announcer is not None:
            self._announcer.stop()
        self.cloud.close()
        if self._temporary is not None:
            self._temporary.cleanup()

    def __enter__(self) -> Emulator:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
