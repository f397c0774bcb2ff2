"""A person's yes or no to a candidate: the signed link that asks for it, and the answer on the record.

The link is signed with a key that only the run's record has. It is good for one answer, for three days, and
while the candidate is live; nobody's answer is a no, since the candidate's lifetime ends. Opening the link
changes nothing: programs that look for malware follow links in mails and chats.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from shared.domain.run.names import is_run_id
from shared.domain.run.run import Run
from shared.domain.run.stages import Stage

LIFETIME = timedelta(hours=72)
"""How long a link is good for: over a weekend."""

PATH = "approvals/"
"""Of the page, beside the dashboard's."""


class Token(NamedTuple):
    """What a link says, be it true or not."""

    run_id: str
    expires: datetime
    signature: str


def approval_token(run: Run) -> str | None:
    """The link's token, or None unless the run waits for an answer."""
    promotion = run.promotion
    if promotion is None or not promotion.waits or promotion.key is None or run.stage is not Stage.LIVE:
        return None
    expires = promotion.at + LIFETIME
    seconds = int(expires.timestamp())
    return f"{run.run_id}.{seconds}.{_signature(promotion.key, run.run_id, seconds)}"


def approval_url(run: Run, dashboard: str | None) -> str | None:
    """The whole link, where the address of the page is known."""
    token = approval_token(run)
    if token is None or dashboard is None or not dashboard.rstrip("/").endswith("/dashboard"):
        return None
    return f"{dashboard.rstrip('/').removesuffix('dashboard')}{PATH}{token}"


def read_token(text: str) -> Token | None:
    """Take a token apart; None for what no link has."""
    run_id, _, rest = text.partition(".")
    seconds, _, signature = rest.partition(".")
    if not (is_run_id(run_id) and signature and seconds.isascii() and seconds.isdigit()) or len(seconds) > 11:
        return None
    return Token(run_id, datetime.fromtimestamp(int(seconds), UTC), signature)


def is_genuine(token: Token, run: Run) -> bool:
    """Whether the app made the token for this run."""
    if run.promotion is None or run.promotion.key is None:
        return False
    expected = _signature(run.promotion.key, token.run_id, int(token.expires.timestamp()))
    # Bytes: of texts, those that are not ASCII cannot be compared.
    return hmac.compare_digest(expected.encode(), token.signature.encode("utf-8", "surrogatepass"))


def _signature(key: str, run_id: str, seconds: int) -> str:
    digest = hmac.new(key.encode(), f"{run_id}.{seconds}".encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
