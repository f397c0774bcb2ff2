"""Notifications of stage changes and of ignored uploads: what is queued, when it is delivered, how signed.

A notification names one entry of a run's history, or one ignored upload. It is queued before the entry is
written and delivered after, so that every entry is delivered; a notification without an entry is dropped.
The same entry may be delivered twice, always under the same id.

Source: Standard Webhooks 1.0 (standardwebhooks.com) for signatures.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from datetime import datetime, timedelta
from typing import Annotated

import msgspec
from msgspec import Meta

from shared.domain.evaluation.record import Comparison
from shared.domain.run.approval import approval_url
from shared.domain.run.parts import Failure, StageEntry
from shared.domain.run.run import Run
from shared.domain.run.stages import Stage

SETTLING = timedelta(seconds=1)
"""Delay before the first delivery: by then the record is written."""

_FIRST_RETRY = timedelta(seconds=30)
_LONGEST_RETRY = timedelta(hours=1)
ATTEMPTS = 30
"""With these delays, how many deliveries are attempted: for a day."""

ATTEMPTS_WITHOUT_RECORD = 6
"""How often an entry is looked for that the record does not have: for about half an hour."""


class Notification(msgspec.Struct, frozen=True, kw_only=True, tag="stage"):
    """One entry of a run's history that is to be told, and how often that was tried."""

    run_id: str
    index: Annotated[int, Meta(ge=0)]
    attempt: Annotated[int, Meta(ge=0)] = 0

    @property
    def id(self) -> str:
        """The same for every telling of the same entry."""
        return f"{self.run_id}/{self.index}"

    @property
    def fields(self) -> dict[str, str | int]:
        """What log lines say of it."""
        return {"run_id": self.run_id, "index": self.index}


class IgnoredNotification(msgspec.Struct, frozen=True, kw_only=True, tag="ignored_upload"):
    """An upload that opens no run (`IgnoredUpload.id`), and how often that was tried to be told."""

    upload: Annotated[str, Meta(pattern=r"\A[0-9a-f]{32}\Z")]
    attempt: Annotated[int, Meta(ge=0)] = 0

    @property
    def id(self) -> str:
        """The same for every telling of the same upload."""
        return f"ignored/{self.upload}"

    @property
    def fields(self) -> dict[str, str | int]:
        """What log lines say of it."""
        return {"ignored_upload": self.upload}


class PromotionTold(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the model took its dataset's name; the key that signs links stays on the record."""

    promoted: bool
    why: str
    at: datetime


class StageChange(msgspec.Struct, frozen=True, kw_only=True):
    """What is told: the `data` of a cloud event.

    Attributes:
        previous: The stage before, or None.
        over: Whether nothing comes after this stage.
        reason: Why the run is being taken away, when nothing went wrong.
        error: What went wrong; instead of a service's words, where to read them.
        endpoint: Name of the endpoint, once it is live.
        expires_at: When its time is up (UTC).
        promotion: Whether the model took its dataset's name, once it is live.
        comparison: With the dataset's current model of before, where it was compared.
        approval_url: Where a person says yes or no to it, while the run waits for that.
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
    promotion: PromotionTold | None
    comparison: Comparison | None
    approval_url: str | None


def delay_before(attempt: int, asked: float | None = None) -> timedelta:
    """How long to wait before an attempt: 30 s, doubling, or longer if that was asked for; at most an hour.

    Who asks for less gets it no sooner: the attempts have to last for a day.
    """
    if attempt == 0:
        return SETTLING
    growing = min(_FIRST_RETRY * (1 << min(attempt - 1, 10)), _LONGEST_RETRY)
    return max(growing, timedelta(seconds=min(asked or 0, _LONGEST_RETRY.total_seconds())))


def stage_change(run: Run, index: int, dashboard: str | None = None) -> StageChange:
    """Read one entry of a record's history out.

    Args:
        run: The record.
        index: Of the entry.
        dashboard: Address of the page for people, beside which approvals are asked for.

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
        error=_told(run, error) if error is not None else None,
        endpoint=run.endpoint.name if lives and run.endpoint else None,
        expires_at=run.expires_at if lives else None,
        promotion=_told_promotion(run) if entry.stage is Stage.LIVE else None,
        comparison=run.evaluation.comparison if run.evaluation and entry.stage is Stage.LIVE else None,
        approval_url=approval_url(run, dashboard) if entry.stage is Stage.LIVE else None,
    )


def _told_promotion(run: Run) -> PromotionTold | None:
    if run.promotion is None:
        return None
    return PromotionTold(promoted=run.promotion.promoted, why=run.promotion.why, at=run.promotion.at)


_OWN_WORDS = frozenset(
    {
        *("DeadlineExceeded", "EvalLossMissing", "EvalLossTooHigh", "JobNotFound", "JobCanceled"),
        *("JobNameTaken", "EndpointNameTaken", "EndpointGone", "EndpointLeft", "ClaimContended"),
    }
)
"""Codes of errors whose message is the app's own, of names, times and numbers."""


def _told(run: Run, error: Failure) -> Failure:
    """An error as it is told to whoever reads the webhook's channel: nothing that may quote a row."""
    if error.code in _OWN_WORDS:
        return error
    message = f"GET /api/runs/{run.run_id} has the reason"
    if run.report is not None and error.code == "DatasetRejected":
        counts = ", ".join(f"{code} {count:,} times" for code, count in run.report.counts.items())
        message = f"{counts}: GET /api/runs/{run.run_id}/report has the reason"
    return msgspec.structs.replace(error, message=message)


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
