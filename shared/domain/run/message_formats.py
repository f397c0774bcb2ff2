"""What is told to the webhook, in the formats that receivers take.

Sources: CloudEvents 1.0 (cloudevents.io), its JSON format and its HTTP webhook rules; Adaptive Cards 1.4 as
Teams' incoming webhooks take them; Slack's "Sending messages using incoming webhooks".
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from shared.domain.run.ignored import IgnoredReason, IgnoredUpload, explain
from shared.domain.run.notifications import StageChange
from shared.domain.run.stages import Stage

STAGE_ENTERED = "finetune.run.stage.entered"
UPLOAD_IGNORED = "finetune.upload.ignored"
CLOUD_EVENT = "application/cloudevents+json; charset=utf-8"
JSON = "application/json; charset=utf-8"

OPEN = "Open the run"
OPEN_UPLOADS = "Open the page"
DECIDE = "Say yes or no to this model"


class Message(NamedTuple):
    """One thing that is told.

    Attributes:
        kind: The cloud event's type.
        subject: The run, or the blob's path.
        at: When it happened (UTC).
        data: The cloud event's data.
        name: What it is about, and `state`: what became of it, for people.
        color: Of a card's title, in Adaptive Cards' words.
        facts: What people read below the title.
        link: Where the page shows it, from the page's own address on.
        action: What the link is called.
        decide: Address of the page that asks for a decision, if one is asked for.
    """

    kind: str
    subject: str
    at: datetime
    data: Any
    name: str
    state: str
    color: str
    facts: dict[str, str]
    link: str
    action: str
    decide: str | None = None


class IgnoredUploadData(msgspec.Struct, frozen=True, kw_only=True):
    """The `data` of a cloud event that tells of an ignored upload."""

    path: str
    etag: str
    size: int
    reason: IgnoredReason
    detail: str
    remedy: str
    noticed_at: datetime


def stage_message(change: StageChange) -> Message:
    """Tell of a stage change."""
    facts = {"Dataset": change.dataset, "Run": change.run_id}
    if change.expires_at is not None:
        facts["Until"] = f"{change.expires_at:%Y-%m-%d %H:%M} UTC"
    if change.promotion is not None:
        taken = "takes" if change.promotion.promoted else "does not take"
        facts["Model"] = f"{taken} the name {change.dataset}: {change.promotion.why}"
    if change.comparison is not None and (chrf := change.comparison.differences.get("chrf")) is not None:
        facts["chrF"] = f"{chrf.value:+.1f} ({chrf.low:+.1f} to {chrf.high:+.1f})"
    if change.reason is not None:
        facts["Reason"] = change.reason
    if change.error is not None:
        facts["Error"] = f"{change.error.code}: {change.error.message}"
    return Message(
        kind=STAGE_ENTERED,
        subject=change.run_id,
        at=change.entered_at,
        data=change,
        name=change.dataset,
        state=change.stage,
        color=_color(change),
        facts=facts,
        link=f"#/runs/{change.run_id}",
        action=OPEN,
        decide=change.approval_url,
    )


def _color(change: StageChange) -> str:
    if change.error is not None:
        return "attention"
    if change.promotion is not None and not change.promotion.promoted:
        return "warning"
    return "good" if change.stage is Stage.LIVE else "default"


def ignored_message(upload: IgnoredUpload) -> Message:
    """Tell of an upload that opens no run."""
    detail, remedy = explain(upload.path, upload.reason)
    return Message(
        kind=UPLOAD_IGNORED,
        subject=upload.path,
        at=upload.noticed,
        data=IgnoredUploadData(
            path=upload.path,
            etag=upload.etag,
            size=upload.size,
            reason=upload.reason,
            detail=detail,
            remedy=remedy,
            noticed_at=upload.noticed,
        ),
        name=upload.path,
        state="ignored",
        color="attention",
        facts={"Upload": upload.path, "Reason": detail, "Remedy": remedy},
        link="#/",
        action=OPEN_UPLOADS,
    )


def render(
    message: Message, id: str, form: str, source: str, dashboard: str | None = None
) -> tuple[str, bytes]:
    """Format a message for the receiver.

    Args:
        message: What is told.
        id: The event's id.
        form: `cloudevents`, `teams` or `slack`.
        source: The event's source, as a URI reference: the workspace.
        dashboard: Address of the page for people, to which messages link.

    Returns:
        Content type and body.
    """
    link = f"{dashboard.rstrip('/')}{message.link}" if dashboard is not None else None
    if form == "teams":
        return JSON, msgspec.json.encode(_teams(message, link))
    if form == "slack":
        return JSON, msgspec.json.encode({"text": _slack(message, link)})
    event = {
        "specversion": "1.0",
        "id": id,
        "source": source,
        "type": message.kind,
        "subject": message.subject,
        "time": message.at,
        "datacontenttype": "application/json",
        "data": message.data,
    }
    return CLOUD_EVENT, msgspec.json.encode(event)


def _teams(message: Message, link: str | None) -> dict[str, Any]:
    """A card of text runs: unlike text blocks and facts, they are not read as Markdown."""
    title = {"text": f"{message.name} is {message.state}", "weight": "bolder", "size": "medium"}
    body = [_text_runs({**title, "color": message.color})]
    for name, value in message.facts.items():
        body.append(_text_runs({"text": f"{name}: ", "weight": "bolder"}, {"text": value}))
    links = {message.action: link} | {DECIDE: message.decide}
    actions = [
        {"type": "Action.OpenUrl", "title": title, "url": url}
        for title, url in links.items()
        if url is not None
    ]
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": body,
    }
    if actions:
        card["actions"] = actions
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "content": card}
    return {"type": "message", "attachments": [attachment]}


def _text_runs(*runs: dict[str, str]) -> dict[str, Any]:
    return {"type": "RichTextBlock", "inlines": [{"type": "TextRun", **run} for run in runs]}


def _slack(message: Message, link: str | None) -> str:
    lines = [f"*{_escape(message.name)}* is *{message.state}*"]
    told = [(name, value) for name, value in message.facts.items() if value != message.name]
    lines += [f"{name}: {_escape(value)}" for name, value in told]
    if link is not None:
        lines.append(f"<{_escape(link)}|{message.action}>")
    if message.decide is not None:
        lines.append(f"<{_escape(message.decide)}|{DECIDE}>")
    return "\n".join(lines)


def _escape(text: str) -> str:
    """Slack's own three escapes: nothing in a dataset's name or an error may call people or make links."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
