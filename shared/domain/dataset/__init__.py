"""The dataset gate: checks what people upload, says everything that is wrong with it, writes the pinned copy.

Pure: bytes come in as iterables and leave through callables.
"""

from .codes import Code
from .gate import DatasetFile, check_dataset
from .report import DatasetReport, Issue, SmokeSample, Verdict
from .report_html import report_html
from .rules import GateRules, RowPolicy, Split

__all__ = [
    "Code",
    "DatasetFile",
    "DatasetReport",
    "GateRules",
    "Issue",
    "RowPolicy",
    "SmokeSample",
    "Split",
    "Verdict",
    "check_dataset",
    "report_html",
]
