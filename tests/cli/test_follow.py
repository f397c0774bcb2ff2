"""Following a run after its upload, against an HTTP server that answers as the function app."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import msgspec
import pytest
from azure.storage.blob import ContainerClient

from finetune.client import Client, RefusedError, reason_of
from finetune.client import Run as ClientRun
from finetune.client import follow as following
from tests.cli.conftest import KEY, SAMPLE, Run

EMPTY = 200, {"runs": [], "next": None}


class FunctionApp(ThreadingHTTPServer):
    """Answers `GET /api/runs/{id}` with one prepared answer after the other, the last one for ever."""

    daemon_threads = True

    def __init__(self, answers: list[tuple[int, dict[str, Any]]]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers = answers
        self.page = EMPTY
        self.seen: list[tuple[str, str | None]] = []

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: FunctionApp

    def do_GET(self) -> None:
        self.server.seen.append((self.path, self.headers.get("x-functions-key")))
        answers = self.server.answers
        if self.path.startswith("/api/runs?"):
            status, body = self.server.page
        else:
            status, body = answers.pop(0) if len(answers) > 1 else answers[0]
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent."""


def state(*stages: str, **facts: Any) -> tuple[int, dict[str, Any]]:
    """A run's JSON after it has entered these stages, with further facts about it."""
    history = [{"stage": stage, "at": f"2026-01-01T00:00:0{n}Z"} for n, stage in enumerate(stages)]
    options = {"base_model": "Phi-4"}
    run = {"run_id": "r", "dataset": "d", "stage": stages[-1], "history": history, "options": options}
    return 200, {**run, **facts}


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., FunctionApp]]:
    """Start a function app that gives these answers."""
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)
    started: list[FunctionApp] = []

    def start(*answers: tuple[int, dict[str, Any]]) -> FunctionApp:
        server = FunctionApp(list(answers))
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        started.append(server)
        return server

    yield start
    for server in started:
        server.shutdown()
        server.server_close()


def follow(run: Run, server: FunctionApp) -> tuple[int, str, str]:
    """Upload the sample and follow its run."""
    return run(SAMPLE, "--name", "chat", "--follow", "--url", server.url, "--key", KEY)


@pytest.mark.usefixtures("uploads")
def test_a_run_is_followed_until_it_is_live(run: Run, serve: Callable[..., FunctionApp]) -> None:
    """Each stage is shown once, in order; a run that is not there yet is waited for, a fault told once."""
    busy = {"code": "TransientService", "detail": "the store is busy"}
    server = serve(
        (404, {}),
        state("received"),
        (503, busy),
        (503, busy),
        state("received", "validated"),
        state("received", "validated", "training", "trained"),
        state("received", "validated", "training", "trained", "registered", "deploying", "live"),
    )
    code, out, err = follow(run, server)
    assert code == 0
    *stages, result = map(json.loads, out.splitlines())
    assert result["stage"] == "live"
    assert [entry["stage"] for entry in stages] == [
        *("received", "validated", "training", "trained", "registered", "deploying", "live")
    ]
    assert err.count("the store is busy; asking again") == 1
    assert {key for _, key in server.seen} == {KEY}
    assert server.seen[1][0] == f"/api/runs/{result['run_id']}"


@pytest.mark.usefixtures("uploads")
def test_a_failed_run_has_its_reason_and_code(run: Run, serve: Callable[..., FunctionApp]) -> None:
    """A run that ends without going live ends with code 4 and the service's own message."""
    error = {"code": "QuotaExceeded", "message": "not enough cores [for you]"}
    code, out, err = follow(run, serve(state("received", "validated", "failed", error=error)))
    assert code == 4
    assert json.loads(out.splitlines()[-1])["stage"] == "failed"
    assert "QuotaExceeded: not enough cores [for you]" in err


@pytest.mark.parametrize(
    ("stage", "facts", "words"),
    [
        ("duplicate", {"duplicate_of": "ft-chat-0123456789"}, "run ft-chat-0123456789 has the same data"),
        ("canceled", {"end_reason": "canceled"}, "requested"),
        ("canceled", {"end_reason": "over budget"}, "over budget"),
        ("failed", {"error": None}, "None"),
    ],
)
def test_every_end_has_its_reason(stage: str, facts: dict[str, Any], words: str) -> None:
    """A duplicate names the earlier run, and a canceled run says why."""
    run = msgspec.convert(state("received", stage, **facts)[1], ClientRun)
    assert words in str(reason_of(run))


@pytest.mark.usefixtures("uploads")
def test_a_run_that_was_live_counts_as_done(run: Run, serve: Callable[..., FunctionApp]) -> None:
    """If the endpoint was live and is gone again between two looks, that is no failure."""
    assert follow(run, serve(state("received", "live", "deleting", "deleted")))[0] == 0


@pytest.mark.parametrize(
    ("page", "code", "words"),
    [
        ((401, {}), 1, "refuses the key"),
        ((503, {"code": "SettingsError", "detail": "settings: BASE_MODEL: is missing"}), 1, "BASE_MODEL"),
        ((200, {"page": "sign in"}), 3, "is the address right?"),
    ],
)
def test_what_is_wrong_with_the_app_is_told_before_anything_is_sent(
    run: Run,
    serve: Callable[..., FunctionApp],
    uploads: ContainerClient,
    page: tuple[int, dict[str, Any]],
    code: int,
    words: str,
) -> None:
    """A wrong key, a wrong address and a wrong setting do not get better by waiting."""
    server = serve((404, {}))
    server.page = page
    ended, out, err = follow(run, server)
    assert (ended, out) == (code, "")
    assert words in err
    assert list(uploads.list_blob_names()) == []


def test_a_run_that_never_appears_is_given_up(
    serve: Callable[..., FunctionApp], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Patience with a missing run has an end."""
    moments = iter(range(0, 100_000, 50))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(moments)))
    server = serve((404, {"code": "UnknownRun", "detail": "there is no run r"}))
    looks = following(Client(server.url, KEY, transport=httpx.HTTPTransport()), "r", appears=True)
    with pytest.raises(RefusedError, match="there is no run r"):
        next(looks)
