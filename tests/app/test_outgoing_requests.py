"""Where the app's token goes, whatever an answer says, and how much of an answer is read."""

from __future__ import annotations

import gzip
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from unittest.mock import Mock

import pytest
from azure.core.exceptions import AzureError
from azure.core.rest import HttpRequest
from azureml_emulator import Emulator

from local.azurite import ACCOUNT, ACCOUNT_KEY, Azurite
from shared.adapters.azureml.arm import MOST_PAGES, arm_base_url
from shared.adapters.http import transport
from shared.adapters.http.transport import BoundedTransport
from shared.adapters.http.trusted_hosts import TrustedHosts
from shared.adapters.retail_prices import RetailPrices
from shared.adapters.storage.account import blob_service
from shared.adapters.storage.advance_queue import StorageAdvanceQueue
from shared.adapters.storage.queues import open_queue
from shared.adapters.storage.run_store import BlobRunStore
from shared.bootstrap import credential
from shared.config import StorageConnection
from shared.domain.errors import FinetuneError, ServiceRefusedError, TransientServiceError
from shared.domain.training.component import COMPONENT_NAME
from shared.ports import Services
from tests.app.builders import NOW
from tests.app.conftest import connected

PUBLIC = TrustedHosts("https://management.azure.com/")
TRUSTED = [
    "https://management.azure.com/subscriptions?api-version=1&$skiptoken=a%2Fb",
    "https://MANAGEMENT.azure.com:443/x",
    "https://westus.api.azureml.ms/history/v1.0",
    "https://0f.workspace.westus.api.azureml.ms/mlflow",
    "https://cert-eastus.experiments.azureml.net/mferp",
]
FOREIGN = [
    "http://management.azure.com/x",
    "https://management.azure.com.evil.example/x",
    "https://management.azure.com@evil.example/x",
    "https://evil.example\\@management.azure.com/x",
    "https://evil.example#.api.azureml.ms",
    "https://evil.example/.api.azureml.ms",
    "https://evilapi.azureml.ms/x",
    "https://api.azureml.ms/x",
    "https://westus.api.azureml.ms:8443/x",
    "https://my-model.westus.inference.ml.azure.com/score",
    "https://management.azure.com:444/x",
    "https://management.usgovcloudapi.net/x",
    "https://management.azure.com\n.evil.example/x",
    "https://[::1]/x",
    "https:///x",
    "ftp://management.azure.com",
    "",
]


@pytest.mark.unit
def test_the_clouds_own_hosts_get_the_token() -> None:
    """Azure Resource Manager, and the data planes of its cloud."""
    for url in TRUSTED:
        PUBLIC.check(url)


@pytest.mark.unit
@pytest.mark.parametrize("url", FOREIGN)
def test_no_other_host_gets_it(url: str) -> None:
    """Neither what looks like one of them, nor another cloud's, nor a model's endpoint."""
    with pytest.raises(ServiceRefusedError) as caught:
        PUBLIC.check(url)
    assert caught.value.code == "ForeignAddress"


@pytest.fixture
def elsewhere() -> Iterator[tuple[str, list[str]]]:
    """A host that is none of the cloud's, and the connections that it was offered."""
    offered: list[str] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def listen() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            offered.append("a connection")
            connection.close()

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    yield f"https://127.0.0.1:{listener.getsockname()[1]}", offered
    # Closing alone does not wake a thread that waits in `accept`.
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


def _workspace(url: str) -> Any:
    facts = {
        "workspaceId": "w",
        "discoveryUrl": f"{url}/discovery",
        "mlFlowTrackingUri": f"azureml://{url.partition('//')[2]}/mlflow",
    }
    return {"location": "localregion", "properties": facts}


FAILED = {"provisioningState": "Failed", "authMode": "Key", "traffic": {}}
ANSWERS: dict[str, tuple[str, Callable[[str], Any], Callable[[Services], Any]]] = {
    "nextLink": (
        r"/onlineEndpoints$",
        lambda url: {"value": [], "nextLink": f"{url}/more"},
        lambda services: list(services.endpoints.list_owned()),
    ),
    "discoveryUrl": (
        r"/workspaces/[^/]+$",
        _workspace,
        lambda services: services.training.job("ft-support-0123456789", "ft-support-0123456789"),
    ),
    "mlFlowTrackingUri": (
        r"/workspaces/[^/]+$",
        _workspace,
        lambda services: services.metrics.read("ft-support-0123456789"),
    ),
    "primaryRegionResourceProviderUri": (
        r"/discovery$",
        lambda url: {
            "primaryRegionResourceProviderUri": url,
            "subscriptionId": "s",
            "resourceGroup": "g",
        },
        lambda services: services.registry.component(COMPONENT_NAME),
    ),
}


@pytest.mark.parametrize("field", ANSWERS)
def test_an_answer_cannot_have_the_token_sent_elsewhere(
    field: str, azure_ml: Emulator, azurite: Azurite, elsewhere: tuple[str, list[str]]
) -> None:
    """Each address that a service names is held to the cloud's hosts; no other is even connected to."""
    url, offered = elsewhere
    path, body, call = ANSWERS[field]
    if field == "discoveryUrl":
        job = {
            "properties": {"status": "Failed", "tags": {"finetune-on-upload-run": "ft-support-0123456789"}}
        }
        azure_ml.add_fault(match={"path": r"/jobs/"}, status=200, body=job, count=None)
    azure_ml.add_fault(match={"path": path, "method": "GET"}, status=200, body=body(url), count=None)
    services = connected(azure_ml, azurite)
    if field == "discoveryUrl":
        seen = call(services)
        assert seen.failure is None, "why it failed is not worth the token"
    else:
        with pytest.raises(ServiceRefusedError) as caught:
            call(services)
        assert caught.value.code == "ForeignAddress"
    assert offered == []


def test_an_operations_address_cannot_have_it_either(
    azure_ml: Emulator, services: Services, elsewhere: tuple[str, list[str]]
) -> None:
    """Why an endpoint failed stays unknown; that it failed is told."""
    url, offered = elsewhere
    body = {
        "name": "ft-support-0123456789",
        "tags": {"finetune-on-upload-run": "ft-support-0123456789"},
        "properties": {**FAILED, "properties": {"AzureAsyncOperationUri": f"{url}/operation"}},
    }
    azure_ml.add_fault(match={"operation": "endpoints.get"}, status=200, body=body)
    # Its installation is another, so that its operation is not even looked at; its deployment's would be.
    azure_ml.add_fault(match={"operation": "deployments.get"}, status=200, body=body, count=None)
    services.endpoints.endpoint("ft-support-0123456789", "ft-support-0123456789")
    assert services.endpoints._deployment("ft-support-0123456789", "main").failure is None  # type: ignore[attr-defined]
    assert offered == []


def test_a_list_that_never_ends_is_given_up(azure_ml: Emulator, services: Services) -> None:
    """A page that names itself as the next one."""
    link = f"{azure_ml.url}{'/'.join(['', 'more'])}"
    azure_ml.add_fault(
        match={"path": "onlineEndpoints$|/more"}, status=200, body={"value": [], "nextLink": link}, count=None
    )
    with pytest.raises(TransientServiceError) as caught:
        list(services.endpoints.list_owned())
    assert caught.value.code == "EndlessList"
    assert len([call for call in azure_ml.calls() if call["path"] == "/more"]) == MOST_PAGES


class _Long(BaseHTTPRequestHandler):
    """Answers more than is read: as it is, without a length, and compressed."""

    size = 0

    def do_GET(self) -> None:
        body = b"x" * self.size
        self.send_response(200)
        if self.path == "/gzip":
            body = gzip.compress(body)
            self.send_header("Content-Encoding", "gzip")
        if self.path != "/endless":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:
            return

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.do_GET()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def long_winded(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a service whose answers are one byte over a limit of 1 MiB."""
    monkeypatch.setattr(transport, "ANSWER_LIMIT_BYTES", 2**20)
    monkeypatch.setattr(_Long, "size", 2**20 + 1)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Long)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("path", ["/plain", "/endless", "/gzip"])
@pytest.mark.parametrize("over", [False, True])
def test_no_more_than_the_limit_is_read(
    path: str, over: bool, long_winded: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever length the answer claims; one just within the limit is read whole."""
    monkeypatch.setattr(_Long, "size", 2**20 + over)
    with BoundedTransport() as sender:
        request = HttpRequest("GET", f"{long_winded}{path}")
        if over:
            with pytest.raises(FinetuneError) as caught:
                sender.send(request)
            assert caught.value.code == "AnswerTooLarge"
        else:
            assert len(sender.send(request).content) == 2**20


def _storage(url: str) -> StorageConnection:
    return StorageConnection(
        connection_string=f"AccountName={ACCOUNT};AccountKey={ACCOUNT_KEY}"
        f";BlobEndpoint={url}/{ACCOUNT};QueueEndpoint={url}/{ACCOUNT}"
    )


def _sign_in(url: str) -> object:
    environment = {"IDENTITY_ENDPOINT": f"{url}/msi", "IDENTITY_HEADER": "secret"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        return credential().get_token("https://management.azure.com/.default")


def _prices(url: str) -> object:
    prices = RetailPrices(url, lambda: "eastus", lambda: NOW, currency=None, own={})
    return prices.of(["Standard_NC24ads_A100_v4"])


CLIENTS: dict[str, Callable[[str], object]] = {
    "blobs": lambda url: BlobRunStore(blob_service(_storage(url), Mock())).entries(),
    "queues": lambda url: StorageAdvanceQueue(open_queue(_storage(url), Mock(), "advance"), Mock()).enqueue(
        "ft-support-0123456789", delay=timedelta()
    ),
    "identity": _sign_in,
    "cloud": lambda url: arm_base_url({"ARM_CLOUD_METADATA_URL": url}),
    "prices": _prices,
}
"""Those that `Arm` and azure-ai-ml have no part in, see tests/app/test_contract_azure_ml.py; scoring has
tests/app/test_scoring_connections.py, and the webhook's answer is not read at all."""


@pytest.mark.parametrize("client", CLIENTS)
def test_no_client_reads_an_answer_without_end(client: str, long_winded: str) -> None:
    """azure-identity puts the fault into words of its own."""
    with pytest.raises((TransientServiceError, AzureError), match="answer is over 1 MiB and was not read"):
        CLIENTS[client](long_winded)
