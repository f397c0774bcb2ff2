"""From a stage change to a message that was taken: nothing is lost, nothing is made up, no run waits."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import timedelta
from typing import Any

import msgspec
import pytest

import function_app
from handlers.events.notification_message import deliver_notification
from shared.adapters.storage.notification_queue import QUEUE
from shared.config import Settings
from shared.domain.dataset import Verdict as DatasetVerdict
from shared.domain.errors import ServiceRefusedError, TransientServiceError
from shared.domain.evaluation.record import Comparison, Evaluation, Interval, Verdict
from shared.domain.run.current_model import decide_promotion
from shared.domain.run.message_formats import render, stage_message
from shared.domain.run.notifications import (
    ATTEMPTS,
    ATTEMPTS_WITHOUT_RECORD,
    Notification,
    delay_before,
    sign,
    stage_change,
)
from shared.domain.run.parts import Failure
from shared.domain.run.run import Run, enter
from shared.domain.run.stages import Stage
from shared.workflow.notifications import enqueue_stage_changes
from tests.app.builders import NOW, PATH, RUN_ID, a_run, report
from tests.app.fakes import World
from tests.app.worlds import SETTINGS, drive, upload

SECRET = "whsec_" + base64.b64encode(b"only between us").decode()
TOLD = msgspec.structs.replace(SETTINGS, webhook_url="https://example.test/hook", webhook_secret=SECRET)


def read_out(world: World, settings: Settings = TOLD) -> None:
    """Deliver everything that waits, once."""
    waiting, world.notifications.waiting = world.notifications.waiting, []
    for notification, _ in waiting:
        deliver_notification(
            msgspec.json.encode(notification).decode(), settings=settings, services=world.services
        )


def told(world: World) -> list[dict[str, Any]]:
    """The events that were taken."""
    return [json.loads(body) for body, _ in world.notifications.taken]


def test_a_life_is_told_stage_by_stage() -> None:
    """Each entry of the history is one event, with an id of its own and the record's own time."""
    world = World()
    run = drive(world, upload(world), Stage.STOPPED)
    read_out(world)
    events = told(world)
    assert [event["data"]["stage"] for event in events] == [stage.value for stage in PATH]
    assert [event["id"] for event in events] == [f"{run.run_id}/{index}" for index in range(len(PATH))]
    assert [msgspec.convert(event["time"], type(NOW)) for event in events] == [e.at for e in run.history]
    assert {event["subject"] for event in events} == {run.run_id}
    assert [event["data"]["over"] for event in events] == [False] * len(PATH)


def test_a_notification_is_queued_before_the_record_is_written() -> None:
    """A process that dies between the two loses no notification: it finds whatever the record says later."""
    world = World()
    run = a_run(Stage.TRAINING)
    world.runs.create(run)
    ahead = enter(run, Stage.TRAINED, NOW)
    enqueue_stage_changes(ahead, len(run.history), world.services)
    read_out(world)
    assert told(world) == []
    assert [notification.attempt for notification, _ in world.notifications.waiting] == [1]
    world.runs.replace(ahead, world.runs.load(RUN_ID).etag)
    read_out(world)
    assert [event["data"]["stage"] for event in told(world)] == ["trained"]


def test_every_record_with_a_new_stage_is_written_after_its_notice() -> None:
    """Also the first one, and also of a run that is rejected when it is opened."""
    world = World()
    create, write = world.runs.create, world.runs.replace

    def noted(run: Run) -> None:
        assert {notification.index for notification, _ in world.notifications.waiting} >= set(
            range(len(run.history))
        )

    def watched_create(run: Run) -> bool:
        noted(run)
        return create(run)

    def watched_write(run: Run, etag: str) -> str | None:
        noted(run)
        return write(run, etag)

    world.runs.create, world.runs.replace = watched_create, watched_write  # type: ignore[method-assign]
    drive(world, upload(world), Stage.STOPPED)
    world.uploads.put("bad/run.json", b"[]")
    upload(world, "bad/train.jsonl")
    assert "rejected" in {
        entry.stage for name in world.runs.blobs for entry in world.runs.load(name).run.history
    }


def test_an_entry_that_never_comes_is_forgotten() -> None:
    """After a few looks the notification is dropped, with nothing delivered."""
    world = World()
    enqueue_stage_changes(a_run(Stage.LIVE), 6, world.services)
    looks = 0
    while world.notifications.waiting:
        read_out(world)
        looks += 1
    assert looks == ATTEMPTS_WITHOUT_RECORD
    assert told(world) == []


def test_a_receiver_that_is_down_is_told_for_a_day() -> None:
    """Pauses grow to an hour and add up to about a day; then the notification is dropped, and not before."""
    world = World()
    world.runs.create(a_run(Stage.LIVE))
    enqueue_stage_changes(a_run(Stage.LIVE), 6, world.services)
    world.notifications.faults["post"] = [TransientServiceError("down") for _ in range(ATTEMPTS)]
    waited = timedelta()
    while world.notifications.waiting:
        waited += world.notifications.waiting[0][1]
        read_out(world)
    assert timedelta(hours=20) < waited < timedelta(hours=28)
    assert world.notifications.faults["post"] == []
    assert told(world) == []


def test_a_receiver_may_ask_for_time() -> None:
    """Its Retry-After is heeded, up to an hour; it makes no pause shorter."""
    assert delay_before(1, 300) == timedelta(minutes=5)
    assert delay_before(1, float("inf")) == timedelta(hours=1)
    assert delay_before(5, 1) == delay_before(5) == timedelta(minutes=8)
    world = World()
    world.runs.create(a_run(Stage.LIVE))
    enqueue_stage_changes(a_run(Stage.LIVE), 6, world.services)
    world.notifications.faults["post"] = [TransientServiceError("busy", retry_after=120)]
    read_out(world)
    ((_, delay),) = world.notifications.waiting
    assert delay == timedelta(minutes=2)


def test_a_receiver_that_keeps_asking_for_a_second_is_told_for_a_day() -> None:
    """Its attempts are not used up while it is away."""
    world = World()
    world.runs.create(a_run(Stage.LIVE))
    enqueue_stage_changes(a_run(Stage.LIVE), 6, world.services)
    world.notifications.faults["post"] = [
        TransientServiceError("busy", retry_after=1) for _ in range(ATTEMPTS)
    ]
    waited = timedelta()
    while world.notifications.waiting:
        waited += world.notifications.waiting[0][1]
        read_out(world)
    assert waited > timedelta(hours=20)


def test_a_refusal_is_final() -> None:
    """A receiver that says that the message is wrong does not get it again."""
    world = World()
    world.runs.create(a_run(Stage.LIVE))
    enqueue_stage_changes(a_run(Stage.LIVE), 6, world.services)
    world.notifications.faults["post"] = [ServiceRefusedError("gone")]
    read_out(world)
    assert world.notifications.waiting == []


def test_a_queue_that_is_down_holds_no_run_up() -> None:
    """The run goes its whole way; only its notifications are lost."""
    world = World()
    world.notifications.faults["enqueue"] = [TransientServiceError("down") for _ in PATH]
    drive(world, upload(world), Stage.STOPPED)
    assert world.notifications.waiting == []


@pytest.mark.parametrize("text", ["", "{", "[]", '{"run_id": "../x", "index": 0}', '{"index": 0}'])
def test_other_messages_are_dropped(text: str) -> None:
    """Whatever stands on the queue, it is no reason to fail."""
    world = World()
    deliver_notification(text, settings=TOLD, services=world.services)
    assert (world.notifications.waiting, world.notifications.taken) == ([], [])


def test_without_a_webhook_nothing_is_told() -> None:
    """Notices of an app that had one a moment ago are dropped."""
    world = World()
    world.runs.create(a_run(Stage.LIVE))
    enqueue_stage_changes(a_run(Stage.LIVE), 0, world.services)
    read_out(world, SETTINGS)
    assert (world.notifications.waiting, world.notifications.taken) == ([], [])


def test_the_signature_is_that_of_standard_webhooks() -> None:
    """HMAC-SHA256 over id, timestamp and raw body, so that neither can be changed nor sent again later."""
    world = World()
    world.runs.create(a_run(Stage.LIVE))
    enqueue_stage_changes(a_run(Stage.LIVE), 6, world.services)
    read_out(world)
    ((body, headers),) = world.notifications.taken
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    digest = hmac.new(b"only between us", signed, hashlib.sha256).digest()
    assert headers["webhook-signature"] == "v1," + base64.b64encode(digest).decode()
    assert headers["webhook-timestamp"] == str(int(NOW.timestamp()))
    assert headers["Content-Type"].startswith("application/cloudevents+json")


def test_the_signature_follows_the_standards_own_example() -> None:
    """The example that Standard Webhooks publishes comes out as printed there."""
    id_, secret = "msg_p5jXN8AQM9LWM0D4loKWxJek", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    sent = NOW.fromtimestamp(1614265330, NOW.tzinfo)
    headers = sign(secret, id_, sent, b'{"test": 2432232314}')
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_notification_of_a_failure_has_its_error() -> None:
    """It stands in the notifications of the stages that it led to, and in none before."""
    run = a_run(Stage.TRAINING)
    error = Failure(code="DeadlineExceeded", message="72 h are over", stage=Stage.TRAINING, at=NOW)
    later = NOW + timedelta(minutes=1)
    run = enter(enter(run, Stage.DELETING, later, error), Stage.FAILED, later)
    assert [stage_change(run, index).error for index in (2, 3, 4)] == [None, error, error]


@pytest.mark.parametrize("code", ["JobFailed", "NoServingStrategy", "OutOfQuota", "InvalidOptions"])
def test_no_notification_has_the_services_words(code: str) -> None:
    """They may quote a row; the code is told, and where the message is."""
    error = Failure(code=code, message="row 7: canaryrow", stage=Stage.TRAINING, at=NOW)
    run = enter(a_run(Stage.TRAINING), Stage.DELETING, NOW, error)
    for form in ("cloudevents", "teams", "slack"):
        told = json.dumps(in_form(run, 3, form))
        assert "canaryrow" not in told
        assert code in told
        assert f"GET /api/runs/{RUN_ID}" in told


def test_a_rejection_is_told_by_codes() -> None:
    """What the report says of a row stays in the report."""
    faults = msgspec.structs.replace(report(DatasetVerdict.REJECTED), counts={"E204": 3}, reason="canaryrow")
    error = Failure(code="DatasetRejected", message="canaryrow", stage=Stage.RECEIVED, at=NOW)
    run = enter(a_run(Stage.RECEIVED, report=faults), Stage.REJECTED, NOW, error)
    told = json.dumps(in_form(run, 1, "slack"))
    assert "canaryrow" not in told
    assert "E204 3 times" in told


MALFORMED = "[Sign in](https://evil.example) <https://evil.example|Sign in> <!channel> & co"
PAGE = "https://app.example/api/dashboard"


def in_form(run: Run, index: int, form: str, dashboard: str | None = PAGE) -> Any:
    """News of an entry as a chat gets them."""
    content_type, body = render(stage_message(stage_change(run, index)), "id", form, "source", dashboard)
    assert content_type.startswith("application/")
    return json.loads(body)


def card_of(message: Any) -> Any:
    """The one card of a message for Teams."""
    (attachment,) = message["attachments"]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    assert attachment["content"]["type"] == "AdaptiveCard"
    return attachment["content"]


def a_failed_run() -> Run:
    """Named and broken by strangers."""
    error = Failure(code="JobCanceled", message=MALFORMED, stage=Stage.TRAINING, at=NOW)
    return enter(a_run(Stage.TRAINING, dataset=MALFORMED), Stage.DELETING, NOW, error)


def test_a_card_for_teams_says_what_and_why_and_nothing_in_it_is_markup() -> None:
    """Markdown is read in text blocks and fact sets, and never in text runs."""
    card = card_of(in_form(a_failed_run(), 3, "teams"))
    assert {block["type"] for block in card["body"]} == {"RichTextBlock"}
    runs = [run for block in card["body"] for run in block["inlines"]]
    assert {run["type"] for run in runs} == {"TextRun"}
    texts = [run["text"] for run in runs]
    assert texts[0] == f"{MALFORMED} is deleting"
    assert {RUN_ID, f"JobCanceled: {MALFORMED}"} < set(texts)
    assert runs[0]["color"] == "attention"
    live = card_of(in_form(a_run(Stage.LIVE), 6, "teams"))
    assert live["body"][0]["inlines"][0]["color"] == "good"


def test_a_message_for_slack_says_what_and_why_and_nothing_in_it_is_markup() -> None:
    """Nothing links or calls people but what the app itself wrote."""
    message = in_form(a_failed_run(), 3, "slack")
    assert set(message) == {"text"}
    text = message["text"]
    escaped = "[Sign in](https://evil.example) &lt;https://evil.example|Sign in&gt; &lt;!channel&gt; &amp; co"
    assert text.startswith(f"*{escaped}* is *deleting*\n")
    assert f"Error: JobCanceled: {escaped}\n" in text
    assert f"Run: {RUN_ID}\n" in text
    assert text.count("<") == 1


def test_a_model_that_is_worse_is_told_of() -> None:
    """The notification of a live run has the comparison, and whether the dataset's name moved."""
    spans = {"chrf": Interval(-7.25, -9.0, -5.5)}
    comparison = Comparison(
        against="ft-support-51ce9f6a20",
        rows=50,
        metrics=spans,
        differences=spans,
        p_value=0.001,
        verdict=Verdict.WORSE,
    )
    run = a_run(
        Stage.LIVE,
        evaluation=Evaluation(began=NOW, rows=50, fingerprint="f", ended=NOW, comparison=comparison),
        promotion=decide_promotion("if_not_worse", comparison.against, comparison, NOW),
    )
    data = in_form(run, 6, "cloudevents")["data"]
    assert (data["promotion"]["promoted"], data["comparison"]["verdict"]) == (False, "worse")
    slack = in_form(run, 6, "slack")["text"]
    assert "Model: does not take the name support: worse on 50 rows against ft-support-51ce9f6a20" in slack
    assert "chrF: -7.2 (-9.0 to -5.5)" in slack
    assert card_of(in_form(run, 6, "teams"))["body"][0]["inlines"][0]["color"] == "warning"
    assert in_form(run, 5, "cloudevents")["data"]["comparison"] is None


def test_chat_messages_lead_to_the_run() -> None:
    """Where the page's address is known."""
    page = f"{PAGE}#/runs/{RUN_ID}"
    run = a_run(Stage.LIVE)
    (action,) = card_of(in_form(run, 6, "teams"))["actions"]
    assert (action["type"], action["url"]) == ("Action.OpenUrl", page)
    assert in_form(run, 6, "slack")["text"].endswith(f"<{page}|Open the run>")
    assert "actions" not in card_of(in_form(run, 6, "teams", None))
    assert "<" not in in_form(run, 6, "slack", None)["text"]


@pytest.mark.parametrize("form", ["teams", "slack"])
def test_the_configured_page_is_linked(form: str) -> None:
    """What is posted has the link of the settings."""
    world = World()
    world.runs.create(a_run(Stage.LIVE))
    enqueue_stage_changes(a_run(Stage.LIVE), 6, world.services)
    read_out(world, msgspec.structs.replace(TOLD, webhook_format=form, dashboard_url=PAGE))
    assert f"{PAGE}#/runs/{RUN_ID}" in json.dumps(told(world))


def test_the_trigger_listens_where_notices_are_put() -> None:
    """The queue has one name."""
    assert function_app.NOTIFICATIONS == QUEUE
    assert Notification(run_id=RUN_ID, index=3).id == f"{RUN_ID}/3"
