"""Dataset validation: checks uploaded files, reports every fault, writes training's snapshot.

Pure: bytes come in as iterables and leave through callables.
"""

from .codes import Code
from .report import DatasetReport, Issue, SmokeSample, Verdict
from .report_html import report_html
from .rules import RowPolicy, Split, ValidationRules
from .validator import DatasetFile, validate_files

__all__ = [
    "Code",
    "DatasetFile",
    "DatasetReport",
    "Issue",
    "RowPolicy",
    "SmokeSample",
    "Split",
    "ValidationRules",
    "Verdict",
    "report_html",
    "validate_files",
]
