"""docs/reliability.md speaks of tests and faults that exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "reliability.md").read_text()


def test_every_test_that_is_named_exists() -> None:
    """Each `tests/file.py::name` is a function of that file."""
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", TEXT)
    assert len(named) > 15
    for file, function in named:
        assert f"def {function}" in (ROOT / file).read_text(), f"{file}::{function}"


def test_every_setting_that_is_named_exists() -> None:
    """In the example of all settings."""
    example = (ROOT / "local.settings.json.example").read_text()
    for setting in re.findall(r"`([A-Z]+(?:_[A-Z]+)+)`", TEXT):
        assert f'"{setting}"' in example, setting
