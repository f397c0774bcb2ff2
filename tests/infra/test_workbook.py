"""The workbook shows the metrics that the app emits: all of them, and no others."""

from __future__ import annotations

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_workbook_and_the_app_know_the_same_metrics() -> None:
    """A metric that nobody sees, or a chart of nothing, is a slip."""
    emitted = set(re.findall(r'"(finetune\.[a-z.]+)"', (ROOT / "shared/adapters/telemetry.py").read_text()))
    shown = set(re.findall(r"finetune\.[a-z.]+", (ROOT / "infra/workbook.json").read_text()))
    assert shown == emitted


def test_every_query_of_the_workbook_follows_its_time_parameter() -> None:
    """Charts of different times on one page mislead."""
    items = json.loads((ROOT / "infra/workbook.json").read_text())["items"]
    queries = [item for item in items if item["type"] == 3]
    assert queries
    assert {item["content"]["timeContextFromParameter"] for item in queries} == {"TimeRange"}
    assert len({item["name"] for item in items}) == len(items)
