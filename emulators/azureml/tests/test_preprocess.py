"""The preprocessing step: what the service's component drops, refuses and crashes on."""

from __future__ import annotations

import json
from typing import Any

import pytest
from azureml_emulator.training.preprocess import PreprocessError, preprocess_files
from emulator_rest import conversation, jsonl


def rows(count: int) -> list[dict[str, Any]]:
    """So many good rows."""
    return [conversation(number) for number in range(count)]


def message(error: PreprocessError) -> str:
    """Its text."""
    return str(error)


def test_a_lone_file_is_split_by_position() -> None:
    """80/10/10, in order and unshuffled."""
    prepared = preprocess_files(("t.jsonl", jsonl(rows(100))), None, None)
    assert prepared.rows == {"train": 80, "validation": 10, "test": 10}
    assert "number 0," in prepared.training[0].answer
    assert "number 80," in prepared.validation[0].answer
    assert "number 90," in prepared.test[0].answer


@pytest.mark.parametrize("given", ["validation", "test"])
def test_the_missing_split_is_the_last_fifth_of_training(given: str) -> None:
    """Even a test split that nothing uses takes its fifth."""
    other = ("o.jsonl", jsonl(rows(5)))
    train = ("t.jsonl", jsonl(rows(50)))
    prepared = preprocess_files(
        train, other if given == "validation" else None, other if given == "test" else None
    )
    assert prepared.rows["train"] == 40
    assert prepared.rows[given] == 5
    assert sum(prepared.rows.values()) == 55


def test_all_three_files_are_used_whole() -> None:
    """Nothing is sliced off."""
    files = [(f"{name}.jsonl", jsonl(rows(count))) for name, count in (("t", 20), ("v", 4), ("s", 3))]
    assert preprocess_files(*files).rows == {"train": 20, "validation": 4, "test": 3}


@pytest.mark.parametrize(("count", "fails"), [(11, True), (12, False)])
def test_a_lone_file_needs_twelve_rows(count: int, fails: bool) -> None:
    """Two tenths go first, and ten must be left."""
    if fails:
        with pytest.raises(PreprocessError, match="Training dataset has 9 non-null samples, which is fewer"):
            preprocess_files(("t.jsonl", jsonl(rows(count))), None, None)
    else:
        assert preprocess_files(("t.jsonl", jsonl(rows(count))), None, None).rows["train"] == 10


@pytest.mark.parametrize(
    "bad",
    [
        {"messages": None},
        {"messages": []},
        {"messages": [{"role": "user", "content": "alone"}]},
    ],
)
def test_rows_without_a_conversation_are_dropped(bad: dict[str, Any]) -> None:
    """Null and short rows go silently."""
    test = ("s.jsonl", jsonl(rows(3)))
    prepared = preprocess_files(("t.jsonl", jsonl([*rows(20), bad])), test, test)
    assert prepared.rows["train"] == 20


def test_no_rows_left_is_an_error() -> None:
    """All of them dropped."""
    test = ("s.jsonl", jsonl(rows(3)))
    with pytest.raises(PreprocessError, match="Found no examples after data preprocessing"):
        preprocess_files(("t.jsonl", jsonl([{"messages": []}] * 20)), test, test)


def test_rows_without_an_assistant_are_dropped_unless_first_or_last() -> None:
    """At either end a row without a word of the assistant's fails the component."""
    silent = {"messages": [{"role": "user", "content": "one"}, {"role": "user", "content": "two"}]}
    test = ("s.jsonl", jsonl(rows(3)))
    amid = jsonl([*rows(10), silent, *rows(10)])
    assert preprocess_files(("t.jsonl", amid), test, test).rows["train"] == 20
    for train, validation in (([*rows(20), silent], rows(3)), (rows(20), [*rows(3), silent])):
        files = [(f"{name}.jsonl", jsonl(part)) for name, part in (("t", train), ("v", validation))]
        with pytest.raises(PreprocessError, match="No assistant tokens found after preprocessing"):
            preprocess_files(*files, test)
    with pytest.raises(PreprocessError, match=r"'NoneType' object has no attribute 'write'"):
        preprocess_files(("t.jsonl", jsonl([silent, *rows(20)])), test, test)
    with pytest.raises(PreprocessError, match="No assistant tokens found after preprocessing"):
        preprocess_files(("t.jsonl", jsonl([silent] * 20)), test, test)


@pytest.mark.parametrize(
    ("spoil", "cause"),
    [
        (lambda data: b"\xef\xbb\xbf" + data, "Invalid value. in row 0"),
        (lambda data: data + b"\n", "in row 20"),
        (lambda data: data.replace(b"\n", b"\n\n", 1), "in row 1"),
        (lambda data: data + b'{"other": 1}\n', "KeyError: 'messages' in row 20"),
        (
            lambda data: data + b'{"messages": [{"role": "user", "content": 5}]}\n',
            "changed from string to number",
        ),
        (lambda data: data + b"{broken\n", "in row 20"),
        (
            lambda data: data.replace(b'{"messages"', b'{"messages": [], "messages"', 1),
            "JSON parse error: Column(/messages) was specified twice in row 0",
        ),
        (
            lambda data: data + b'{"messages": [{"role": "user", "role": "user", "content": "a"}]}\n',
            "JSON parse error: Column(/messages/[]/role) was specified twice in row 20",
        ),
        (
            lambda data: data + b'{"x": {"y": [[{"z": 1, "z": 1}]]}}\n',
            "Column(/x/y/[]/[]/z) was specified twice",
        ),
        (lambda data: b"", "the file is empty"),
        (lambda data: data.replace(b"Tell", b"\\ud83d", 1), "surrogates not allowed"),
    ],
)
def test_what_crashes_the_loader(spoil: Any, cause: str) -> None:
    """Byte order mark, blank lines, missing keys, changing types and broken JSON."""
    with pytest.raises(PreprocessError, match=r"^DatasetGenerationError") as failure:
        preprocess_files(("t.jsonl", spoil(jsonl(rows(20)))), None, None)
    assert cause in message(failure.value)


def test_the_loader_is_lenient_and_strict_past_its_first_chunk() -> None:
    """After 10 MB a blank line passes, and a new key does not."""
    padding = [{**conversation(number), "pad": "x" * 500_000} for number in range(24)]
    data = jsonl(padding)
    assert preprocess_files(("t.jsonl", data + b"\n" + jsonl(padding[:1])), None, None).rows["train"] == 20
    late = jsonl([{**padding[0], "weight": 1}])
    with pytest.raises(PreprocessError, match=r"CastError: .*'weight'"):
        preprocess_files(("t.jsonl", data + late), None, None)


def test_a_new_key_within_the_first_chunk_passes() -> None:
    """The schema is inferred from all of it."""
    data = jsonl(rows(20)) + jsonl([{**conversation(1), "weight": 1}])
    assert preprocess_files(("t.jsonl", data), None, None).rows["train"] == 17


@pytest.mark.parametrize("content", [None, [1], {"a": 1}])
def test_content_that_is_no_text_fails_the_template(content: object) -> None:
    """Null keys are removed first, so null is as good as missing."""
    row = {"messages": [{"role": "user", "content": content}, {"role": "assistant", "content": content}]}
    with pytest.raises(PreprocessError, match=r"^Failure while applying chat template to dataset: "):
        preprocess_files(("t.jsonl", jsonl([row] * 20)), None, None)


def test_missing_messages_name_the_columns() -> None:
    """What was expected and what was found."""
    with pytest.raises(PreprocessError, match=r"expected \['messages'\], found \['prompt'\]"):
        preprocess_files(("t.jsonl", jsonl([{"prompt": "x"}] * 20)), None, None)


def test_unknown_roles_are_passed_over() -> None:
    """The template prints only the roles it knows."""
    row = conversation(1)
    row["messages"].insert(0, {"role": "narrator", "content": "Once upon a time"})
    assert preprocess_files(("t.jsonl", jsonl([row] * 20)), None, None).rows["train"] == 16


def test_other_formats_are_named_as_not_read() -> None:
    """The emulator says that this is its own limit."""
    with pytest.raises(PreprocessError, match="emulator does not read"):
        preprocess_files(("t.parquet", json.dumps({}).encode()), None, None)


def test_a_row_ends_at_the_window() -> None:
    """An answer that begins within the window is cut there, and one beyond it is not learnt from."""
    row = {
        "messages": [
            {"role": "user", "content": "How far is it?"},
            {"role": "assistant", "content": "Not far at all, once you know."},
            {"role": "user", "content": "And back?"},
            {"role": "assistant", "content": "The same."},
        ]
    }
    data = ("t.jsonl", jsonl([row] * 12))
    # Four tokens for each message, five for the question; three are left for the answer.
    assert [example.answer for example in preprocess_files(data, data, data, window=16).training] == [
        "Not far at"
    ] * 12
    assert preprocess_files(data, data, data, window=16).rows["train"] == 12
    assert [example.answer for example in preprocess_files(data, data, data, window=100).training][:2] == [
        "Not far at all, once you know.",
        "The same.",
    ]
    assert preprocess_files(data, data, data, window=100) == preprocess_files(data, data, data)


def test_rows_whose_answers_lie_beyond_the_window_are_dropped() -> None:
    """A question that fills the window leaves nothing to learn from; as row 0 it crashes the component."""
    long = {
        "messages": [
            {"role": "user", "content": "word " * 90},
            {"role": "assistant", "content": "Never seen."},
        ]
    }
    test = ("s.jsonl", jsonl(rows(3)))
    amid = ("t.jsonl", jsonl([*rows(10), long, *rows(10)]))
    assert preprocess_files(amid, test, test, window=80).rows["train"] == 20
    assert preprocess_files(amid, test, test, window=120).rows["train"] == 21
    with pytest.raises(PreprocessError, match=r"'NoneType' object has no attribute 'write'"):
        preprocess_files(("t.jsonl", jsonl([long, *rows(20)])), test, test, window=80)
