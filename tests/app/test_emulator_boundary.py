"""The app's tests and benchmarks use the Azure ML emulator through what its package exports."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
INSIDE = re.compile(r"^\s*(?:from|import) azureml_emulator\.\w|\b_state\.\w", re.MULTILINE)


def test_nothing_reaches_inside_the_emulator() -> None:
    """import-linter checks the same of packages; tests and benchmarks are not among them."""
    files = [path for folder in ("tests", "bench") for path in (ROOT / folder).rglob("*.py")]
    assert [path for path in files if path != Path(__file__) and INSIDE.search(path.read_text())] == []
