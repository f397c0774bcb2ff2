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

import uvicorn

from azureml_emulator.client import Controls
from azureml_emulator.core import certificates
from azureml_emulator.core.clock import PACES, Clock, Pace
from azureml_emulator.core.settings import Settings
from azureml_emulator.core.state import EmulatorState
from azureml_emulator.core.struct_types import resolve_struct_types
from azureml_emulator.events import EventPublisher
from azureml_emulator.routes import COMPLETIONS, ROUTES
from azureml_emulator.server import AbortableProtocol, Server

START_SECONDS = 10.0
STOP_SECONDS = 60.0
"""Hundreds of TLS connections take their time to close on a busy machine."""


class Emulator(Controls):
    """A local Azure ML for as long as the ``with`` block lasts.

        with Emulator(pace="instant") as emulator:
            os.environ.update(emulator.environment)

    What can be observed and changed while it runs is in ``Controls``.

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
        self._state = EmulatorState(
            settings or Settings(**fields),
            pace=PACES[pace] if isinstance(pace, str) else pace,
            clock=clock,
            completions=COMPLETIONS,
        )
        self._host, self._port = host, port
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        if self._state.settings.folder is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="azureml-emulator-")
        self._folder = (
            Path(self._temporary.name) if self._temporary else self._state.settings.folder or Path()
        )
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None
        self._publisher: EventPublisher | None = None

    @property
    def url(self) -> str:
        """Scheme, host and port, no slash at the end."""
        return self._state.base

    @property
    def ca_bundle(self) -> str:
        """Path of the certificate that a client must trust."""
        return str(self._folder / "ca.pem")

    @property
    def settings(self) -> Settings:
        """Names and limits that the emulator was started with."""
        return self._state.settings

    @property
    def workspace(self) -> tuple[str, str, str]:
        """Subscription, resource group and workspace: what `MLClient` asks for after its credential."""
        return self.settings.workspace_names

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables that point azure-ai-ml, azure-identity, MLflow and HTTP clients here.

        `SCORING_DOMAIN` is for clients that send credentials to endpoints of one domain only, and
        `RETAIL_PRICES_URL` for those that read Azure's price list.
        """
        return {
            "ARM_CLOUD_METADATA_URL": f"{self.url}/metadata/endpoints?api-version=2022-09-01",
            "REGISTRY_DISCOVERY_ENDPOINT_URL": f"{self.url}/",
            "RETAIL_PRICES_URL": f"{self.url}/api/retail/prices",
            "REQUESTS_CA_BUNDLE": self.ca_bundle,
            "SSL_CERT_FILE": self.ca_bundle,
            "IDENTITY_ENDPOINT": f"{self.url}/msi/token",
            "IDENTITY_HEADER": self._state.settings.identity_secret,
            "AZUREML_CURRENT_CLOUD": self._state.settings.cloud_name,
            "SCORING_DOMAIN": urlsplit(self.url).hostname or "",
        }

    def start(self) -> None:
        """Starts to listen.

        Raises:
            TimeoutError: It did not come up.
        """
        resolve_struct_types()
        # The protocol is named because asyncio switches Nagle's algorithm off only where it is: 40 ms a call.
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((self._host, self._port))
        listener.listen(512)
        port = listener.getsockname()[1]
        self._state.base = f"https://{self._host}:{port}"
        files = certificates.ensure(self._folder, self._host)
        config = uvicorn.Config(
            Server(self._state, ROUTES).application(),
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
        if self._state.settings.events_url:
            self._publisher = EventPublisher(self._state, self._state.settings.events_url)
            self._publisher.start()
        deadline = time.monotonic() + START_SECONDS
        while not self._server.started:
            if time.monotonic() > deadline or not self._thread.is_alive():
                raise TimeoutError(f"the emulator did not start on {self.url}")
            time.sleep(0.005)

    def stop(self) -> None:
        """Stops listening and closes what is open."""
        self.close()
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join(timeout=STOP_SECONDS)
        if self._publisher is not None:
            self._publisher.stop()
        self._state.close()
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
