"""`finetune upload --check-only` checks options and dataset as the app would, which it asks if it can."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import msgspec
import pytest

from finetune.client.errors import RefusedError
from handlers.http.errors import problem_of
from handlers.http.show_preflight import show_preflight
from shared.domain.errors import FinetuneError, TransientServiceError
from tests.app.fakes import World
from tests.app.worlds import SETTINGS
from tests.cli.answers import App, Call
from tests.cli.conftest import SAMPLE

BOUNDED = msgspec.structs.replace(SETTINGS, max_epochs=5, ignore_keys=("lang",), sensitive_data="reject")


@pytest.fixture
def settled(app: App) -> App:
    """The app, which answers preflight by its own code."""

    def answer(request: httpx.Request) -> httpx.Response:
        try:
            answered = show_preflight(request.content, BOUNDED, World().services)
        except FinetuneError as fault:
            answered = problem_of(fault)
        assert isinstance(answered.body, bytes)
        return httpx.Response(answered.status, content=answered.body)

    app.preflight = answer
    return app


def dataset(folder: Path, **extra: str) -> str:
    """A dataset whose rows have further keys."""
    path = folder / "chat.jsonl"
    rows = [{"prompt": f"q{number}", "completion": f"a{number}", **extra} for number in range(40)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_the_app_is_asked_and_its_rules_hold(settled: App, call: Call, tmp_path: Path) -> None:
    """The report is the one that the run would have: of the app's settings, the flags over them."""
    report = tmp_path / "report.json"
    flags = ("--check-only", "--row-policy", "drop", "--rule", "issues_per_code=7", "--report", str(report))
    code, _, err = call("upload", dataset(tmp_path, lang="de"), *flags)
    assert code == 0, err
    assert "options checked by https://app.example/api/: Phi-4 version 8, component 0.0.82" in err
    assert settled.last == "POST /api/preflight"
    assert json.loads(settled.asked[-1].content) == {"row_policy": "drop"}
    rules = json.loads(report.read_text())["rules"]
    assert (rules["ignore_keys"], rules["row_policy"]) == (["lang"], "drop")
    assert (rules["sensitive_data"], rules["context_window"], rules["issues_per_code"]) == (
        "reject",
        16_384,
        7,
    )


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--parameter", "num_train_epochs=6"], "the most is 5"),
        (["--parameter", "trust_remote_code=true"], "ALLOWED_PARAMETERS"),
        (["--base-model", "Phi-5"], "no model Phi-5"),
        (["--instance-type", "Standard_DS3_v2"], "instance_type"),
        (["--lifetime-hours", "8000"], "ENDPOINT_MAX_LIFETIME_HOURS"),
    ],
)
def test_what_the_app_refuses_is_wrong_usage(settled: App, call: Call, flags: list[str], words: str) -> None:
    """Bounds, names and parameters: in the app's words, before the dataset is read."""
    code, out, err = call("upload", str(SAMPLE), "--check-only", *flags)
    assert (code, out) == (2, "")
    assert words in err
    assert "(checked by the app)" in err
    assert "accepted" not in err


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (TransientServiceError("the registry is busy"), "not by the app (the registry is busy)"),
        (httpx.ConnectError("refused"), "does not answer"),
        (RefusedError(404, "NotFound", ""), "not by the app (the app answers 404"),
    ],
)
def test_without_an_answer_the_tool_says_by_what_it_checks(
    app: App, call: Call, fault: Exception, words: str
) -> None:
    """A service that is down, and an app of before the route, are no verdict: a dated copy is."""

    def answer(_request: httpx.Request) -> httpx.Response:
        if isinstance(fault, httpx.HTTPError):
            raise fault
        status = fault.status if isinstance(fault, RefusedError) else 503
        detail = "" if isinstance(fault, RefusedError) else str(fault)
        return httpx.Response(status, json={"detail": detail})

    app.preflight = answer
    code, _, err = call("upload", str(SAMPLE), "--check-only")
    assert code == 0, err
    assert "options checked by chat_completion_pipeline 0.0.82 as published on 2026-07-23" in err
    assert words in err
    assert "the operator's bounds, VM sizes, quota are not checked" in err
    code, _, err = call("upload", str(SAMPLE), "--check-only", "--base-model", "Phi4")
    assert (code, "did you mean 'Phi-4'? (by chat_completion_pipeline" in err) == (2, True)


def test_a_wrong_key_is_told(settled: App, call: Call) -> None:
    """Rather than checking less than was asked for."""
    code, _, err = call("upload", str(SAMPLE), "--check-only", key="another")
    assert code == 1
    assert "refuses the key" in err
