"""Dataset validation: checks uploaded files, reports every fault, writes training's snapshot.

Pure: bytes come in as iterables and leave through callables.
"""

from .checkpoint import Checkpoint, read_checkpoint, resumes_at
from .codes import Code
from .report import DatasetReport, Issue, SmokeSample, Verdict
from .report_html import report_html
from .rules import RowPolicy, Split, ValidationRules
from .snapshot import NoSink, Sink
from .validator import DatasetFile, Validator, validate_files

__all__ = [
    "Checkpoint",
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
