"""The attempts to serve a run's model: one strategy after the other, each once, until one works."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated

import msgspec

from shared.domain.serving.record import Route, StrategyName


class FailedAttempt(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A strategy that did not serve.

    Attributes:
        at: When it was given up (UTC).
        removed: Whether its deployment is known to be gone.
    """

    strategy: StrategyName
    code: str
    message: str
    at: Annotated[datetime, msgspec.Meta(tz=True)]
    removed: bool = False


class ServingProgress(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far the search for a working strategy is.

    Attributes:
        order: The strategies to try, settled before the first attempt.
        failed: Those that did not work, in that order: the next one is being tried.
        began: When this search began (UTC); None on older records.
        earlier: Attempts of searches before this one, since the run was last to be deployed.
        route: What the smoke test of the present attempt found to work.
    """

    order: Annotated[tuple[StrategyName, ...], msgspec.Meta(min_length=1)]
    failed: tuple[FailedAttempt, ...] = ()
    began: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    earlier: int = 0
    route: Route | None = None

    @property
    def current(self) -> StrategyName | None:
        """The strategy being tried, or None if all have failed."""
        return self.order[len(self.failed)] if len(self.failed) < len(self.order) else None

    @property
    def removing(self) -> bool:
        """Whether the deployment of the last failed attempt has yet to go before the next one begins."""
        return bool(self.failed) and not self.failed[-1].removed

    def after_failure(self, code: str, message: str, now: datetime) -> ServingProgress:
        """The progress once the present attempt has failed."""
        assert self.current is not None, "there is no attempt to fail"
        attempt = FailedAttempt(strategy=self.current, code=code, message=message, at=now)
        return msgspec.structs.replace(self, failed=(*self.failed, attempt), route=None)

    def after_removal(self) -> ServingProgress:
        """The progress once the failed attempt's deployment is gone."""
        *earlier, last = self.failed
        return msgspec.structs.replace(self, failed=(*earlier, msgspec.structs.replace(last, removed=True)))

    def explain_failures(self) -> str:
        """One sentence that names every strategy and why it failed."""
        reasons = "; ".join(f"{one.strategy}: {one.message}" for one in self.failed)
        return f"no way of serving the model worked: {reasons}"


def concerns_every_strategy(code: str, message: str) -> bool:
    """Whether a failure has nothing to do with how the model is served, so that no other way would help."""
    return code in _ANY_STRATEGY or is_out_of_capacity(code, message)


def is_out_of_capacity(code: str, message: str) -> bool:
    """Whether a refusal or a failure is for want of quota or of machines: another VM size may be had."""
    return code in _CAPACITY or (code not in _OF_THE_CONTAINER and bool(_SCARCE.search(message)))


_SCARCE = re.compile(
    r"quota|out of capacity|(?:insufficient|not enough|lack of|no) (?:[\w ]+ )?capacity",
    re.IGNORECASE,
)
"""Azure ML's words. A GPU's "total capacity" in a container's own error is something else."""

_OF_THE_CONTAINER = frozenset({"ModelError", "InvalidResponse", "EmptyReply", "ModelNotServable"})

_CAPACITY = frozenset({"OutOfQuota", "OutOfCapacity", "ClusterCoreQuotaReached", "SkuNotAvailable"})

_ANY_STRATEGY = frozenset(
    {
        "AuthorizationFailed",
        "Forbidden",
        "HTTP401",
        "HTTP403",
        "EndpointUnauthorized",
        "EndpointForbidden",
        "PayloadTooLarge",
    }
)
