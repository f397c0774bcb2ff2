"""A host starts an app on its own, says why it cannot, and stops in order."""

from __future__ import annotations

import json
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from emulators.functions import UnservableAppError
from emulators.functions.host_json import read_host_json
from local.azurite import Azurite
from local.processes import ProcessError, wait_until
from tests.host.conftest import SECONDS, StartHost, take

STANDALONE = """
import importlib.util
import azure.functions as func
import own_module
app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)

@app.route(route="imports")
def imports(req: func.HttpRequest) -> str:
    found = [name for name in ("handlers", "shared", "chaos") if importlib.util.find_spec(name)]
    return f"{own_module.NAME} {found}"
"""


def write_app(folder: Path, source: str, host_json: str = '{"version": "2.0"}') -> Path:
    """An app folder with nothing else in it."""
    folder.mkdir()
    (folder / "function_app.py").write_text(source)
    (folder / "host.json").write_text(host_json)
    return folder


def test_an_app_elsewhere_stands_on_its_own(start_host: StartHost, tmp_path: Path) -> None:
    """It imports its own modules, and none of this checkout's."""
    folder = write_app(tmp_path / "app", STANDALONE)
    (folder / "own_module.py").write_text('NAME = "own"')
    host = start_host(folder)
    with host.client() as client:
        assert client.get("/api/imports").text == "own []"


BEGINNING = "import azure.functions as func\napp = func.FunctionApp()\n"
UNSET_CONNECTION = """
@app.queue_trigger(arg_name="message", queue_name="q", connection="Nowhere")
def work(message: func.QueueMessage) -> None: ...
"""
OTHER_TRIGGER = """
@app.cosmos_db_trigger(
    arg_name="documents", connection="SampleStorage", database_name="d", container_name="c"
)
def read(documents: func.DocumentList) -> None: ...
"""


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import nothing_of_this_name", "nothing_of_this_name"),
        (BEGINNING, "declares no functions"),
        (BEGINNING + UNSET_CONNECTION, "Nowhere"),
        (BEGINNING + OTHER_TRIGGER, "serves no cosmosDBTrigger"),
    ],
)
def test_an_app_that_cannot_be_served_says_why(
    start_host: StartHost, tmp_path: Path, source: str, reason: str
) -> None:
    """The host ends at once, and its log names the cause."""
    folder = write_app(tmp_path / "app", source)
    with pytest.raises(ProcessError, match=r"ended with code 1") as ended:
        start_host(folder)
    assert reason in str(ended.value)


def test_a_folder_without_an_app_is_refused(start_host: StartHost, tmp_path: Path) -> None:
    """An empty folder is named in the message."""
    with pytest.raises(ProcessError, match=str(tmp_path)):
        start_host(tmp_path)


def test_a_signal_lets_invocations_end(start_host: StartHost, tmp_path: Path) -> None:
    """On SIGTERM requests and messages in work still end well, and then the host ends with code 0."""
    gate, queue_gate = tmp_path / "gate", tmp_path / "queue_gate"
    host = start_host("work")
    orders = host.queue("work")
    orders.send_message(json.dumps({"wait_for": str(queue_gate)}))
    assert wait_until(queue_gate.with_suffix(".reached").exists, SECONDS)
    with ThreadPoolExecutor(1) as threads, host.client() as client:
        answer = threads.submit(client.post, "/v1/wait", content=str(gate).encode())
        assert wait_until(gate.with_suffix(".reached").exists, SECONDS)
        host.process.send_signal(signal.SIGTERM)
        assert wait_until(lambda: "Host stops" in host.process.output(), SECONDS)
        gate.touch()
        queue_gate.touch()
        assert answer.result(SECONDS).text == "waited"
    assert wait_until(lambda: not host.process.alive, 5)
    assert host.process.returncode == 0
    assert len(take(host.queue("results"), 1)) == 1
    assert orders.get_queue_properties().approximate_message_count == 0


def test_a_stuck_function_cannot_hold_up_the_end(start_host: StartHost, tmp_path: Path) -> None:
    """The host ends within five seconds although a function does not."""
    gate = tmp_path / "gate"
    host = start_host("work")
    host.queue("work").send_message(json.dumps({"wait_for": str(gate)}))
    assert wait_until(gate.with_suffix(".reached").exists, SECONDS)
    started = time.monotonic()
    host.process.send_signal(signal.SIGINT)
    assert wait_until(lambda: not host.process.alive, SECONDS)
    assert time.monotonic() - started < 5
    with pytest.raises(httpx.HTTPError), host.client() as client:
        client.get("/api/unknown")


def test_a_storage_that_hangs_cannot_hold_up_the_end(start_host: StartHost) -> None:
    """The host ends within five seconds although its reads of a queue do not."""
    with Azurite() as storage:
        settings = {
            "AzureWebJobsStorage": storage.connection_string,
            "SampleStorage": storage.connection_string,
        }
        host = start_host("work", settings=settings)
        os.kill(storage.pid, signal.SIGSTOP)
        try:
            started = time.monotonic()
            host.process.send_signal(signal.SIGTERM)
            assert wait_until(lambda: not host.process.alive, SECONDS)
            assert time.monotonic() - started < 5
        finally:
            os.kill(storage.pid, signal.SIGCONT)


def test_host_json_is_read_with_its_overrides(tmp_path: Path) -> None:
    """Values come from the file, then from the settings that the platform lets override it."""
    path = tmp_path / "host.json"
    path.write_text(
        '{"version": "2.0", "functionTimeout": "00:01:30", "extensions": {"queues": {"batchSize": 4}}}'
    )
    overrides = {
        "AzureFunctionsJobHost__extensions__queues__visibilityTimeout": "1.02:03:04.5",
        "AzureFunctionsJobHost__extensions__blobs__poisonBlobThreshold": "3",
    }
    host_json = read_host_json(path, overrides)
    queues, blobs = host_json.extensions.queues, host_json.extensions.blobs
    assert host_json.function_timeout == 90
    assert (queues.batch_size, queues.visibility_timeout, queues.max_dequeue_count) == (4, 93_784.5, 5)
    assert (host_json.extensions.http.route_prefix, blobs.poison_blob_threshold) == ("api", 3)


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        '{"version": "1.0"}',
        '{"version": "2.0", "extensions": {"queues": {"batchSize": 33}}}',
        '{"version": "2.0", "extensions": {"queues": {"visibilityTimeout": "5 s"}}}',
        '{"version": "2.0", "extensions": {"queues": []}}',
    ],
)
def test_host_json_is_checked(tmp_path: Path, content: str) -> None:
    """What is no `host.json`, and a value of the wrong form, is refused, not taken for something else."""
    path = tmp_path / "host.json"
    path.write_text(content)
    with pytest.raises(UnservableAppError, match=r"host\.json"):
        read_host_json(path, {})
