"""Following a run after its upload, against an HTTP server that plays the function app."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.tools.conftest import KEY, SAMPLE, Run
from tools import follow_run


class FunctionApp(ThreadingHTTPServer):
    """Answers `GET /api/runs/{id}` with one prepared answer after the other, the last one for ever."""

    daemon_threads = True

    def __init__(self, answers: list[tuple[int, dict[str, Any]]]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers = answers
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
    return 200, {"run_id": "r", "dataset": "d", "stage": stages[-1], "history": history, **facts}


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., FunctionApp]]:
    """Start a function app that gives these answers."""
    monkeypatch.setattr(follow_run.time, "sleep", lambda _seconds: None)
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
    where = ("--functions-url", server.url, "--function-key", KEY)
    return run("--dataset", SAMPLE, "--name", "chat", "--follow", *where)


@pytest.mark.usefixtures("uploads")
def test_a_run_is_followed_until_it_is_live(run: Run, serve: Callable[..., FunctionApp]) -> None:
    """Each stage is shown once, in order; a run that is not there yet is waited for."""
    server = serve(
        (404, {}),
        state("received"),
        (503, {}),
        state("received", "validated"),
        state("received", "validated", "training", "trained"),
        state("received", "validated", "training", "trained", "registered", "deploying", "live"),
    )
    code, out, err = follow(run, server)
    assert code == 0
    assert json.loads(out)["stage"] == "live"
    order = [err.index(f" {stage}") for stage in ("received", "validated", "training", "deploying", "live")]
    assert order == sorted(order)
    assert err.count(" trained ") == 2  # once in the verdict of the check: "can be trained on"
    assert {key for _, key in server.seen} == {KEY}
    assert server.seen[0][0] == f"/api/runs/{json.loads(out)['run_id']}"


@pytest.mark.usefixtures("uploads")
def test_a_failed_run_has_its_reason_and_code(run: Run, serve: Callable[..., FunctionApp]) -> None:
    """A run that ends without going live ends with code 4 and the service's own message."""
    error = {"code": "QuotaExceeded", "message": "not enough cores [for you]"}
    code, out, err = follow(run, serve(state("received", "validated", "failed", error=error)))
    assert code == 4
    assert json.loads(out)["stage"] == "failed"
    assert "QuotaExceeded: not enough cores [for you]" in err


@pytest.mark.usefixtures("uploads")
@pytest.mark.parametrize(
    ("stage", "facts", "words"),
    [
        ("duplicate", {"duplicate_of": "ft-chat-0123456789"}, "run ft-chat-0123456789 has the same data"),
        ("canceled", {"end_reason": "canceled"}, "canceled: somebody asked for it"),
        ("canceled", {"end_reason": "over budget"}, "canceled: over budget"),
        ("failed", {"error": None}, "failed: no reason was given"),
    ],
)
def test_every_end_has_its_reason(
    run: Run, serve: Callable[..., FunctionApp], stage: str, facts: dict[str, Any], words: str
) -> None:
    """A duplicate names the earlier run, and a canceled run says why."""
    code, _, err = follow(run, serve(state("received", stage, **facts)))
    assert code == 4
    assert words in err


@pytest.mark.usefixtures("uploads")
def test_a_run_that_was_live_counts_as_done(run: Run, serve: Callable[..., FunctionApp]) -> None:
    """If the endpoint was live and is gone again between two looks, that is no failure."""
    assert follow(run, serve(state("received", "live", "deleting", "deleted")))[0] == 0


@pytest.mark.usefixtures("uploads")
def test_a_refused_key_is_a_clear_error(run: Run, serve: Callable[..., FunctionApp]) -> None:
    """A wrong function key is not waited for."""
    code, _, err = follow(run, serve((401, {})))
    assert code == 3
    assert "refuses the key" in err


@pytest.mark.usefixtures("uploads")
def test_an_address_that_is_not_the_apps_is_a_clear_error(
    run: Run, serve: Callable[..., FunctionApp]
) -> None:
    """Something else that answers, say a sign-in page, is told apart from a run that is not there yet."""
    code, _, err = follow(run, serve((200, {"page": "sign in"})))
    assert code == 3
    assert "does not answer as the function app" in err


@pytest.mark.usefixtures("uploads")
def test_a_run_that_never_appears_is_given_up(
    run: Run, serve: Callable[..., FunctionApp], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Patience with a missing run has an end."""
    moments = iter(range(0, 100_000, 50))
    monkeypatch.setattr(follow_run.time, "monotonic", lambda: float(next(moments)))
    code, _, err = follow(run, serve((404, {})))
    assert code == 3
    assert "it answers 404" in err
