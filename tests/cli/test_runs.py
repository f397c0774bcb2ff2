"""The terminal's commands, against an app that is played here; `tests/dashboard` has the real one."""

from __future__ import annotations

import io
import json
import re
import sys
import time
from datetime import datetime, timedelta
from typing import Any

import httpx
import msgspec
import pytest

from finetune.cli import commands, target
from finetune.cli.program import main
from finetune.cli.run_tables import duration, urgency
from finetune.client import RunEntry
from handlers.http.openapi.run_examples import REPORT
from handlers.http.openapi.run_examples import RUN as EXAMPLE
from tests.cli.answers import ENTRY, NOW, RUN, App, Call, streamed


def same(text: str) -> Any:
    """JSON whose times compare however they are written."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: plain(one) for name, one in value.items()}
        if isinstance(value, list):
            return [plain(one) for one in value]
        try:
            return datetime.fromisoformat(value)
        except (TypeError, ValueError):
            return value

    return plain(json.loads(text))


def test_a_pipe_gets_json(app: App, call: Call) -> None:
    """Programs read the API's own objects."""
    code, out, _ = call("runs")
    assert (code, same(out)) == (0, same(json.dumps([ENTRY])))
    code, out, _ = call("show", "faq")
    assert (code, same(out)) == (0, same(json.dumps(RUN)))
    assert json.loads(call("report", "faq")[1]) == REPORT


def test_a_terminal_gets_tables(app: App, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """People read stages, times and losses."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "160")
    _, listed, _ = call("runs")
    assert "faq" in listed
    assert "TIME LEFT" in listed
    assert " 5 d " in listed
    _, shown, _ = call("show", "faq")
    assert "1.235" in shown
    assert "Phi-4-faq" in shown
    assert "1 answered" in shown
    assert "3.00 node hours, 13.50 EUR" in shown
    assert "0.66 node hours\n" in re.sub(" +\n", "\n", shown)
    assert "saved" not in shown
    assert f"{NOW.astimezone():%Y-%m-%d %H:%M:%S}" in shown


def test_a_suspended_run_says_why(app: App, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """A person looks at it because it waits for one; a run that was just changed shows no cost."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    app.run["suspended"] = "out of quota"
    assert "suspended: out of quota" in call("show", "faq")[1]
    del app.run["suspended"], app.run["cost"]
    assert call("retry", "faq")[0] == 0


def test_a_dataset_stands_for_its_newest_run(app: App, call: Call) -> None:
    """Nobody remembers ten hex digits."""
    newest = {**ENTRY, "run_id": "ft-faq-ffffffffff", "opened_at": NOW.isoformat()}
    app.entries = [newest, ENTRY]
    call("cancel", "faq", "--yes")
    assert app.last == "POST /api/runs/ft-faq-ffffffffff/cancel"


@pytest.mark.parametrize(
    "arguments",
    [("chat", "faq", "--message", "Hi"), ("extend", "faq", "--hours", "1"), ("delete", "faq", "--yes")],
)
def test_what_needs_an_endpoint_means_the_run_that_has_one(
    app: App, call: Call, arguments: tuple[str, ...]
) -> None:
    """A later duplicate has none; `/v1` takes the live one by the same name, too."""
    later = {**ENTRY, "stage": "duplicate", "run_id": "ft-faq-ffffffffff", "opened_at": NOW.isoformat()}
    rising = {**later, "stage": "deploying", "run_id": "ft-faq-eeeeeeeeee"}
    app.entries = [later, rising, ENTRY]
    assert call(*arguments)[0] == 0
    assert app.asked[-1].url.path.startswith(f"/api/endpoints/{ENTRY['run_id']}")
    app.entries = [later, rising]
    call(*arguments)
    assert app.asked[-1].url.path.startswith(f"/api/endpoints/{rising['run_id']}")


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        (("cancel", "faq", "--yes"), "POST /api/runs/ft-faq-0123456789/cancel"),
        (("retry", "faq"), "POST /api/runs/ft-faq-0123456789/retry"),
        (("delete", "faq", "--yes"), "DELETE /api/endpoints/ft-faq-0123456789"),
        (("extend", "faq", "--hours", "2"), "POST /api/endpoints/ft-faq-0123456789/extend"),
    ],
)
def test_each_request_is_asked_of_its_route(
    app: App, call: Call, arguments: tuple[str, ...], asked: str
) -> None:
    """A script gets done what it asks for."""
    code, _, _ = call(*arguments)
    assert (code, app.last) == (0, asked)


def test_a_person_is_asked_before_something_ends(
    app: App, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a yes is a yes, and `--yes` is one."""
    monkeypatch.setattr(sys, "stdin", Keyboard("\n"))
    code, _, err = call("delete", "faq")
    assert (code, "Nothing was done" in err) == (4, True)
    assert not any(request.method == "DELETE" for request in app.asked)
    monkeypatch.setattr(sys, "stdin", Keyboard("y\n"))
    assert call("delete", "faq")[0] == 0
    assert app.last.startswith("DELETE")
    assert call("delete", "faq", "--yes")[0] == 0


@pytest.mark.parametrize("command", ["cancel", "delete"])
def test_where_nobody_can_be_asked_a_yes_is_demanded(
    app: App, call: Call, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """A pipe by mistake ends nothing."""
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    code, _, err = call(command, "faq")
    assert (code, "--yes" in err) == (2, True)
    assert {request.method for request in app.asked} == {"GET"}


@pytest.mark.parametrize(
    ("stage", "error", "code"),
    [
        ("live", None, 0),
        ("failed", "out of memory", 4),
        ("rejected", None, 4),
        ("deleted", None, 0),
        ("stopped", None, 0),
        ("stopped", "no capacity", 4),
    ],
)
def test_following_ends_with_how_it_went(
    app: App, call: Call, stage: str, error: str | None, code: int
) -> None:
    """A script knows by the exit code; a reader of the pipe gets each stage on a line."""
    app.run["stage"] = stage
    app.run["error"] = {"code": "Fault", "message": error} if error else None
    ended, out, err = call("follow", "faq")
    assert ended == code
    assert [json.loads(line)["stage"] for line in out.splitlines()] == ["received", "live"]
    assert error is None or error in err


def test_deleting_a_stopped_run_is_waited_for(app: App, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is at rest already, and not yet deleted."""
    monkeypatch.setattr(commands, "LOOK_SECONDS", 0)
    app.looks = [httpx.Response(200, json=app.run | {"stage": stage}) for stage in ("stopped", "deleted")]
    assert call("delete", "faq", "--yes", "--wait")[0] == 0
    assert app.looks == []


def test_an_app_that_is_busy_is_followed_on(app: App, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """One 503 ends nothing; a refusal does, and so does an app that stays away."""
    monkeypatch.setattr(commands, "LOOK_SECONDS", 0)
    app.run["stage"] = "training"
    app.looks = [httpx.Response(200, json=app.run), httpx.Response(503), httpx.Response(429)]
    looked = list(app.looks)
    app.run = {**app.run, "stage": "live"}
    assert call("follow", "faq")[0] == 0
    assert app.looks == []
    moments = iter(range(0, 100_000, 500))
    app.looks = [looked[0], httpx.Response(403)]
    assert call("follow", "faq")[0] == 1
    monkeypatch.setattr(time, "monotonic", lambda: float(next(moments)))
    app.looks = looked
    assert call("follow", "faq")[0] == 1


def test_a_reply_that_breaks_off_is_refused(app: App, call: Call) -> None:
    """Whether the app says so or says nothing more; half a reply is none."""
    fault = {"error": {"code": "StreamBroken", "message": "the model's reply broke off"}}
    for rest in (b"", b"data: " + json.dumps(fault).encode() + b"\n\n"):
        whole = streamed("Half").content.removesuffix(b"data: [DONE]\n\n")
        app.scores = [httpx.Response(200, content=whole + rest)]
        code, out, err = call("chat", "faq", "--message", "Hello")
        assert (code, out, "broke off" in err) == (1, "", True)


def test_a_refused_question_ends_no_conversation(
    app: App, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told, and forgotten; the next one goes with what was said and answered."""
    monkeypatch.setattr(sys, "stdin", io.StringIO("Hello\nHow?\nAnd now?\n"))
    busy = httpx.Response(429, json={"code": "TooManyRequests", "detail": "come back later"})
    app.scores = [None, busy]
    code, out, err = call("chat", "faq")
    assert (code, err) == (1, "TooManyRequests: come back later")
    assert [json.loads(line)["reply"] for line in out.splitlines()] == ["1 heard", "3 heard"]


def test_a_conversation_from_a_pipe_takes_turns(
    app: App, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A question a line; each goes with what was said before."""
    monkeypatch.setattr(sys, "stdin", io.StringIO("Hello\n\nAnd now?\n"))
    code, out, _ = call("chat", "faq", "--system", "Be brief.")
    assert code == 0
    assert [json.loads(line)["reply"] for line in out.splitlines()] == ["2 heard", "4 heard"]


def test_one_question_is_asked_and_answered(app: App, call: Call) -> None:
    """For scripts that want one reply."""
    _, out, _ = call("chat", "faq", "--message", "Hello", "--temperature", "0.7")
    assert json.loads(out) == {"message": "Hello", "reply": "1 heard"}
    sent = json.loads(app.asked[-1].content)
    assert (sent["do_sample"], sent["temperature"], sent["max_new_tokens"]) == (True, 0.7, 200)


def test_a_refusal_is_told_in_the_apps_words(app: App, call: Call) -> None:
    """The code says that the app said no, the message why."""
    problem = {"code": "LifetimeExceeded", "detail": "faq may live until tomorrow at the longest"}
    app.refusal = httpx.Response(422, json=problem)
    code, out, err = call("extend", "faq", "--hours", "900")
    assert (code, out) == (1, "")
    assert err == "LifetimeExceeded: faq may live until tomorrow at the longest"
    assert call("runs", key="wrong")[0] == 1


def test_an_app_that_is_not_there_is_said_to_be(
    app: App, call: Call, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whether nothing answers, or nobody said where it is."""

    def gone(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("connection refused")

    monkeypatch.setattr(App, "__call__", lambda _, request: gone(request))
    code, _, err = call("runs")
    assert (code, "connection refused" in err) == (3, True)
    assert main(["runs"]) == 3
    assert "make dev" in capsys.readouterr().err


def test_the_local_stack_is_found(app: App, capsys: pytest.CaptureFixture[str]) -> None:
    """With `make dev` running, no flag is needed."""
    target.STACK.write_text(json.dumps({"functions_url": "http://127.0.0.1:1", "function_key": "the-key"}))
    assert main(["runs"]) == 0
    assert app.asked[-1].url.host == "127.0.0.1"


def test_a_list_that_is_cut_says_so_and_keeps_what_needs_a_person(app: App, call: Call) -> None:
    """Runs are listed by id; whoever waits for a person may come last of thousands."""
    ended = [{**ENTRY, "run_id": f"ft-a-{number:010x}", "stage": "deleted"} for number in range(1500)]
    app.entries = [
        *ended,
        {**ENTRY, "run_id": "ft-zz-0000000000", "needs_attention": True, "suspended": "no"},
    ]
    _, out, err = call("runs")
    listed = json.loads(out)
    assert (len(listed), listed[0]["run_id"]) == (100, "ft-zz-0000000000")
    assert err == "… 1401 more (--limit)"
    assert call("runs", "--limit", "2000")[2] == ""


def test_what_needs_a_person_is_listed_first() -> None:
    """Then what moves, then what is live, then the past."""
    listed = [
        {**ENTRY, "run_id": "d", "stage": "deleted"},
        {**ENTRY, "run_id": "c", "stage": "live"},
        {**ENTRY, "run_id": "b", "stage": "training"},
        {**ENTRY, "run_id": "a", "stage": "live", "needs_attention": True},
    ]
    entries = msgspec.convert(listed, list[RunEntry])
    assert [entry.run_id for entry in sorted(entries, key=urgency)] == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.42, "0.4 s"), (59, "59 s"), (65, "1 min 5 s"), (3600, "1 h"), (187_200, "2 d 4 h"), (-3, "0.0 s")],
)
def test_durations_are_two_units_at_most(seconds: float, text: str) -> None:
    """Nobody needs the seconds of a day."""
    assert duration(seconds) == text


class Keyboard(io.StringIO):
    """A person at a terminal, who types this."""

    def isatty(self) -> bool:
        """It is one."""
        return True


def test_a_run_that_trains_shows_how_far_it_is(app: App, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """Step, epoch, losses, and when it ends; before that what the run is estimated to cost."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    ends = (NOW + timedelta(minutes=90, seconds=30)).isoformat()
    app.run |= {"stage": "training", "progress": EXAMPLE["progress"] | {"ends_at": ends}}
    _, out, _ = call("show", "faq")
    assert "step 350 of 360, epoch 2.92 of 3, loss 0.83, evaluation loss 0.98, ends in 1 h" in out
    assert "2.50 h (2.20 to 3.10), 11.25 EUR (9.90 to 13.95), by 4 earlier runs" in out
    assert "24 h on 1 x Standard_NC24ads_A100_v4, 108.00 EUR" in out
    app.run["quote"] = EXAMPLE["quote"] | {"training_hours": None, "training_cost": None, "total_cost": None}
    _, out, _ = call("show", "faq")
    assert "unknown until a run of this model and size has trained" in out


def test_uploads_that_open_no_run_are_listed(app: App, call: Call) -> None:
    """With what to do about each."""
    code, out, _ = call("ignored")
    (upload,) = json.loads(out)
    assert (code, upload["path"], upload["reason"]) == (0, "exports/support.csv", "ConvertibleFile")
    assert "finetune upload" in upload["remedy"]


def test_an_end_is_acknowledged(app: App, call: Call) -> None:
    """The app is asked for the run's own acknowledgement."""
    code, _, _ = call("acknowledge", "faq")
    assert (code, app.last) == (0, f"POST /api/runs/{RUN['run_id']}/acknowledge")
