"""``live_results.json``: when each conformance test last succeeded on the real service."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TypedDict

COMMITTED = Path(__file__).parent / "live_results.json"
LIVE, RESULTS = "AZUREML_LIVE", "AZUREML_LIVE_RESULTS"


class Result(TypedDict):
    """A test's last success, and the emulator's names of the operations that the test called."""

    date: str
    operations: list[str]


def is_live() -> bool:
    """Whether the tests are pointed at a workspace that is not an emulator's of their own."""
    return os.environ.get(LIVE) == "1"


def read(path: Path = COMMITTED) -> dict[str, Result]:
    """Results by the name of the test."""
    results: dict[str, Result] = json.loads(path.read_text()) if path.exists() else {}
    return results


def note_success(test: str, operations: list[str], *, azure: bool) -> None:
    """Writes today's date for a test.

    The committed file takes successes on Azure alone; ``AZUREML_LIVE_RESULTS`` names another file, for
    all of them.
    """
    given = os.environ.get(RESULTS)
    if not is_live() or not (azure or given):
        return
    path = Path(given) if given else COMMITTED
    results = {**read(path), test: Result(date=datetime.now(UTC).date().isoformat(), operations=operations)}
    path.write_text(json.dumps(dict(sorted(results.items())), indent=1) + "\n")
