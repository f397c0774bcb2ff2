"""The preprocessing step: loads rows, splits them, and drops or refuses what the service's component does.

Rules and wording are those of azureml-acft-contrib-hf-nlp 0.0.91, as recorded on files of many kinds.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from azureml_emulator.training.conversation import Example, examples_of, learned_turns, truncated
from azureml_emulator.training.dataset_loader import LoaderError, Row, load_rows

LEAST_ROWS = 10
_NO_TOKENS = "Unable to continue finetuning. No assistant tokens found after preprocessing."


class PreprocessError(Exception):
    """The data cannot be trained on; the text is what the run's error carries."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What training gets: examples of each split, and how many rows of each were kept."""

    training: list[Example]
    validation: list[Example]
    test: list[Example]
    rows: dict[str, int]


def preprocess_files(
    train: tuple[str, bytes],
    validation: tuple[str, bytes] | None,
    test: tuple[str, bytes] | None,
    *,
    window: int | None = None,
) -> Prepared:
    """Loads and checks the files, each a name and its bytes.

    Args:
        train: The training file.
        validation: The validation file, if one was given.
        test: The test file, if one was given: it is loaded, and nothing of it is checked.
        window: Tokens of a conversation that are kept; None for all.

    Raises:
        PreprocessError: With the message of the service's component.
    """
    splits = _split(
        _load(*train),
        _load(*validation) if validation else None,
        _load(*test) if test else None,
    )
    templated = {
        name: [_templated(row.get("messages")) for row in _survivors(name, train[0], splits[name])]
        for name in ("train", "validation")
    }
    examples: dict[str, list[Example]] = {}
    kept = {"test": len(splits["test"])}
    for name, conversations in templated.items():
        encoded = [_encoded(conversation, window) for conversation in conversations]
        _check_ends(encoded)
        examples[name] = [example for row in encoded if row is not None for example in row]
        kept[name] = sum(row is not None for row in encoded)
    return Prepared(examples["train"], examples["validation"], _test_examples(splits["test"], window), kept)


def _test_examples(rows: list[Row], window: int | None) -> list[Example]:
    """Those of the test split, which the component loads and never looks at."""
    examples: list[Example] = []
    for row in rows:
        with suppress(PreprocessError):
            examples += _encoded(_templated(row.get("messages")), window) or []
    return examples


def _load(name: str, data: bytes) -> list[Row]:
    """Rows of a JSON lines file, or the loader's crash."""
    if name.lower().rpartition(".")[2] not in ("jsonl", "json"):
        raise PreprocessError(
            f"Dataset {name} is of a format that the emulator does not read; it reads .jsonl and .json."
        )
    try:
        return load_rows(data)
    except LoaderError as error:
        raise PreprocessError(str(error)) from None


def _split(train: list[Row], validation: list[Row] | None, test: list[Row] | None) -> dict[str, list[Row]]:
    """By position, unshuffled: 80/10/10 of a lone file, and the last fifth for whichever is missing."""
    if validation is not None and test is not None:
        return {"train": train, "validation": validation, "test": test}
    eighty, ninety = _percent(train, 80), _percent(train, 90)
    if validation is None and test is None:
        return {
            "train": train[:eighty],
            "validation": train[eighty:ninety],
            "test": train[len(train) - _percent(train, 10) :],
        }
    if validation is None:
        return {"train": train[:eighty], "validation": train[eighty:], "test": test or []}
    return {"train": train[:eighty], "validation": validation, "test": train[-_percent(train, 20) :]}


def _percent(rows: list[Row], percent: int) -> int:
    """Where the loader's slices begin and end: rounded to the nearest row."""
    return round(percent * len(rows) / 100)


def _survivors(split: str, name: str, rows: list[Row]) -> list[Row]:
    """Rows with a conversation; with a column of tools, also with tools."""
    columns = {key for row in rows for key in row}
    if rows and "messages" not in columns:
        raise PreprocessError(
            f"Dataset {name} is missing columns: expected ['messages'], found {sorted(columns)}."
        )
    required = [key for key in ("messages", "tools") if key in columns]
    whole = [row for row in rows if not any(row.get(key) in (None, "", [], {}) for key in required)]
    _check_count(split, name, whole)
    survivors = [row for row in whole if not isinstance(row["messages"], list) or len(row["messages"]) > 1]
    _check_count(split, name, survivors)
    return survivors


def _check_count(split: str, name: str, rows: list[Row]) -> None:
    if not rows:
        raise PreprocessError(f"Found no examples after data preprocessing for {name}")
    if split == "train" and len(rows) < LEAST_ROWS:
        raise PreprocessError(
            f"Training dataset has {len(rows)} non-null samples, which is fewer than {LEAST_ROWS} "
            "samples. Please provide more training samples."
        )


def _check_ends(encoded: list[list[Example] | None]) -> None:
    """A row that is dropped at either end fails the job, and so does a split of which all are dropped."""
    if encoded[0] is None and any(row is not None for row in encoded):
        # The component writes its schema from row 0 and has none when that row was dropped.
        raise PreprocessError("'NoneType' object has no attribute 'write'")
    if encoded[-1] is None:
        raise PreprocessError(_NO_TOKENS)


def _encoded(templated: list[dict[str, Any]], window: int | None) -> list[Example] | None:
    """The examples in a row; None if nothing of it is learned, so that it is dropped."""
    seen = templated if window is None else truncated(templated, window)
    return examples_of(seen) if learned_turns(seen) else None


def _templated(messages: object) -> list[dict[str, Any]]:
    """The conversation as the chat template lets it through: no null keys, and only roles it knows."""
    if not isinstance(messages, list):
        kind = "NoneType" if messages is None else "str"
        raise _template_error(f"'{kind}' object has no attribute 'items'")
    templated = []
    for message in messages:
        if not isinstance(message, dict):
            raise _template_error(f"'{type(message).__name__}' object has no attribute 'items'")
        present = {key: value for key, value in message.items() if value is not None}
        if present.get("role") in ("system", "user", "assistant"):
            if "content" not in present:
                raise _template_error("'dict object' has no attribute 'content'")
            if not isinstance(present["content"], str):
                kind = type(present["content"]).__name__
                raise _template_error(f'can only concatenate str (not "{kind}") to str')
            templated.append(present)
    return templated


def _template_error(cause: str) -> PreprocessError:
    return PreprocessError(f"Failure while applying chat template to dataset: {cause}")
