"""The preprocessing step: loads rows, splits them, and drops or refuses what the service's component does.

Rules and wording are those of azureml-acft-contrib-hf-nlp 0.0.91 and of the ``datasets`` 4.7.0 loader it
pins, as far as they are established; the wording of loader errors is composed after the loader's
exceptions.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

from azureml_emulator.training.conversation import Example, examples_of, truncated

CHUNK_BYTES = 10 << 20
"""The loader infers the schema from its first chunk."""

LEAST_ROWS = 10

Row = dict[str, Any]


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
        test: The test file, if one was given.
        window: Tokens of a conversation that are kept; None for all.

    Raises:
        PreprocessError: With the message of the service's component.
    """
    splits = _split(
        _load(*train),
        _load(*validation) if validation else None,
        _load(*test) if test else None,
    )
    examples: dict[str, list[Example]] = {}
    kept: dict[str, int] = {}
    for name, rows in splits.items():
        survivors = _survivors(name, train[0], rows)
        if name == "train" and len(survivors) < LEAST_ROWS:
            raise PreprocessError(
                f"Training dataset has {len(survivors)} non-null samples, which is fewer than {LEAST_ROWS} "
                "samples. Please provide more training samples."
            )
        tokenized = [_tokenized(row["messages"], window) for row in survivors]
        if tokenized and not tokenized[0] and any(tokenized):
            # The component writes its schema from row 0 and has none when that row was dropped.
            raise PreprocessError("'NoneType' object has no attribute 'write'")
        if survivors and not any(tokenized):
            raise PreprocessError("No assistant tokens found after preprocessing")
        examples[name] = [example for row in tokenized for example in row]
        kept[name] = sum(1 for row in tokenized if row)
    return Prepared(examples["train"], examples["validation"], examples["test"], kept)


def _load(name: str, data: bytes) -> list[Row]:
    """Rows of a JSON lines file, or the loader's crash."""
    if name.lower().rpartition(".")[2] not in ("jsonl", "json"):
        raise PreprocessError(
            f"Dataset {name} is of a format that the emulator does not read; it reads .jsonl and .json."
        )
    if data.startswith(b"\xef\xbb\xbf"):
        raise _loader_error("JSON parse error: Invalid value. in row 0")
    rows: list[Row] = []
    kinds: dict[str, str] = {}
    position = 0
    lines = data.removesuffix(b"\n").split(b"\n")
    for number, line in enumerate(lines):
        early = position < CHUNK_BYTES
        position += len(line) + 1
        if not line.strip():
            if early:
                raise _loader_error(f"JSON parse error: Missing a name for object member. in row {number}")
            continue
        try:
            row = json.loads(line, object_pairs_hook=_object)
        except ValueError as error:
            raise _loader_error(f"JSON parse error: {error} in row {number}") from None
        if not isinstance(row, dict):
            raise _loader_error(f"JSON parse error: Column() changed from object to other in row {number}")
        _check_repeats(row, "", number)
        _check_keys(rows[0] if rows else row, row, number, early)
        _check_kinds(kinds, row, number)
        rows.append(row)
    if not rows:
        raise _loader_error("JSON parse error: the file is empty")
    return rows


class _Repeating(dict[str, Any]):
    """A JSON object with a key that is given twice."""

    key = ""


def _object(pairs: list[tuple[str, Any]]) -> Row:
    row = dict(pairs)
    if len(row) == len(pairs):
        return row
    repeating = _Repeating(row)
    times = Counter(key for key, _ in pairs)
    repeating.key = next(key for key in row if times[key] > 1)
    return repeating


def _check_repeats(value: object, place: str, number: int) -> None:
    """Refuses a key that an object gives twice, however deep, by Arrow's name for the place."""
    if isinstance(value, _Repeating):
        raise _loader_error(
            f"JSON parse error: Column({place}/{value.key}) was specified twice in row {number}"
        )
    if isinstance(value, dict):
        for key, item in value.items():
            _check_repeats(item, f"{place}/{key}", number)
    elif isinstance(value, list):
        for item in value:
            _check_repeats(item, f"{place}/[]", number)


def _check_keys(first: Row, row: Row, number: int, early: bool) -> None:
    missing = [key for key in first if key not in row]
    if missing and early:
        raise _loader_error(f"KeyError: {missing[0]!r} in row {number}")
    added = [key for key in row if key not in first]
    if added and not early:
        raise _loader_error(
            f"CastError: Couldn't cast: column names don't match, {added[0]!r} is new in row {number}"
        )


def _check_kinds(kinds: dict[str, str], row: Row, number: int) -> None:
    """Holds a row against the types seen so far, and adds its own."""
    for place, kind in _kinds(row).items():
        if kind == "null":
            continue
        before = kinds.setdefault(place, kind)
        if before != kind:
            raise _loader_error(
                f"JSON parse error: Column({place}) changed from {before} to {kind} in row {number}"
            )


def _kinds(row: Row) -> dict[str, str]:
    """JSON types of the columns that matter, by Arrow's name for the place."""
    messages = row.get("messages")
    kinds = {"/messages": _kind(messages)}
    for message in messages if isinstance(messages, list) else []:
        kinds.setdefault("/messages/[]", _kind(message))
        if isinstance(message, dict):
            for key in ("role", "content"):
                if message.get(key) is not None:
                    kinds.setdefault(f"/messages/[]/{key}", _kind(message[key]))
    return kinds


def _kind(value: object) -> str:
    names = {str: "string", bool: "boolean", int: "number", float: "number", list: "array", dict: "object"}
    return names.get(type(value), "null")


def _loader_error(cause: str) -> PreprocessError:
    return PreprocessError(f"DatasetGenerationError: An error occurred while generating the dataset. {cause}")


def _split(train: list[Row], validation: list[Row] | None, test: list[Row] | None) -> dict[str, list[Row]]:
    """By position, unshuffled: 80/10/10 of a lone file, and the last fifth for whichever is missing."""
    if validation is not None and test is not None:
        return {"train": train, "validation": validation, "test": test}
    if validation is None and test is None:
        tenth = len(train) // 10
        middle, end = len(train) - 2 * tenth, len(train) - tenth
        return {"train": train[:middle], "validation": train[middle:end], "test": train[end:]}
    middle = len(train) - len(train) // 5
    if validation is None:
        return {"train": train[:middle], "validation": train[middle:], "test": test or []}
    return {"train": train[:middle], "validation": validation, "test": train[middle:]}


def _survivors(split: str, name: str, rows: list[Row]) -> list[Row]:
    if rows and "messages" not in rows[0]:
        raise PreprocessError(
            f"Dataset {name} is missing columns: expected ['messages'], found {sorted(rows[0])}."
        )
    survivors = [
        row for row in rows if isinstance(row.get("messages"), (list, str)) and len(row["messages"]) >= 2
    ]
    if split == "train" and not survivors:
        raise PreprocessError("Found no examples after data preprocessing")
    return survivors


def _tokenized(messages: object, window: int | None) -> list[Example]:
    """The examples in a row; empty if every answer lies beyond the window."""
    templated = _templated(messages)
    return examples_of(templated if window is None else truncated(templated, window))


def _templated(messages: object) -> list[dict[str, Any]]:
    """The conversation as the chat template lets it through: no null keys, and only roles it knows."""
    templated = []
    for message in messages if isinstance(messages, (list, str)) else []:
        if not isinstance(message, dict):
            raise _template_error(f"'{type(message).__name__} object' has no attribute 'role'")
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
