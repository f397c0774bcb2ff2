"""Rows of every layout with something else in place of each part: findings, never an exception."""

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

from shared.domain.dataset import RowPolicy, Split, ValidationRules
from shared.domain.dataset.layouts import LAYOUTS
from tests.dataset.checking import check_lines, good_rows
from tests.dataset.test_kinds import CHOSEN, REFUSED
from tests.dataset.test_tool_text import DIALECTS

_STRICT = ValidationRules(min_evaluation_rows=1)
_ASKED = ValidationRules(
    min_evaluation_rows=1,
    row_policy=RowPolicy.DROP,
    preference="use_chosen",
    tools="as_text",
    pretemplated="strip",
    mask="split",
    sensitive_data="mask",
    contact_data="mask",
)
ROWS = [
    *(layout.example for layout in LAYOUTS),
    *DIALECTS.values(),
    *CHOSEN,
    *(row for _, rows in REFUSED.values() for row in rows),
]
_INSTEAD: tuple[Any, ...] = (None, 3, True, "x", "\ud83d", [], {}, [[]], [{}], {"type": []}, [{"text": {}}])


def _mutations(value: Any) -> Iterator[Any]:
    """The value with each of its parts replaced by something else, or taken away."""
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            less = copy.copy(value)
            del less[key]
            yield less
            for part in (*_INSTEAD, *_mutations(value[key])):
                changed = copy.copy(value)
                changed[key] = part
                yield changed


@pytest.mark.parametrize("rules", [_STRICT, _ASKED], ids=["strict", "all that may be asked for"])
def test_no_row_is_beyond_reading(rules: ValidationRules) -> None:
    """Each is read; what is kept has texts and known roles, and nothing else."""
    rows = [mutated for row in ROWS for mutated in _mutations(row)]
    assert len(rows) > 5_000
    checked = check_lines([*good_rows(30), *(json.dumps(row).encode() for row in rows)], rules)
    assert checked.report.rows == 30 + len(rows)
    for split in Split:
        for row in checked.rows(split):
            assert all(turn.keys() == {"content", "role"} for turn in row["messages"])
            assert all(isinstance(turn["content"], str) for turn in row["messages"])
