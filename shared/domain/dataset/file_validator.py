"""Validates each line of one file, and each row that it holds."""

import re
from collections import Counter
from typing import NamedTuple

import xxhash

from .codes import Code
from .content import FileFaultError
from .conversation import Conversation, Repairs, RowReader, decode_messages, encode_messages
from .duplicates import SeenConversations
from .explain_line import explain_line
from .issue_log import IssueLog
from .lines import LongLine
from .naming import quoted
from .rules import Split, ValidationRules
from .sensitive_rows import screen_row
from .sensitive_scan import SensitiveScanner
from .splitting import Write
from .statistics import Statistics
from .tokens import estimate_tokens, likely_tokens, may_exceed, may_truncate_answers, truncates_answers
from .values import MOST_VALUES, has_too_many_values

_SPACE = b" \t\r"  # what JSON calls white space, less the newline
_BOMS = re.compile(rb"(?:\xef\xbb\xbf)+")  # each file that was written to the end of another may have one
_FLAGS = {Split.TRAIN: 1, Split.VALIDATION: 2, Split.TEST: 4}
_MOST_LEFT_OUT = 256  # combinations of keys that are told apart

_LEFT_OUT = (Code.EXTRA_KEYS, Code.EXTRA_MESSAGE_KEYS)
_REPAIR_MESSAGES = {
    Code.EXTRA_KEYS: "left out {keys}",
    Code.EXTRA_MESSAGE_KEYS: "left out {keys} of the messages",
    Code.DEVELOPER_ROLE: '"developer" is the newer name of "system"',
    Code.PARTS_JOINED: "joined the parts of a text",
    Code.ROLE_RENAMED: "roles became system, user and assistant",
}


class SharedState:
    """What the rows of all files share: the log, the statistics and the digests of earlier rows."""

    def __init__(
        self,
        rules: ValidationRules,
        log: IssueLog,
        statistics: Statistics,
        scanner: SensitiveScanner | None = None,
    ) -> None:
        self.rules = rules
        self.scanner = scanner
        self.log = log
        self.statistics = statistics
        self.seen = SeenConversations()
        self.reader = RowReader(rules)
        self.left_out: Counter[tuple[str, ...]] = Counter()

    def leave_out(self, keys: tuple[str, ...], rows: int = 1) -> None:
        """Count rows some of whose keys, or of their messages' keys, are not in the snapshot."""
        left_out = self.left_out
        if keys in left_out:
            left_out[keys] += rows
        elif len(left_out) < _MOST_LEFT_OUT:
            left_out[keys] = rows


class FileState(NamedTuple):
    """How far a file was read, to be written down; `position` counts bytes of its content."""

    position: int = 0
    number: int = 0
    rows: int = 0
    kept: int = 0
    blank_lines: int = 0


class FileValidator:
    """Takes one file's lines in order."""

    def __init__(
        self, name: str, split: Split, shared: SharedState, accept_row: Write, state: FileState
    ) -> None:
        """Set up for one file.

        Args:
            name: The file's name, for the issues.
            split: What it was uploaded as.
            shared: What outlives the file.
            accept_row: Takes each row that can be trained on.
            state: Where to go on.
        """
        self._name = name
        self._flag = _FLAGS[split]
        self._shared = shared
        self._log = shared.log
        self._accept_row = accept_row
        self._window = shared.rules.context_window
        self._reader = shared.reader
        self._read = shared.reader.read_clean  # the way that read the line before
        self._scanner = shared.scanner
        self._is_suspect = False  # whether the line at hand may hold what is sensitive
        self._usual_repairs: Repairs | None = None  # of the row before; counted once the lines are through
        self._usual_count = 0
        self.position, self.number, self.rows, self.kept, self._blank_lines = state

    @property
    def state(self) -> FileState:
        """Where to go on."""
        return FileState(self.position, self.number, self.rows, self.kept, self._blank_lines)

    def validate_lines(self, lines: list[bytes]) -> None:
        """Check the next lines, each with its newline.

        Raises:
            FileFaultError: There are too many blank lines to go on.
        """
        self.position += sum(map(len, lines))
        if len(lines) == 1 and has_too_many_values(lines[0]):  # a line so long comes alone
            self._skip_line(Code.TOO_MANY_VALUES, f"the line has more than {MOST_VALUES:,} values")
            return
        suspects = self._scanner.suspects(lines) if self._scanner is not None else None
        try:
            if suspects:
                for place, line in enumerate(lines):
                    self._is_suspect = self._reader.may_have_escapes = place in suspects
                    self._validate_lines([line])
            else:
                self._is_suspect, self._reader.may_have_escapes = False, suspects is None
                self._validate_lines(lines)
        finally:
            self._count_usual_repairs()

    def _validate_lines(self, lines: list[bytes]) -> None:
        read, accept = self._read, self._accept
        for line in lines:
            self.number += 1
            conversation = read(line)
            if conversation is None:
                self._read_unclean(line)
                read = self._read
            else:
                accept(conversation, line)

    def skip_long_line(self, line: LongLine) -> None:
        """Report a line that is too long to be read."""
        self.position += line.length + 1
        limit = self._shared.rules.max_line_bytes
        self._skip_line(Code.LINE_TOO_LONG, f"the line has {line.length:,} bytes; {limit:,} are allowed")

    def _skip_line(self, code: Code, message: str) -> None:
        self.number += 1
        self.rows += 1
        self._issue(code, message)

    def _read_unclean(self, line: bytes) -> None:
        """Repair what surrounds the row, then read it in any layout, or say what is wrong with it."""
        text = line
        if text.endswith(b"\n"):
            text = text[:-1]
        else:
            self._issue(Code.NO_FINAL_NEWLINE, "the last line has no newline at its end")
        start = 0
        if boms := _BOMS.match(text):
            what = "file" if self.number == 1 else "line"
            self._issue(Code.BOM_REMOVED, f"the {what} begins with a byte order mark")
            start = boms.end()
            text = text[start:]
        if text.endswith(b"\r") and line.endswith(b"\n"):
            if not self._log.count(Code.CRLF):
                self._issue(Code.CRLF, "the line ends with CR LF")
            text = text[:-1]
        row = text.lstrip(_SPACE)
        start += len(text) - len(row)
        row = row.rstrip(_SPACE)
        if not row:
            self._blank_line()
            return
        if len(row) != len(text):
            self._issue(Code.SURROUNDING_SPACE, "white space before or after the object")
        conversation = self._read_row(row, line)
        if conversation is None:
            conversation = self._explain(row, before=line[:start])
        if conversation is None:
            self.rows += 1
        else:
            self._accept(conversation, row)

    def _read_row(self, row: bytes, line: bytes) -> Conversation | None:
        text = row + b"\n"
        ways = [self._reader.read_clean, self._reader.read]
        if self._read == ways[1]:
            ways.reverse()
        if text == line:  # the first way was tried
            del ways[0]
        for read in ways:
            conversation = read(text)
            if conversation is not None:
                self._read = read
                return conversation
        return None

    def _explain(self, text: bytes, before: bytes) -> Conversation | None:
        explanation = explain_line(text, self._reader, before)
        for code, message in explanation.findings:
            self._issue(code, message, b"" if code.is_repair else text)
        if not explanation.messages:
            return None
        for keys in (explanation.left_out, explanation.left_out_of_messages):
            if keys:
                self._shared.leave_out(keys)
        return encode_messages(explanation.messages), len(explanation.messages), ()

    def _accept(self, conversation: Conversation, line: bytes) -> None:
        """Count a row that can be trained on and write it."""
        encoded, turns, repairs = conversation
        self.rows += 1
        if self._is_suspect and self._scanner is not None:
            encoded, findings = screen_row(encoded, self._scanner, self._shared.rules)
            for code, message in findings:
                self._issue(code, message, b"" if code.is_repair else line)
            if any(code.is_error for code, _ in findings):
                return
        if repairs is self._usual_repairs:
            self._usual_count += 1
        elif repairs:
            self._note_repairs(repairs)
        tokens = estimate_tokens(encoded, turns)
        safe = True
        if len(encoded) > self._window and may_exceed(encoded, tokens, self._window):
            tokens, safe = self._measure(encoded, tokens, line)
            if not tokens:
                return
        digest = xxhash.xxh3_64_intdigest(encoded)
        before = self._shared.seen.add(digest, self._flag)
        if before:
            self._note_duplicate(before, line)
        self.kept += 1
        self._shared.statistics.add(turns, tokens)
        self._accept_row(digest, encoded, safe)

    def _note_repairs(self, repairs: Repairs) -> None:
        """Count what was repaired; what most rows have is only counted once its codes' lists are full."""
        self._count_usual_repairs()
        listed = False
        for code, keys in repairs:
            if code in _LEFT_OUT:
                self._shared.leave_out(keys)
            if not self._log.count(code):
                listed = True
                message = _REPAIR_MESSAGES.get(code, "read from {keys}")
                self._issue(code, message.replace("{keys}", quoted(keys)))
        self._usual_repairs = None if listed else repairs

    def _count_usual_repairs(self) -> None:
        times, self._usual_count = self._usual_count, 0
        for code, keys in self._usual_repairs or ():
            if times and code in _LEFT_OUT:
                self._shared.leave_out(keys, times)
            self._log.count(code, times)

    def _measure(self, encoded: bytes, tokens: int, line: bytes) -> tuple[int, bool]:
        """Estimate the tokens of a row that may be too long.

        Returns:
            Its tokens, 0 if no answer is left once the trainer has truncated it; and whether it is sure to
            be kept.
        """
        window = self._window
        messages = decode_messages(encoded)
        if truncates_answers(messages, window):
            message = f"the first answer begins after token {window:,}, where the trainer truncates"
            self._issue(Code.NOTHING_LEFT_TO_LEARN, message, line)
            return 0, False
        safe = not may_truncate_answers(messages, window)
        if not safe:
            message = f"the first answer may begin after token {window:,}; the trainer would drop the row"
            self._issue(Code.MAY_BE_LOST, message, line)
        tokens = likely_tokens(messages, tokens)
        if tokens > window:
            self._issue(Code.TRUNCATED, f"about {tokens:,} tokens; the trainer truncates at {window:,}", line)
        return tokens, safe

    def _note_duplicate(self, before: int, line: bytes) -> None:
        if before & self._flag and not self._log.count(Code.DUPLICATE_ROW):
            self._issue(Code.DUPLICATE_ROW, "the same conversation occurs earlier in this file", line)
        others = before & ~self._flag
        if others and not self._log.count(Code.LEAKED_ROW):
            names = " and ".join(split.value for split, flag in _FLAGS.items() if others & flag)
            message = f"the same conversation is in {names}: the evaluation would be too favourable"
            self._issue(Code.LEAKED_ROW, message, line)

    def _blank_line(self) -> None:
        self._blank_lines += 1
        limit = self._shared.rules.max_blank_lines
        if self._blank_lines > limit:
            raise FileFaultError(Code.TOO_MANY_BLANK_LINES, f"the file has more than {limit:,} blank lines")
        if not self._log.count(Code.BLANK_LINE):
            self._issue(Code.BLANK_LINE, "left out a blank line")

    def _issue(self, code: Code, message: str, text: bytes = b"") -> None:
        self._log.add(code, message, file=self._name, line=self.number, text=text)
