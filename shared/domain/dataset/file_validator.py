"""Validates each line of one file, and each row that it holds."""

from collections.abc import Callable

import xxhash

from .codes import Code
from .content import FileFaultError
from .conversation import Conversation, decode_messages, encode_messages, read_clean_line
from .duplicates import SeenConversations
from .explain_line import BOM, explain_line, quoted
from .issue_log import IssueLog
from .lines import LongLine
from .rules import Split, ValidationRules
from .statistics import Statistics
from .tokens import estimate_tokens, likely_tokens, may_exceed, may_truncate_answers, truncates_answers
from .values import MOST_VALUES, has_too_many_values

_SPACE = b" \t\r"  # what JSON calls white space, less the newline
_FLAGS = {Split.TRAIN: 1, Split.VALIDATION: 2, Split.TEST: 4}


class SharedState:
    """What the rows of all files share: the log, the statistics and the digests of earlier rows."""

    def __init__(self, rules: ValidationRules, log: IssueLog, statistics: Statistics) -> None:
        self.rules = rules
        self.log = log
        self.statistics = statistics
        self.seen = SeenConversations()


class FileValidator:
    """Takes one file's lines in order."""

    def __init__(
        self, name: str, split: Split, shared: SharedState, accept_row: Callable[[int, bytes], None]
    ) -> None:
        """Set up for one file.

        Args:
            name: The file's name, for the issues.
            split: What it was uploaded as.
            shared: What outlives the file.
            accept_row: Takes each row that can be trained on, as the digest of its content and its messages.
        """
        self._name = name
        self._flag = _FLAGS[split]
        self._shared = shared
        self._log = shared.log
        self._accept_row = accept_row
        self._window = shared.rules.context_window
        self._blank_lines = 0
        self.number = 0  # of the line at hand
        self.rows = 0
        self.kept = 0

    def validate_lines(self, lines: list[bytes]) -> None:
        """Check the next lines, each with its newline.

        Raises:
            FileFaultError: There are too many blank lines to go on.
        """
        if len(lines) == 1 and has_too_many_values(lines[0]):  # a line so long comes alone
            self._skip_line(Code.TOO_MANY_VALUES, f"the line has more than {MOST_VALUES:,} values")
            return
        for line in lines:
            self.number += 1
            conversation = read_clean_line(line)
            if conversation is None:
                self._repair_line(line)
            else:
                self._accept(conversation, line)

    def skip_long_line(self, line: LongLine) -> None:
        """Report a line that is too long to be read."""
        limit = self._shared.rules.max_line_bytes
        self._skip_line(Code.LINE_TOO_LONG, f"the line has {line.length:,} bytes; {limit:,} are allowed")

    def _skip_line(self, code: Code, message: str) -> None:
        self.number += 1
        self.rows += 1
        self._issue(code, message)

    def _repair_line(self, line: bytes) -> None:
        """Repair what surrounds the row, then explain whatever else is wrong with it."""
        text = line.removesuffix(b"\n")
        if text is line:
            self._issue(Code.NO_FINAL_NEWLINE, "the last line has no newline at its end")
        if text.startswith(BOM):
            what = "file" if self.number == 1 else "line"
            self._issue(Code.BOM_REMOVED, f"the {what} begins with a byte order mark")
            while text.startswith(BOM):  # each file that was written to the end of another may have one
                text = text[len(BOM) :]
        if text.endswith(b"\r") and line.endswith(b"\n"):
            if not self._log.count(Code.CRLF):
                self._issue(Code.CRLF, "the line ends with CR LF")
            text = text[:-1]
        stripped = text.strip(_SPACE)
        if not stripped:
            self._blank_line()
            return
        if stripped != text:
            self._issue(Code.SURROUNDING_SPACE, "white space before or after the object")
        conversation = read_clean_line(stripped + b"\n") if len(stripped) + 1 < len(line) else None
        if conversation is None:
            conversation = self._explain(stripped, before=line[: line.index(stripped)])
        if conversation is None:
            self.rows += 1
        else:
            self._accept(conversation, stripped)

    def _explain(self, text: bytes, before: bytes) -> Conversation | None:
        explanation = explain_line(text, before)
        for code, message in explanation.findings:
            self._issue(code, message, b"" if code.is_repair else text)
        if not explanation.messages:
            return None
        return Conversation(encode_messages(explanation.messages), len(explanation.messages), ())

    def _accept(self, conversation: Conversation, line: bytes) -> None:
        """Count a row that can be trained on and write it."""
        encoded, turns, extra_keys = conversation
        self.rows += 1
        if extra_keys and not self._log.count(Code.EXTRA_KEYS):
            self._issue(Code.EXTRA_KEYS, f"left out {quoted(extra_keys)}")
        tokens = estimate_tokens(encoded, turns)
        if len(encoded) > self._window and may_exceed(encoded, tokens, self._window):
            tokens = self._measure(encoded, tokens, line)
            if not tokens:
                return
        digest = xxhash.xxh3_64_intdigest(encoded)
        before = self._shared.seen.add(digest, self._flag)
        if before:
            self._note_duplicate(before, line)
        self.kept += 1
        self._shared.statistics.add(turns, tokens)
        self._accept_row(digest, encoded)

    def _measure(self, encoded: bytes, tokens: int, line: bytes) -> int:
        """Estimate the tokens of a row that may be too long.

        Returns:
            Its tokens; 0 if no answer is left once the trainer has truncated it.
        """
        window = self._window
        messages = decode_messages(encoded)
        if truncates_answers(messages, window):
            message = f"the first answer begins after token {window:,}, where the trainer truncates"
            self._issue(Code.NOTHING_LEFT_TO_LEARN, message, line)
            return 0
        if may_truncate_answers(messages, window):
            message = f"the first answer may begin after token {window:,}; the trainer would drop the row"
            self._issue(Code.MAY_BE_LOST, message, line)
        tokens = likely_tokens(messages, tokens)
        if tokens > window:
            self._issue(Code.TRUNCATED, f"about {tokens:,} tokens; the trainer truncates at {window:,}", line)
        return tokens

    def _note_duplicate(self, before: int, line: bytes) -> None:
        if before & self._flag:
            self._issue(Code.DUPLICATE_ROW, "the same conversation occurs earlier in this file", line)
        others = [split.value for split, flag in _FLAGS.items() if before & flag & ~self._flag]
        if others:
            message = (
                f"the same conversation is in {' and '.join(others)}: the evaluation would flatter the model"
            )
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
