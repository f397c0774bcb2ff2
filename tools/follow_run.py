"""Watching a run over HTTP, stage by stage, until it is live or over."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import httpx

# Where nothing more happens; a run that is live goes on living without us.
_OVER = frozenset(("live", "stopped", "deleted", "rejected", "duplicate", "failed", "canceled"))
PATIENCE_SECONDS = 120.0
"""For the run to appear, and for an app that does not answer."""


class FollowError(Exception):
    """The run cannot be watched."""

    retryable = True


class StageEntry(NamedTuple):
    """A stage that a run has entered; `at` is ISO 8601, UTC."""

    stage: str
    at: str


class Outcome(NamedTuple):
    """Where a run ended up, and why it went no further."""

    stage: str
    went_live: bool
    reason: str | None


def follow_run(
    functions_url: str,
    function_key: str,
    run_id: str,
    entered: Callable[[StageEntry], object],
    *,
    every_seconds: float = 2.0,
    verify: str | bool = True,
) -> Outcome:
    """Report each stage as it is entered.

    Args:
        functions_url: Where the function app answers, e.g. `https://app.azurewebsites.net`.
        function_key: A function or host key of it.
        run_id: The run.
        entered: Told of each stage, in order, once.
        every_seconds: Time between two looks.
        verify: As httpx takes it: a bundle of certificates, or whether to check them at all.

    Returns:
        The outcome, as soon as the run is live or over.

    Raises:
        FollowError: The key is refused, the run does not appear, or the app stops answering.
    """
    told = 0
    for run in _looks(f"{functions_url.rstrip('/')}/api/runs/{run_id}", function_key, every_seconds, verify):
        history = [StageEntry(entry["stage"], entry["at"]) for entry in run["history"]]
        for entry in history[told:]:
            entered(entry)
        told = len(history)
        went_live = any(entry.stage == "live" for entry in history)
        if run["stage"] in _OVER or went_live:
            return Outcome(run["stage"], went_live, _reason(run))
    raise FollowError(f"run {run_id} cannot be watched any longer")


def _reason(run: dict[str, Any]) -> str | None:
    if error := run.get("error"):
        return f"{error['code']}: {error['message']}"
    if earlier := run.get("duplicate_of"):
        return f"run {earlier} has the same data and options; upload with --force to train again"
    because: str | None = run.get("end_reason")
    return "somebody asked for it" if because == "canceled" else because


def _run_in(answer: httpx.Response) -> dict[str, Any]:
    try:
        run = answer.json()
    except ValueError:
        run = None
    if not (isinstance(run, dict) and "stage" in run and "history" in run):
        raise FollowError(f"{answer.url} does not answer as the function app; is --functions-url right?")
    return run


def _looks(url: str, key: str, every_seconds: float, verify: str | bool) -> Iterator[dict[str, Any]]:
    """Fetch the run again and again; give up only after a while without any answer."""
    silent_since = time.monotonic()
    with httpx.Client(headers={"x-functions-key": key}, timeout=30, verify=verify) as client:
        while True:
            fault = None
            try:
                answer = client.get(url)
                if answer.status_code in (401, 403):
                    raise FollowError(f"the function app refuses the key: {answer.status_code}")
                if answer.status_code == 200:
                    silent_since = time.monotonic()
                    yield _run_in(answer)
                else:
                    fault = f"it answers {answer.status_code}"
            except httpx.HTTPError as error:
                fault = str(error) or type(error).__name__
            if fault and time.monotonic() - silent_since > PATIENCE_SECONDS:
                raise FollowError(f"nothing about the run at {url} for {PATIENCE_SECONDS:.0f} s: {fault}")
            time.sleep(every_seconds)
