"""A person's yes or no by a signed link: opening it does nothing, one answer counts, crashes do no harm."""

from __future__ import annotations

import json
from datetime import timedelta

import msgspec
import pytest

from handlers.http.approvals import answer_approval, show_approval
from handlers.http.responses import Response
from handlers.http.run_views import run_view
from shared.domain.run.approval import LIFETIME, approval_token, approval_url
from shared.domain.run.message_formats import render, stage_message
from shared.domain.run.notifications import stage_change
from shared.domain.run.run import Run
from shared.domain.run.stages import Stage
from shared.workflow.advance import advance_run
from tests.app.fakes import World
from tests.app.worlds import SETTINGS, Crash, Trip, advance, drive, fragile, upload

pytestmark = pytest.mark.unit

MANUAL = msgspec.structs.replace(SETTINGS, promotion="manual")
PAGE = "https://app.example/api/dashboard"


def waiting(world: World) -> tuple[Run, str]:
    """A live run that waits for an answer, and the token of its link."""
    run = drive(world, upload(world, settings=MANUAL), Stage.LIVE, MANUAL)
    token = approval_token(run)
    assert token is not None
    return run, token


def holders(world: World) -> tuple[str, ...]:
    """The runs that hold the dataset's name."""
    return world.current_models.names()["support"].stack


def text(answer: Response) -> str:
    """The page as text."""
    assert isinstance(answer.body, bytes)
    return answer.body.decode()


def test_opening_the_link_changes_nothing_and_a_yes_switches_the_name() -> None:
    """Programs that follow links do no harm; a click twice is a click; the other answer comes too late."""
    world = World()
    run, token = waiting(world)
    before = dict(world.runs.blobs)
    for _ in range(3):
        page = show_approval(world.services, token)
        assert (page.status, page.advance) == (200, ())
        assert "Yes, use this model" in text(page)
        assert "Hello!" not in text(page)  # what the model said is no part of it
    assert world.runs.blobs == before
    assert holders(world) == ()
    answers = [answer_approval(world.services, token, b"answer=yes&by=Ada+%3Cb%3E") for _ in range(2)]
    assert [(one.status, one.advance) for one in answers] == [(200, (run.run_id,))] * 2
    assert answer_approval(world.services, token, b"answer=no").status == 409
    done = advance(world, run.run_id, MANUAL)
    assert done.promotion is not None
    assert (done.promotion.promoted, done.promotion.why) == (True, "Ada <b> approved")
    assert holders(world) == (run.run_id,)
    later = show_approval(world.services, token)
    assert (later.status, "Ada &lt;b&gt; said yes" in text(later)) == (409, True)
    assert advance(world, run.run_id, MANUAL).promotion == done.promotion


def test_a_no_leaves_the_name_where_it_is() -> None:
    """The candidate stays live under its own name."""
    world = World()
    run, token = waiting(world)
    assert answer_approval(world.services, token, b"answer=no").status == 200
    done = advance(world, run.run_id, MANUAL)
    assert done.promotion is not None
    assert (done.promotion.promoted, done.promotion.waits) == (False, False)
    assert done.promotion.why == "the holder of the link declined"
    assert (done.stage, holders(world)) == (Stage.LIVE, ())


@pytest.mark.parametrize("after", [False, True])
def test_an_answer_survives_every_crash(after: bool) -> None:
    """Whoever dies at whatever call: the name is switched once, by whom the answer names."""
    ports = frozenset({"current_models", "runs"})

    def carried(world: World, trip: Trip) -> Run:
        run, token = waiting(world)
        answer_approval(world.services, token, b"answer=yes&by=Ada")
        services = fragile(world.services, trip)
        for _ in range(4):
            try:
                done = advance_run(run.run_id, settings=MANUAL, services=services)
            except Crash:
                continue
            assert done is not None
            run = done
        return run

    calls = Trip(only=ports)
    carried(World(), calls)
    assert "current_models.replace" in calls.calls
    for at in range(calls.calls.index("current_models.replace") + 3):
        world = World()
        run = carried(world, Trip(at=at, after=after, only=ports))
        assert run.promotion is not None
        assert run.promotion.promoted
        stored = world.current_models.load("support")
        assert stored is not None
        assert [(switch.run_id, switch.by) for switch in stored.model.history] == [(run.run_id, "Ada")]


@pytest.mark.parametrize("answer", [b"answer=yes", b"answer=no"])
def test_a_link_is_good_for_its_time_and_its_run_alone(answer: bytes) -> None:
    """Expired, for a stopped run, or forged in any part: a page that says so, and nothing happens."""
    world = World()
    run, token = waiting(world)
    run_id, seconds, signature = token.split(".")
    other = upload(world, "other.jsonl", settings=MANUAL)
    forged = [
        f"{run_id}.{int(seconds) + 1}.{signature}",
        f"{run_id}.{seconds}.{'A' * len(signature)}",
        f"{run_id}.{seconds}.größer",
        f"{other}.{seconds}.{signature}",
        f"ft-none-0123456789.{seconds}.{signature}",
        f"{run_id}.99999999999999.{signature}",
        *(run_id, "", "..", "../../runs", "\ud800"),
    ]
    for one in forged:
        assert show_approval(world.services, one).status == 404, one
        assert answer_approval(world.services, one, answer).status == 404, one
    for body in (b"", b"answer=maybe", b"\xff", b"answer=yes" + b"&a=1" * 99):
        assert answer_approval(world.services, token, body).status == 400
    world.now += LIFETIME + timedelta(seconds=1)
    assert show_approval(world.services, token).status == 410
    assert answer_approval(world.services, token, answer).status == 410
    stopped = drive(world, run.run_id, Stage.STOPPED, MANUAL)
    assert answer_approval(world.services, token, answer).status == 410
    assert stopped.promotion is not None
    assert not stopped.promotion.promoted
    assert holders(world) == ()


@pytest.mark.parametrize("form", ["cloudevents", "teams", "slack"])
def test_the_notification_has_the_link_and_nobody_has_the_key(form: str) -> None:
    """Every telling has the same link; the key that signs it stays on the record."""
    world = World()
    run, token = waiting(world)
    index = len(run.history) - 1
    told = [
        render(stage_message(stage_change(run, index, PAGE)), "id", form, "source", PAGE)[1].decode()
        for _ in range(2)
    ]
    assert told[0] == told[1]
    assert f"https://app.example/api/approvals/{token}" in told[0]
    assert run.promotion is not None
    assert run.promotion.key is not None
    view = msgspec.json.encode(run_view(run, world.now)).decode()
    assert json.loads(view)["promotion"]["approval"] == f"/api/approvals/{token}"
    assert run.promotion.key not in told[0] + view
    assert approval_url(run, None) is None
