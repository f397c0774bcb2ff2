"""What happens to each line of a file, and to each row that it holds."""

from collections.abc import Callable

import xxhash

from .codes import Code
from .content import FileFaultError
from .conversation import Conversation, decode_messages, encode_messages, read_clean_line
from .diagnosis import BOM, diagnose, quoted
from .duplicates import SeenConversations
from .issue_log import IssueLog
from .lines import LongLine
from .rules import GateRules, Split
from .statistics import Statistics
from .tokens import estimate_tokens, likely_tokens, loses_answers, may_exceed, may_lose_answers
from .values import MOST_VALUES, has_too_many_values

_SPACE = b" \t\r"  # what JSON calls white space, less the newline
_FLAGS = {Split.TRAIN: 1, Split.VALIDATION: 2, Split.TEST: 4}


class RowCheck:
    """What the rows of all files share: the log, the figures and the memory of what was seen."""

    def __init__(self, rules: GateRules, log: IssueLog, statistics: Statistics) -> None:
        self.rules = rules
        self.log = log
        self.statistics = statistics
        self.seen = SeenConversations()


class FileCheck:
    """Takes one file's lines in order."""

    def __init__(
        self, name: str, split: Split, shared: RowCheck, place: Callable[[int, bytes], None]
    ) -> None:
        """Set up for one file.

        Args:
            name: The file's name, for the issues.
            split: What it was uploaded as.
            shared: What outlives the file.
            place: Takes each row that can be trained on, as the digest of its content and its messages.
        """
        self._name = name
        self._flag = _FLAGS[split]
        self._shared = shared
        self._log = shared.log
        self._place = place
        self._window = shared.rules.context_window
        self._blank_lines = 0
        self.number = 0  # of the line at hand
        self.rows = 0
        self.kept = 0

    def take(self, lines: list[bytes]) -> None:
        """Check the next lines, each with its newline.

        Raises:
            FileFaultError: There are too many blank lines to go on.
        """
        if len(lines) == 1 and has_too_many_values(lines[0]):  # a line so long comes alone
            self._pass_over(Code.TOO_MANY_VALUES, f"the line has more than {MOST_VALUES:,} values")
            return
        for line in lines:
            self.number += 1
            conversation = read_clean_line(line)
            if conversation is None:
                self._look_closer(line)
            else:
                self._keep(conversation, line)

    def pass_over(self, line: LongLine) -> None:
        """Note a line that is too long to be read."""
        limit = self._shared.rules.max_line_bytes
        self._pass_over(Code.LINE_TOO_LONG, f"the line has {line.length:,} bytes; {limit:,} are allowed")

    def _pass_over(self, code: Code, message: str) -> None:
        self.number += 1
        self.rows += 1
        self._issue(code, message)

    def _look_closer(self, line: bytes) -> None:
        """Put right what is around the row, then read it as one that may have any fault."""
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
            conversation = self._diagnose(stripped, before=line[: line.index(stripped)])
        if conversation is None:
            self.rows += 1
        else:
            self._keep(conversation, stripped)

    def _diagnose(self, text: bytes, before: bytes) -> Conversation | None:
        diagnosis = diagnose(text, before)
        for code, message in diagnosis.findings:
            self._issue(code, message, b"" if code.is_repair else text)
        if not diagnosis.messages:
            return None
        return Conversation(encode_messages(diagnosis.messages), len(diagnosis.messages), ())

    def _keep(self, conversation: Conversation, line: bytes) -> None:
        """Count a row that can be trained on and pass it on."""
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
        self._place(digest, encoded)

    def _measure(self, encoded: bytes, tokens: int, line: bytes) -> int:
        """Look closer at a row that may be too long.

        Returns:
            Its tokens; 0 if no answer is left once the trainer has truncated it.
        """
        window = self._window
        messages = decode_messages(encoded)
        if loses_answers(messages, window):
            message = f"the first answer begins after token {window:,}, where the trainer truncates"
            self._issue(Code.NOTHING_LEFT_TO_LEARN, message, line)
            return 0
        if may_lose_answers(messages, window):
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
