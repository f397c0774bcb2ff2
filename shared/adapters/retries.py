"""Limit the SDKs' own retries to a few, without long delays.

Lasting faults are the run's own backoff (`shared.domain.backoff`): an invocation that sleeps costs money,
holds its run's lease, and is forgotten when its process dies. Left alone, azure-storage sleeps 15 s before
its first repeat, and azure-core as long as any `Retry-After` says.
"""

from __future__ import annotations

from typing import Any

from azure.storage.blob import LinearRetry

from shared.adapters.http.transport import LONGEST_SLEEP_SECONDS

CALL_RETRIES: dict[str, Any] = {
    "retry_total": 2,
    # An answer is an answer: what it says about when to ask again is heeded by the run's backoff.
    "retry_status": 0,
    "retry_backoff_factor": 0.2,
    "retry_backoff_max": 2,
}
"""For pipelines of azure-core: two repeats after a broken connection, within a second."""

CALL_LIMITS: dict[str, Any] = {
    **CALL_RETRIES,
    "connection_timeout": 10,
    # The SDK's own default for a read is five minutes.
    "read_timeout": 60,
    "timeout": 120,
}
"""The same with deadlines, seconds: to connect, for an answer's next bytes, for a call with its repeats."""

TOKEN_RETRIES: dict[str, Any] = {
    "retry_total": 3,
    "retry_backoff_factor": 0.2,
    "retry_backoff_max": LONGEST_SLEEP_SECONDS,
}
"""For azure-identity, along with `BriefTransport`: the token service of a host that has just started may need
a moment, so that its answers are repeated too."""


def storage_retries() -> LinearRetry:
    """Two repeats of a storage call, each within two seconds; one such object a client."""
    return LinearRetry(backoff=1, random_jitter_range=1, retry_total=2)
