"""Notifications of stage changes, in the formats that receivers take.

A notification names one entry of a run's history. It is queued before the record is written and delivered
after, so that every stage change on the record is delivered; a notification without an entry is dropped. The
same entry may be delivered twice, always under the same id.

Sources: CloudEvents 1.0 (cloudevents.io), its JSON format and its HTTP webhook rules; Standard Webhooks 1.0
(standardwebhooks.com) for signatures; Adaptive Cards 1.4 as Teams' incoming webhooks take them; Slack's
"Sending messages using incoming webhooks".
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from datetime import datetime, timedelta
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from shared.domain.run.parts import Failure, StageEntry
from shared.domain.run.run import Run
from shared.domain.run.stages import Stage

EVENT_TYPE = "finetune.run.stage.entered"
CLOUD_EVENT = "application/cloudevents+json; charset=utf-8"
JSON = "application/json; charset=utf-8"

OPEN = "Open the run"

SETTLING = timedelta(seconds=1)
"""Delay before the first delivery: by then the record is written."""

_FIRST_RETRY = timedelta(seconds=30)
_LONGEST_RETRY = timedelta(hours=1)
ATTEMPTS = 30
"""With these delays, how many deliveries are attempted: for a day."""

ATTEMPTS_WITHOUT_RECORD = 6
"""How often an entry is looked for that the record does not have: for about half an hour."""


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of a run's history that is to be told, and how often that was tried."""

    run_id: str
    index: Annotated[int, Meta(ge=0)]
    attempt: Annotated[int, Meta(ge=0)] = 0

    @property
    def id(self) -> str:
        """The same for every telling of the same entry."""
        return f"{self.run_id}/{self.index}"


class StageChange(msgspec.Struct, frozen=True, kw_only=True):
    """What is told: the `data` of a cloud event.

    Attributes:
        previous: The stage before, or None.
        over: Whether nothing comes after this stage.
        reason: Why the run is being taken away, when nothing went wrong.
        error: What went wrong, in the service's words.
        endpoint: Name of the endpoint, once it is live.
        expires_at: When its time is up (UTC).
    """

    run_id: str
    dataset: str
    index: int
    stage: Stage
    previous: Stage | None
    entered_at: datetime
    over: bool
    reason: str | None
    error: Failure | None
    endpoint: str | None
    expires_at: datetime | None


def delay_before(attempt: int, asked: float | None = None) -> timedelta:
    """How long to wait before an attempt: 30 s, doubling, or longer if that was asked for; at most an hour.

    Who asks for less gets it no sooner: the attempts have to last for a day.
    """
    if attempt == 0:
        return SETTLING
    growing = min(_FIRST_RETRY * (1 << min(attempt - 1, 10)), _LONGEST_RETRY)
    return max(growing, timedelta(seconds=min(asked or 0, _LONGEST_RETRY.total_seconds())))


def stage_change(run: Run, index: int) -> StageChange:
    """Read one entry of a record's history out.

    Raises:
        IndexError: If the history does not have it.
    """
    entry = run.history[index]
    left = {earlier.stage for earlier in run.history[:index]}
    error = run.error if run.error is not None and run.error.stage in left else None
    leaving = entry.stage is Stage.DELETING or entry.stage.at_rest
    lives = run.endpoint is not None and run.endpoint.live_since <= entry.at and not entry.stage.at_rest
    return StageChange(
        run_id=run.run_id,
        dataset=run.dataset,
        index=index,
        stage=entry.stage,
        previous=_before(run.history, index),
        entered_at=entry.at,
        over=entry.stage.terminal,
        reason=run.end_reason if leaving else None,
        error=error,
        endpoint=run.endpoint.name if lives and run.endpoint else None,
        expires_at=run.expires_at if lives else None,
    )


def render(
    change: StageChange, id: str, form: str, source: str, dashboard: str | None = None
) -> tuple[str, bytes]:
    """Format a stage change for the receiver.

    Args:
        change: What is told.
        id: The event's id.
        form: `cloudevents`, `teams` or `slack`.
        source: The event's source, as a URI reference: the workspace.
        dashboard: Address of the page for people, to which messages link.

    Returns:
        Content type and body.
    """
    if form == "teams":
        return JSON, msgspec.json.encode(_teams(change, dashboard))
    if form == "slack":
        return JSON, msgspec.json.encode({"text": _slack(change, dashboard)})
    event = {
        "specversion": "1.0",
        "id": id,
        "source": source,
        "type": EVENT_TYPE,
        "subject": change.run_id,
        "time": change.entered_at,
        "datacontenttype": "application/json",
        "data": change,
    }
    return CLOUD_EVENT, msgspec.json.encode(event)


def sign(secret: str, id: str, sent: datetime, body: bytes) -> dict[str, str]:
    """Sign a request as Standard Webhooks does: HMAC-SHA256 over id, time and raw body.

    Args:
        secret: Either `whsec_` and base64, as that standard writes secrets, or any text.
        id: The event's id.
        sent: The time of this very attempt.
        body: The body as it is sent.

    Returns:
        The headers `webhook-id`, `webhook-timestamp` (seconds since 1970) and `webhook-signature`.
    """
    timestamp = str(int(sent.timestamp()))
    digest = hmac.new(_key(secret), f"{id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return {
        "webhook-id": id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


def _key(secret: str) -> bytes:
    if secret.startswith("whsec_"):
        try:
            return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        except binascii.Error:
            pass
    return secret.encode()


def _before(history: tuple[StageEntry, ...], index: int) -> Stage | None:
    return history[index - 1].stage if index else None


def _facts(change: StageChange) -> dict[str, str]:
    facts = {"Dataset": change.dataset, "Run": change.run_id}
    if change.expires_at is not None:
        facts["Until"] = f"{change.expires_at:%Y-%m-%d %H:%M} UTC"
    if change.reason is not None:
        facts["Reason"] = change.reason
    if change.error is not None:
        facts["Error"] = f"{change.error.code}: {change.error.message}"
    return facts


def _run_page(change: StageChange, dashboard: str) -> str:
    return f"{dashboard.rstrip('/')}#/runs/{change.run_id}"


def _teams(change: StageChange, dashboard: str | None) -> dict[str, Any]:
    """A card of text runs: unlike text blocks and facts, they are not read as Markdown."""
    color = "attention" if change.error else "good" if change.stage is Stage.LIVE else "default"
    title = f"{change.dataset} is {change.stage}"
    body = [_text_runs({"text": title, "weight": "bolder", "size": "medium", "color": color})]
    for name, value in _facts(change).items():
        body.append(_text_runs({"text": f"{name}: ", "weight": "bolder"}, {"text": value}))
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": body,
    }
    if dashboard is not None:
        link = {"type": "Action.OpenUrl", "title": OPEN, "url": _run_page(change, dashboard)}
        card["actions"] = [link]
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "content": card}
    return {"type": "message", "attachments": [attachment]}


def _text_runs(*runs: dict[str, str]) -> dict[str, Any]:
    return {"type": "RichTextBlock", "inlines": [{"type": "TextRun", **run} for run in runs]}


def _slack(change: StageChange, dashboard: str | None) -> str:
    lines = [f"*{_escape(change.dataset)}* is *{change.stage}*"]
    lines += [f"{name}: {_escape(value)}" for name, value in _facts(change).items() if name != "Dataset"]
    if dashboard is not None:
        lines.append(f"<{_escape(_run_page(change, dashboard))}|{OPEN}>")
    return "\n".join(lines)


def _escape(text: str) -> str:
    """Slack's own three escapes: nothing in a dataset's name or an error may call people or make links."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
