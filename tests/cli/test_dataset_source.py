"""Where a dataset comes from: what is sent as it is, what is converted, and what is refused."""

import datetime
import decimal
import gzip
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from finetune.dataset.source import Selection, SelectionError, Source, SourceError, open_source
from shared.domain.dataset import Split

ALL = Selection({})
ROW = '{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}]}\n'


def opened(location: object, selection: Selection = ALL) -> tuple[Source, dict[Split, bytes]]:
    """A source, and the content of its files, which are gone when it is closed."""
    with open_source(str(location), selection, lambda *_: None) as source:
        return source, {split: file.path.read_bytes() for split, file in source.files.items()}


def rows_of(location: object, selection: Selection = ALL) -> list[Any]:
    """The training rows, decoded."""
    return [json.loads(line) for line in opened(location, selection)[1][Split.TRAIN].splitlines()]


TEXTS = ["2021-03-01", "2021-03-01 10:11:12", "2", "00007", "True", "NA", "null", "1e5", ""]


@pytest.mark.parametrize("kind", ["json", "csv", "parquet"])
def test_text_stays_the_text_that_it_is(tmp_path: Path, kind: str) -> None:
    """Answers that look like dates, numbers or missing values are not taken for any, in no kind of file."""
    for text in TEXTS:
        rows = [{"prompt": f"q{number}", "completion": text} for number in range(3)]
        path = tmp_path / f"answers.{kind}"
        if kind == "json":
            path.write_text(json.dumps(rows))
        elif kind == "csv":
            path.write_text("prompt,completion\n" + "".join(f"{row['prompt']},{text}\n" for row in rows))
        else:
            pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
        assert rows_of(path) == rows, text


def test_elements_of_an_array_are_copied_byte_for_byte(tmp_path: Path) -> None:
    """Repeated keys, long numbers and escapes reach validation; line breaks between tokens become spaces."""
    path = tmp_path / "array.json"
    elements = [
        '{"a":1,"a":2}',
        '{"n":123456789012345678901234567890,\r\n"f":1e400,"g":1.10}',
        '{"s":"\\u00e9\\n","t":"\u2028"}',
        '"not an object"',
    ]
    path.write_text("\ufeff[" + " ,\r\n".join(elements) + "\n]\n", newline="")
    source, content = opened(path)
    lines = content[Split.TRAIN].decode().removesuffix("\n").split("\n")
    assert lines == [element.replace("\r\n", "  ") for element in elements]
    assert source.files[Split.TRAIN].label == "array.json (one row per line)"


def test_an_array_is_not_held_in_memory(tmp_path: Path) -> None:
    """Of a long array there is one element in memory at a time, and a few bytes for each of the rest."""
    path = tmp_path / "long.json"
    element = json.dumps({"prompt": "q", "completion": "a" * 10_000})
    with path.open("w") as file:
        file.write("[" + element)
        for _ in range(3_000):
            file.write("," + element)
        file.write("]")
    with open_source(str(path), ALL, lambda *_: None):
        pass  # what is imported on the way
    tracemalloc.start()
    try:
        with open_source(str(path), ALL, lambda *_: None) as source:
            assert source.files[Split.TRAIN].path.stat().st_size > 30_000_000
        assert tracemalloc.get_traced_memory()[1] < 3_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        ("chat.jsonl", ".jsonl"),
        ("chat.JSONL", ".jsonl"),
        ("chat.ndjson", ".jsonl"),
        ("chat.NDJson.GZ", ".jsonl.gz"),
        ("chat.json", ".jsonl"),
    ],
)
def test_json_lines_are_taken_as_they_are(tmp_path: Path, name: str, suffix: str) -> None:
    """Under whatever name JSON Lines come, faulty ones too, the file itself is checked and sent."""
    path = tmp_path / name
    content = (ROW + '{"messages": [}\n').encode()
    path.write_bytes(gzip.compress(content) if suffix.endswith("gz") else content)
    source, _ = opened(path)
    assert source.name == "chat"
    assert source.files[Split.TRAIN] == (path, suffix, "chat" + name[4:].lower())


@pytest.mark.parametrize("name", ["empty.json", "empty.csv", "header.csv", "array.json", "none.parquet"])
def test_files_without_rows_are_left_to_the_gate(tmp_path: Path, name: str) -> None:
    """That there is nothing in a file is a fault of the dataset, whatever its kind."""
    path = tmp_path / name
    if name == "none.parquet":
        pyarrow.parquet.write_table(pyarrow.table({"prompt": [], "completion": []}), path)
    else:
        path.write_text({"header.csv": "prompt,completion\n", "array.json": " []\n"}.get(name, ""))
    assert rows_of(path) == []


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", b"prompt,completion\nq,a\ncaf\xe9,a\n", "a.csv line 3 is not UTF-8 (byte 4 of it)"),
        ("a.csv", b"prompt,completion\nq,a,b\n", "a.csv line 2: the row does not have as many cells"),
        ("a.csv", b"prompt,completion\nq\n", "a.csv line 2: the row does not have as many cells"),
        ("a.csv", b"prompt,prompt\nq,a\n", "a.csv: two columns have the same name"),
        ("a.csv", b'prompt,completion\nq,"a\n', "a.csv line 2: unexpected end of data"),
        (
            "a.json",
            b'[{"prompt":\n "q"\n]',
            "a.json: JSON is malformed: expected ',' or '}' (byte 18, line 3)",
        ),
        ("a.json", b'[{"prompt": "q"}', "a.json: Input data was truncated: the array does not end"),
        ("a.json", b'{\n "data": []\n}', "a.json is one JSON object"),
        ("a.parquet", b"PAR1 not really", "a.parquet: Parquet magic bytes not found"),
        ("a.txt", b"hello", "a.txt is none of .jsonl, "),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    """The error has the file, the line where there is one, and what is wrong with it."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError) as raised:
        opened(tmp_path / name)
    assert words in str(raised.value)


def test_functions_of_a_table_have_their_own_parameters_alone(tmp_path: Path) -> None:
    """A table gives each function, and each call's arguments, the keys of all others, as null."""
    weather = {"name": "weather", "parameters": {"properties": {"city": {"type": "string"}}}}
    time = {"name": "time", "parameters": {"properties": {"zone": {"type": "string"}}}}
    rows = [
        {
            "messages": [
                {"role": "user", "content": "q"},
                {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [{"id": "1", "function": {"name": tool["name"], "arguments": {key: "x"}}}],
                },
            ],
            "tools": [{"type": "function", "function": weather}, {"type": "function", "function": time}],
        }
        for tool, key in ((weather, "city"), (time, "zone"))
    ]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "chat.parquet")
    assert rows_of(tmp_path / "chat.parquet") == rows


def test_every_column_is_passed_on(tmp_path: Path) -> None:
    """Validation is to see all of them: those that JSON has no form for as the name of what they hold."""
    rows = [
        {
            "messages": [
                {"role": "user", "content": "q", "name": None},
                {"role": "assistant", "content": "a"},
            ],
            "system": None,
            "lang": "de",
            "price": decimal.Decimal("1.50"),
            "picture": b"\xff",
            "took": datetime.timedelta(seconds=1),
        }
    ]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "chat.parquet")
    messages = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    rest = {"lang": "de", "price": "Decimal", "picture": "bytes", "took": "timedelta"}
    assert rows_of(tmp_path / "chat.parquet") == [{"messages": messages, **rest}]


@pytest.mark.parametrize("split", ["test", "validation"])
def test_a_folder_without_a_training_file_is_refused(tmp_path: Path, split: str) -> None:
    """As the app does: what is for testing never becomes training data."""
    folder = tmp_path / "sums"
    folder.mkdir()
    (folder / f"{split}.jsonl").write_text(ROW)
    with pytest.raises(SourceError, match=rf"{split}.jsonl in .*E005"):
        opened(folder)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"prompt;completion\nq;a\n", "separated by semicolons"),
        (b"prompt\tcompletion\nq\ta\n", "separated by tabs"),
        (b"prompt|completion\nq|a\n", "separated by vertical bars"),
        (b"sep=,\nprompt,completion\nq,a\n", "begins with sep="),
        (b"prompt,completion\rq,a\r", "end with CR alone"),
        (b"Prompt, completion\nq,a\n", 'write "prompt", "completion", in lower case'),
        (b"title,body\nq,a\n", "no layout has the columns title, body; name them instruction and output"),
    ],
)
def test_a_header_that_no_layout_has_is_refused_with_those_that_work(
    tmp_path: Path, content: bytes, words: str
) -> None:
    """Once, and not for every row."""
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(SourceError, match=words):
        opened(tmp_path / "a.csv")


@pytest.mark.parametrize("value", [datetime.date(2021, 3, 1), decimal.Decimal("1.50"), b"a"])
def test_an_answer_that_is_no_text_is_not_made_one(tmp_path: Path, value: object) -> None:
    """A column that validation reads and JSON has no form for is an error that names row and column."""
    table = pyarrow.table({"prompt": ["q", "r"], "completion": [None, value]})
    pyarrow.parquet.write_table(table, tmp_path / "chat.parquet")
    with pytest.raises(SourceError, match=r"chat.parquet: row 2, column completion: .*make the column text"):
        opened(tmp_path / "chat.parquet")


def test_a_folder_has_a_file_a_split_of_any_kind(tmp_path: Path) -> None:
    """Companions need not be compressed, nor be of a kind, as the training file is."""
    folder = tmp_path / "sums"
    folder.mkdir()
    (folder / "train.jsonl.gz").write_bytes(gzip.compress(ROW.encode()))
    (folder / "Test.JSONL").write_text(ROW)
    (folder / "validation.csv").write_text("prompt,completion\nq,a\n")
    (folder / "README.md").write_text("notes")
    source, content = opened(folder)
    assert source.name == "sums"
    assert {split: file.suffix for split, file in source.files.items()} == {
        Split.TRAIN: ".jsonl.gz",
        Split.TEST: ".jsonl",
        Split.VALIDATION: ".jsonl",
    }
    assert content[Split.TEST].decode() == ROW


def test_the_only_file_of_a_folder_is_the_dataset(tmp_path: Path) -> None:
    """It needs no particular name, and its own lines are checked."""
    (tmp_path / "chat.jsonl").write_text("{not json\n")
    source, _ = opened(tmp_path)
    assert source.files == {Split.TRAIN: (tmp_path / "chat.jsonl", ".jsonl", "chat.jsonl")}


@pytest.mark.parametrize("other", ["val.jsonl", "train.jsonl.gz", "more.csv"])
def test_a_file_that_would_not_be_used_is_an_error(tmp_path: Path, other: str) -> None:
    """A misspelt companion, or a second file for a split, is not passed over in silence."""
    for name in ("train.jsonl", "test.jsonl", other):
        (tmp_path / name).write_text(ROW)
    with pytest.raises(SourceError, match=f"^{other} in .* would not be used"):
        opened(tmp_path)


def test_a_reader_that_fails_gives_its_reason(tmp_path: Path) -> None:
    """What `datasets` says only in the cause of its error is in the message, too."""
    (tmp_path / "a.jsonl").write_text(ROW)
    (tmp_path / "b.jsonl").write_text('{"messages": [}\n')
    with pytest.raises(SourceError, match=r"split train: .*\(.*JSON"):
        opened(tmp_path)


@pytest.mark.parametrize(
    "location", ["nowhere.jsonl", "nowhere.CSV", "data/chat.json", "a/b/c", "./x", "/x/y", "C:\\x.y", ""]
)
def test_a_mistyped_file_is_not_looked_for_on_the_hub(location: str) -> None:
    """What cannot be the name of a dataset there is a file that is missing here."""
    with pytest.raises(SourceError, match="there is no file or folder"):
        opened(location)


@pytest.mark.parametrize(
    "selection",
    [
        Selection({Split.TRAIN: "train"}),
        Selection({Split.TEST: "test"}),
        Selection({}, config="default"),
        Selection({}, percent=5),
    ],
)
def test_no_part_of_json_lines_can_be_asked_for(tmp_path: Path, selection: Selection) -> None:
    """They are sent whole, so that a percentage, a split or a configuration is refused, not ignored."""
    (tmp_path / "chat.jsonl").write_text(ROW)
    with pytest.raises(SelectionError):
        opened(tmp_path / "chat.jsonl", selection)


def test_a_configuration_is_chosen(tmp_path: Path) -> None:
    """Of a folder in the Hub's layout with several configurations, the one that is named."""
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "rows.csv").write_text(f"prompt,completion\nq,{name}\n")
    configs = "".join(f"- config_name: {name}\n  data_files: {name}/*.csv\n" for name in ("first", "second"))
    (tmp_path / "README.md").write_text(f"---\nconfigs:\n{configs}---\n")
    assert rows_of(tmp_path, Selection({}, config="second")) == [{"prompt": "q", "completion": "second"}]
    with pytest.raises(SourceError, match=r"first.*second"):
        opened(tmp_path)
