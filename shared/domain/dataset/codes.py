"""Every fault, warning and repair that validation reports, by its stable code.

`E` rows cannot be trained on, `W` rows can but deserve a look, `R` marks repairs made in the snapshot.
`docs/dataset-rules.md` explains each one; a test keeps the two equal.
"""

from enum import StrEnum


class Code(StrEnum):
    """A stable code; `LABELS` has its short name."""

    # The file
    CORRUPT_COMPRESSION = "E001"
    FILE_TOO_LARGE = "E002"
    EXPANDS_TOO_MUCH = "E003"
    TOO_MANY_BLANK_LINES = "E004"
    NO_TRAINING_FILE = "E005"
    NO_ROWS = "E006"
    ANOTHER_KIND = "E007"
    # The line
    INVALID_UTF8 = "E101"
    NUL_CHARACTER = "E102"
    INVALID_JSON = "E103"
    NOT_AN_OBJECT = "E104"
    LINE_TOO_LONG = "E105"
    DUPLICATE_KEY = "E106"
    UNPAIRED_SURROGATE = "E107"
    TOO_MANY_VALUES = "E108"
    # The conversation
    NO_MESSAGES = "E201"
    MESSAGES_NOT_A_LIST = "E202"
    TOO_FEW_MESSAGES = "E203"
    MESSAGE_NOT_AN_OBJECT = "E204"
    MISSING_KEY = "E205"
    WRONG_TYPE = "E206"
    UNKNOWN_ROLE = "E207"
    SYSTEM_NOT_FIRST = "E208"
    FIRST_NOT_USER = "E209"
    ROLES_DO_NOT_ALTERNATE = "E210"
    LAST_NOT_ASSISTANT = "E211"
    EMPTY_CONTENT = "E212"
    TOOL_CALLS = "E213"
    NOTHING_LEFT_TO_LEARN = "E214"
    UNKNOWN_KEY = "E215"
    MASKED = "E216"
    AMBIGUOUS = "E217"
    SENSITIVE = "E218"
    TOOL_MISMATCH = "E219"
    # The dataset
    TOO_FEW_TRAINING_ROWS = "E301"
    EMPTY_SPLIT = "E302"
    TOO_MANY_DROPPED = "E303"
    # Kinds of data that this training has no use for
    PREFERENCE = "E401"
    MEDIA = "E402"
    TEMPLATED_TEXT = "E403"
    JSON_IN_TEXT = "E404"
    TEXT_ONLY = "E405"
    ROW_PER_MESSAGE = "E406"
    # Warnings
    TRUNCATED = "W102"
    DUPLICATE_ROW = "W103"
    LEAKED_ROW = "W104"
    SMALL_SPLIT = "W105"
    MAY_BE_LOST = "W106"
    PLACEHOLDER = "W107"
    LEFT_OUT = "W108"
    SENSITIVE_KEPT = "W109"
    END_MAY_BE_LOST = "W110"
    # Repairs
    BOM_REMOVED = "R101"
    CRLF = "R102"
    BLANK_LINE = "R103"
    NO_FINAL_NEWLINE = "R104"
    EXTRA_KEYS = "R105"
    SURROUNDING_SPACE = "R106"
    EXTRA_MESSAGE_KEYS = "R107"
    DEVELOPER_ROLE = "R108"
    PARTS_JOINED = "R109"
    ROLE_RENAMED = "R110"
    CHOSEN_USED = "R111"
    MARKUP_REMOVED = "R112"
    SPLIT = "R113"
    SENSITIVE_MASKED = "R114"
    TOOLS_WRITTEN = "R115"
    SHAREGPT = "R201"
    ALPACA = "R202"
    PROMPT_COMPLETION = "R203"
    QUESTION_ANSWER = "R204"
    VERTEX = "R205"
    COHERE = "R206"
    OASST = "R207"

    @property
    def is_error(self) -> bool:
        """Whether a row with this code is left out of the snapshot."""
        return self.value[0] == "E"

    @property
    def is_repair(self) -> bool:
        """Whether the snapshot repairs it, so that no action is needed."""
        return self.value[0] == "R"

    @property
    def is_refused_kind(self) -> bool:
        """Whether it names a kind of data that is refused as a whole, and listed only once."""
        return self is Code.TOOL_CALLS or self.value[:2] == "E4"

    @property
    def label(self) -> str:
        """A few words that name it."""
        return LABELS[self]


LABELS: dict[Code, str] = {
    Code.CORRUPT_COMPRESSION: "compressed file cannot be read",
    Code.FILE_TOO_LARGE: "file is too large",
    Code.EXPANDS_TOO_MUCH: "compressed file expands too much",
    Code.TOO_MANY_BLANK_LINES: "too many blank lines",
    Code.NO_TRAINING_FILE: "no training file",
    Code.NO_ROWS: "file has no usable rows",
    Code.ANOTHER_KIND: "another kind of file",
    Code.INVALID_UTF8: "not UTF-8",
    Code.NUL_CHARACTER: "NUL character",
    Code.INVALID_JSON: "not JSON",
    Code.NOT_AN_OBJECT: "not a JSON object",
    Code.LINE_TOO_LONG: "line too long",
    Code.DUPLICATE_KEY: "key given twice",
    Code.UNPAIRED_SURROGATE: "unpaired surrogate",
    Code.TOO_MANY_VALUES: "too many values",
    Code.NO_MESSAGES: "no messages",
    Code.MESSAGES_NOT_A_LIST: "messages is not a list",
    Code.TOO_FEW_MESSAGES: "fewer than two messages",
    Code.MESSAGE_NOT_AN_OBJECT: "message is not an object",
    Code.MISSING_KEY: "message without role or content",
    Code.WRONG_TYPE: "role or content is not a string",
    Code.UNKNOWN_ROLE: "unknown role",
    Code.SYSTEM_NOT_FIRST: "system message not first",
    Code.FIRST_NOT_USER: "first turn is not the user's",
    Code.ROLES_DO_NOT_ALTERNATE: "roles do not alternate",
    Code.LAST_NOT_ASSISTANT: "last turn is not the assistant's",
    Code.EMPTY_CONTENT: "empty content",
    Code.TOOL_CALLS: "tool calls",
    Code.NOTHING_LEFT_TO_LEARN: "no answer within the context window",
    Code.UNKNOWN_KEY: "key of unknown effect",
    Code.MASKED: "answer not to be learned",
    Code.AMBIGUOUS: "two layouts in one row",
    Code.SENSITIVE: "secrets or personal data",
    Code.TOOL_MISMATCH: "tool calls that do not match",
    Code.TOO_FEW_TRAINING_ROWS: "too few training rows",
    Code.EMPTY_SPLIT: "empty split",
    Code.TOO_MANY_DROPPED: "too many rows dropped",
    Code.PREFERENCE: "preference data",
    Code.MEDIA: "images, sound or video",
    Code.TEMPLATED_TEXT: "marks of a chat template in a text",
    Code.JSON_IN_TEXT: "JSON inside a text",
    Code.TEXT_ONLY: "text without turns",
    Code.ROW_PER_MESSAGE: "one message per row",
    Code.TRUNCATED: "truncated by the trainer",
    Code.DUPLICATE_ROW: "duplicate conversation",
    Code.LEAKED_ROW: "conversation in two splits",
    Code.SMALL_SPLIT: "small evaluation split",
    Code.MAY_BE_LOST: "answers may be beyond the context window",
    Code.END_MAY_BE_LOST: "first or last row may be lost",
    Code.LEFT_OUT: "row left out as asked",
    Code.SENSITIVE_KEPT: "secrets or personal data kept",
    Code.PLACEHOLDER: "placeholder for an answer",
    Code.BOM_REMOVED: "byte order mark removed",
    Code.CRLF: "Windows line end",
    Code.BLANK_LINE: "blank line",
    Code.NO_FINAL_NEWLINE: "no newline at the end",
    Code.EXTRA_KEYS: "extra keys left out",
    Code.SURROUNDING_SPACE: "spaces around the object",
    Code.EXTRA_MESSAGE_KEYS: "extra message keys left out",
    Code.DEVELOPER_ROLE: "developer role became system",
    Code.PARTS_JOINED: "parts of a text joined",
    Code.ROLE_RENAMED: "role renamed",
    Code.CHOSEN_USED: "chosen answer used",
    Code.MARKUP_REMOVED: "marks of a chat template removed",
    Code.SPLIT: "cut before an answer not to be learned",
    Code.SENSITIVE_MASKED: "secrets or personal data masked",
    Code.TOOLS_WRITTEN: "tool calls written as text",
    Code.SHAREGPT: "converted from ShareGPT",
    Code.ALPACA: "converted from Alpaca",
    Code.PROMPT_COMPLETION: "converted from prompt and completion",
    Code.QUESTION_ANSWER: "converted from question and answer",
    Code.VERTEX: "converted from Vertex AI",
    Code.COHERE: "converted from Cohere",
    Code.OASST: "converted from OpenAssistant",
}
