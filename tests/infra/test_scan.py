"""`tools/scan_infra.py` lets no finding pass, and no scan that has read too little."""

from typing import Any

import pytest

from tools.scan_infra import faults

CLEAN: dict[str, Any] = {
    "summary": {"parsing_errors": 0, "resource_count": 112, "passed": 26},
    "results": {"failed_checks": []},
}
FINDING = {
    "file_path": "/a.bicep",
    "resource": "some.vault",
    "check_name": "Purge protection",
    "check_id": "CKV_AZURE_110",
}


def test_a_clean_report_passes() -> None:
    """Everything read, nothing found."""
    assert faults(CLEAN) == []


@pytest.mark.parametrize(
    ("report", "said"),
    [
        ({**CLEAN, "results": {"failed_checks": [FINDING]}}, "/a.bicep: some.vault: Purge protection"),
        ({**CLEAN, "summary": {**CLEAN["summary"], "parsing_errors": 1}}, "1 files could not be parsed"),
        ({**CLEAN, "summary": {**CLEAN["summary"], "resource_count": 19}}, "resource_count is 19"),
        ({**CLEAN, "summary": {**CLEAN["summary"], "passed": 0}}, "passed is 0"),
        ({"parsing_errors": 0, "resource_count": 0, "passed": 0}, "resource_count is 0"),
    ],
    ids=["finding", "unparsed file", "few resources", "no checks", "nothing read"],
)
def test_other_reports_do_not(report: dict[str, Any], said: str) -> None:
    """A finding fails, and so does a file that was left out."""
    assert any(said in problem for problem in faults(report))
