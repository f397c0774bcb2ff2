"""What a dataset is held to: limits, split shares, row policy. Values only; `validator` applies them."""

from enum import StrEnum
from typing import Literal

import msgspec

MEBIBYTE = 1 << 20


MAX_LINE_BYTES = 4 * MEBIBYTE
"""No context window holds a row of megabytes, and a line is held in memory while it is read."""

MAX_BLANK_LINES = 100_000
"""A file of blank lines costs as much to read as one of rows, and is no dataset."""

MAX_EXPANSION = 200
"""Decompressed bytes a compressed byte: JSON Lines come to 5 to 50, a decompression bomb to 1,000."""

SPLIT_SEED = 42
"""Another seed would split the same upload otherwise, so that it would be trained a second time."""


SensitivePolicy = Literal["off", "warn", "reject", "mask"]


class Split(StrEnum):
    """The three files that training reads."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


class RowPolicy(StrEnum):
    """What a row that cannot be trained on means for its dataset."""

    STRICT = "strict"  # one such row rejects the dataset
    DROP = "drop"  # such rows are left out, up to `max_dropped_percent` of all rows


class ValidationRules(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of one check.

    Attributes:
        row_policy: Whether rows with faults reject the dataset or are left out of it.
        max_dropped_percent: With `drop`, the share of rows (0 to 100) that may be left out.
        train_percent: Share of the rows that training gets when the upload brings no other split.
        validation_percent: Share for validation, taken from the training file when no validation file came.
        test_percent: Share for the test split, taken likewise.
        seed: Chooses which rows go to which split, and which conversations the smoke test uses.
        ignore_keys: Keys of rows and messages that may be left out although they may change what is meant.
        preference: `use_chosen` learns the chosen answers of preference data, and leaves bad ones out.
        vision: `drop_rows` leaves out rows with images, sound or video.
        tools: `drop_rows` leaves out rows that define or call tools; `as_text` writes functions, calls and
            results into the texts.
        pretemplated: `strip` removes the marks of chat templates from texts.
        mask: `split` cuts a conversation before the first answer that is not to be learned.
        sensitive_data: What becomes of rows with keys, tokens, card and account numbers: they are warned of,
            refused, masked, or not looked for.
        contact_data: The same of rows with e-mail addresses and phone numbers.
        min_training_rows: Fewer rows than this after the split reject the dataset. Azure ML's own
            minimum is 10 (azureml-acft-contrib-hf-nlp 0.0.91).
        min_evaluation_rows: Fewer rows than this in validation or test draw a warning.
        context_window: Tokens of a row that the trainer keeps; the rest is truncated.
        max_line_bytes: A longer line is a fault, and is skipped without being held in memory.
        max_blank_lines: More blank lines than this in one file end the check.
        max_uncompressed_bytes: A file that is longer, once decompressed, ends the check.
        max_compressed_content_bytes: The same of a compressed file, which a validation that goes on in
            another
            process has to decompress again from its beginning.
        max_expansion: Decompressed bytes allowed per compressed byte, beyond the first 16 MiB.
        issues_per_code: How many issues of one code the report lists; it counts all of them.
        smoke_samples: Conversations of the test split that the report carries for smoke test and evaluation.
        smoke_sample_bytes: Upper bound of one such conversation, in bytes of JSON.
    """

    row_policy: RowPolicy = RowPolicy.STRICT
    max_dropped_percent: float = 5.0
    train_percent: int = 80
    validation_percent: int = 10
    test_percent: int = 10
    seed: int = SPLIT_SEED
    ignore_keys: tuple[str, ...] = ()
    preference: Literal["reject", "use_chosen"] = "reject"
    vision: Literal["reject", "drop_rows"] = "reject"
    tools: Literal["reject", "drop_rows", "as_text"] = "reject"
    pretemplated: Literal["reject", "strip"] = "reject"
    mask: Literal["reject", "split"] = "reject"
    sensitive_data: SensitivePolicy = "warn"
    contact_data: SensitivePolicy = "off"
    min_training_rows: int = 10
    min_evaluation_rows: int = 5
    context_window: int = 4096
    max_line_bytes: int = MAX_LINE_BYTES
    max_blank_lines: int = MAX_BLANK_LINES
    max_uncompressed_bytes: int = 64 * 1024 * MEBIBYTE
    max_compressed_content_bytes: int = 8 * 1024 * MEBIBYTE
    max_expansion: int = MAX_EXPANSION
    issues_per_code: int = 20
    smoke_samples: int = 3
    smoke_sample_bytes: int = 16_384

    def __post_init__(self) -> None:
        """Refuse shares that leave a split empty: Azure ML slices the training file when one is missing.

        Raises:
            ValueError: The three shares are not positive or do not add up to 100, or a limit is not positive.
        """
        shares = (self.train_percent, self.validation_percent, self.test_percent)
        if min(shares) < 1 or sum(shares) != 100:
            raise ValueError(f"split shares are whole percentages above 0 that add up to 100, not {shares}")
        if not 0 <= self.max_dropped_percent <= 100:
            raise ValueError(f"max_dropped_percent lies between 0 and 100, not {self.max_dropped_percent}")
        limits = (
            "context_window",
            "max_line_bytes",
            "max_uncompressed_bytes",
            "max_compressed_content_bytes",
            "max_expansion",
            "issues_per_code",
        )
        for name in limits:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is at least 1, not {getattr(self, name)}")
