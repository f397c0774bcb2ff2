"""Watching a run, look by look, until it is where one waits for."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator

from finetune.client.client import Client
from finetune.client.errors import AppError, RefusedError
from finetune.client.types import AT_REST, Run

LOOK_SECONDS = 2.0
PATIENCE_SECONDS = 120.0
"""For an app that does not answer, and for a run that is to appear."""


def went_live(run: Run) -> bool:
    """Whether the run's endpoint has been live, even if it is gone again by now."""
    return any(entry.stage == "live" for entry in run.history)


def arrived_live(run: Run) -> bool:
    """Whether the run is live now."""
    return run.stage == "live"


def reason_of(run: Run) -> str | None:
    """Why a run is where it is, in a sentence, if there is a reason."""
    if run.error is not None:
        return f"{run.error.code}: {run.error.message}"
    if run.duplicate_of is not None:
        told = run.end_reason or f"run {run.duplicate_of} has the same data and options"
        return f"{told}; upload with --force to train again"
    return "requested" if run.end_reason == "canceled" else run.end_reason


def follow(
    client: Client,
    run_id: str,
    *,
    until: Callable[[Run], bool] = went_live,
    ends: Collection[str] = AT_REST,
    appears: bool = False,
    every_seconds: float = LOOK_SECONDS,
    patience_seconds: float = PATIENCE_SECONDS,
    trouble: Callable[[AppError], object] = lambda _: None,
) -> Iterator[Run]:
    """Look at a run again and again; the last look is the one at which `until` holds or the run has ended.

    Args:
        client: The app.
        run_id: The run.
        until: Where to stop besides.
        ends: Stages in which nothing more is waited for; a stopped run that is deleted goes on.
        appears: Whether the run may not be there yet, since its file has just been uploaded.
        every_seconds: Time between two looks.
        patience_seconds: How long an app that fails, or a run that does not appear, is asked again.
        trouble: Told at once of each new reason for asking again.

    Raises:
        AppError: The app refuses, or goes on failing.
    """
    silent_since = time.monotonic()
    told = ""
    while True:
        try:
            run = client.run(run_id)
        except AppError as error:
            missing = appears and isinstance(error, RefusedError) and error.status == 404
            if not (missing or error.retryable) or time.monotonic() - silent_since > patience_seconds:
                raise
            if not missing and str(error) != told:
                told = str(error)
                trouble(error)
        else:
            appears, told, silent_since = False, "", time.monotonic()
            yield run
            if until(run) or run.stage in ends:
                return
        time.sleep(every_seconds)
