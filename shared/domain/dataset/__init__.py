"""Dataset validation: checks uploaded files, reports every fault, writes training's snapshot.

Pure: bytes come in as iterables and leave through callables.
"""

from .codes import Code
from .report import DatasetReport, Issue, SmokeSample, Verdict
from .report_html import report_html
from .rules import RowPolicy, Split, ValidationRules
from .snapshot import NoSink, Sink
from .validator import DatasetFile, Validator, read_checkpoint, resumes_at, validate_files

__all__ = [
    "Code",
    "DatasetFile",
    "DatasetReport",
    "Issue",
    "NoSink",
    "RowPolicy",
    "Sink",
    "SmokeSample",
    "Split",
    "ValidationRules",
    "Validator",
    "Verdict",
    "read_checkpoint",
    "report_html",
    "resumes_at",
    "validate_files",
]
