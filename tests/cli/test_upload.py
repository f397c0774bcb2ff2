"""The upload tool, against a real Azurite."""

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.csv
import pyarrow.parquet
import pytest
from azure.storage.blob import ContainerClient

from finetune.cli.program import main
from local.azurite import Azurite
from shared.domain.run.names import run_id_for
from tests.cli.conftest import KEY, SAMPLE, SAMPLES, Run


def chat(number: int) -> dict[str, Any]:
    """A row as ultrachat_200k has them."""
    question = f"What is {number} plus one?"
    messages = [{"content": question, "role": "user"}, {"content": f"{number + 1}", "role": "assistant"}]
    return {"prompt": question, "prompt_id": str(number), "messages": messages}


def test_a_file_is_uploaded_as_it_is_and_its_run_named(run: Run, uploads: ContainerClient) -> None:
    """A JSON Lines file goes up byte for byte, and the last line on stdout names the run it opens."""
    code, out, _ = run(SAMPLE, "--name", "chat")
    blob = uploads.get_blob_client("chat.jsonl")
    assert code == 0
    assert blob.download_blob().readall() == SAMPLE.read_bytes()
    etag = blob.get_blob_properties().etag
    assert json.loads(out) == {
        "run_id": run_id_for("uploads", "chat.jsonl", etag),
        "path": "chat.jsonl",
        "stage": None,
    }


def test_a_file_of_several_blocks_arrives_whole(run: Run, uploads: ContainerClient, tmp_path: Path) -> None:
    """A file too large for a single request goes up in blocks, in their order."""
    source = tmp_path / "long.jsonl"
    answer = "All of this is known, and more. " * 700
    with source.open("w") as file:
        for number in range(1_200):
            row = {"messages": [*chat(number)["messages"][:1], {"role": "assistant", "content": answer}]}
            file.write(json.dumps(row) + "\n")
    code, _, err = run(source, "--context-window", "16384")
    assert code == 0, err
    blob = uploads.get_blob_client("long.jsonl")
    committed, _ = blob.get_block_list()
    assert len(committed) == 4
    assert sum(block.size for block in committed) == source.stat().st_size
    assert blob.download_blob().readall() == source.read_bytes()


def test_an_unfit_dataset_is_not_sent(run: Run, uploads: ContainerClient, tmp_path: Path) -> None:
    """The local check rejects what the cloud would, with the same words, and nothing leaves the machine."""
    report = tmp_path / "report.json"
    code, out, err = run(SAMPLES / "broken.jsonl", "--report", report)
    assert (code, out) == (1, "")
    assert "broken.jsonl:20 E205" in err
    assert json.loads(report.read_text())["counts"]["E205"] == 1
    assert list(uploads.list_blob_names()) == []


def test_check_only_needs_no_account(run: Run, tmp_path: Path) -> None:
    """`--check-only` works without any target, and can write the page."""
    page = tmp_path / "report.html"
    code, _, err = run(SAMPLE, "--check-only", "--report", page, target=False)
    assert code == 0
    assert "accepted" in err
    assert page.read_text().startswith("<!doctype html>")


def test_run_options_are_written_before_the_training_file(run: Run, uploads: ContainerClient) -> None:
    """Flags become `run.json`, which is in place when the training file arrives and opens the run."""
    code, out, _ = run(
        *(
            SAMPLE,
            "--name",
            "chat",
            "--base-model",
            "Phi-4:8",
            "--idle-minutes",
            "15",
            "--force",
        ),
        *(
            "--parameter",
            "learning_rate=1e-5",
            "--parameter",
            "precision=16",
            "--parameter",
            "optim=adamw_torch",
        ),
    )
    assert code == 0
    assert json.loads(out)["path"] == "chat/train.jsonl"
    assert json.loads(uploads.download_blob("chat/run.json").readall()) == {
        "base_model": "Phi-4:8",
        "idle_minutes": 15.0,
        "force": True,
        "parameters": {"learning_rate": 1e-5, "precision": 16, "optim": "adamw_torch"},
    }
    written = {blob.name: blob.last_modified for blob in uploads.list_blobs()}
    assert written["chat/run.json"] <= written["chat/train.jsonl"]


def test_a_folder_is_uploaded_with_its_companions(run: Run, uploads: ContainerClient, tmp_path: Path) -> None:
    """A folder with train, validation and test files keeps its splits, compressed or not."""
    folder = tmp_path / "sums"
    folder.mkdir()
    for split, first in (("train", 0), ("validation", 100), ("test", 200)):
        lines = "".join(json.dumps(chat(number)) + "\n" for number in range(first, first + 20))
        (folder / f"{split}.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    code, out, _ = run(folder)
    assert code == 0
    assert json.loads(out)["path"] == "sums/train.jsonl.gz"
    assert sorted(uploads.list_blob_names()) == [
        f"sums/{split}.jsonl.gz" for split in ("test", "train", "validation")
    ]


def test_a_companion_of_another_suffix_is_checked_and_sent(
    run: Run, uploads: ContainerClient, tmp_path: Path
) -> None:
    """A test file that is not compressed as the training file is counts all the same, here and there."""
    folder = tmp_path / "sums"
    folder.mkdir()
    for name, first, count in (("train.jsonl.gz", 0, 40), ("test.jsonl", 100, 7)):
        lines = "".join(json.dumps(chat(number)) + "\n" for number in range(first, first + count)).encode()
        (folder / name).write_bytes(gzip.compress(lines) if name.endswith("gz") else lines)
    code, _, err = run(folder)
    assert code == 0
    assert "7 for test" in err
    assert sorted(uploads.list_blob_names()) == ["sums/test.jsonl", "sums/train.jsonl.gz"]


def test_the_options_of_a_folder_are_sent(run: Run, uploads: ContainerClient, tmp_path: Path) -> None:
    """A folder's own `run.json` holds, for the check too; the command line goes before it."""
    (tmp_path / "chat").mkdir()
    lines = [json.dumps(chat(number)) for number in range(40)]
    (tmp_path / "chat" / "train.jsonl").write_text("\n".join([*lines, "{not json"]) + "\n")
    options = {"row_policy": "drop", "idle_minutes": 5, "parameters": {"seed": 7}}
    (tmp_path / "chat" / "run.json").write_text(json.dumps(options))
    code, _, err = run("chat", "--idle-minutes", "15", "--parameter", "precision=16")
    assert code == 0, err
    assert json.loads(uploads.download_blob("chat/run.json").readall()) == {
        "row_policy": "drop",
        "idle_minutes": 15.0,
        "parameters": {"seed": 7, "precision": 16},
    }


def test_leftovers_of_an_earlier_upload_are_not_used_unnoticed(run: Run, uploads: ContainerClient) -> None:
    """A companion that an earlier upload left stops the upload, unless it may be deleted."""
    uploads.upload_blob("chat/test.jsonl", b"{}\n")
    arguments = (SAMPLE, "--name", "chat", "--row-policy", "drop")
    code, _, err = run(*arguments)
    assert code == 3
    assert "chat/test.jsonl of an earlier upload" in err
    assert "chat/train.jsonl" not in list(uploads.list_blob_names())
    assert run(*arguments, "--replace")[0] == 0
    assert sorted(uploads.list_blob_names()) == ["chat/run.json", "chat/train.jsonl"]


@pytest.mark.parametrize("leftover", ["test.jsonl.gz", "validation.jsonl.zst"])
def test_leftovers_are_found_under_every_suffix(run: Run, uploads: ContainerClient, leftover: str) -> None:
    """The cloud takes companions compressed in any way, so any of them is in the way."""
    uploads.upload_blob(f"chat/{leftover}", b"")
    code, _, err = run(SAMPLE, "--name", "chat", "--idle-minutes", "5")
    assert code == 3
    assert f"chat/{leftover} of an earlier upload" in err


@pytest.mark.parametrize("kind", ["csv", "parquet", "jsonl"])
def test_what_is_refused_in_one_kind_of_file_is_in_every(
    run: Run, uploads: ContainerClient, tmp_path: Path, kind: str
) -> None:
    """Preference data, a key of unknown effect, and what a flag allows: one verdict for tables and lines."""
    source = tmp_path / f"sums.{kind}"

    def check(extra: dict[str, str], *flags: str) -> tuple[int, str]:
        table = pyarrow.table(
            {
                "prompt": [f"q{n}" for n in range(40)],
                "completion": [f"a{n}" for n in range(40)],
                **{key: [value] * 40 for key, value in extra.items()},
            }
        )
        if kind == "csv":
            pyarrow.csv.write_csv(table, source)
        elif kind == "parquet":
            pyarrow.parquet.write_table(table, source)
        else:
            source.write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))
        code, _, err = run(source, "--check-only", *flags)
        return code, err

    assert check({"id": "7"})[0] == 0
    code, err = check({"lang": "de"})
    assert code == 1
    assert "E215" in err
    code, err = check({"lang": "de"}, "--ignore-key", "lang")
    assert code == 0
    assert "lang (40)" in err
    code, err = check({"rejected": "no"})
    assert code == 1
    assert "preference data (E401) in 40 of 40 rows" in err
    code, err = check({"image": "a.png"}, "--vision", "drop_rows")
    assert code == 1
    assert "W108" in err
    assert list(uploads.list_blob_names()) == []


@pytest.mark.parametrize("kind", ["parquet", "json", "csv", "folder"])
def test_tables_are_converted(run: Run, uploads: ContainerClient, tmp_path: Path, kind: str) -> None:
    """What `datasets` reads becomes JSON Lines: by split, by percentage, and without the nulls of tables."""
    rows = [chat(number) for number in range(200)]
    rows[5]["messages"][0]["name"] = "Ann"
    source = tmp_path / f"sums.{kind}"
    arguments = [source, "--name", "sums", "--percent", "20"]
    if kind == "json":
        source.write_text(json.dumps(rows))
    elif kind == "csv":
        table = pyarrow.table(
            {"prompt": [f"q{n}" for n in range(200)], "completion": [f"a{n}" for n in range(200)]}
        )
        pyarrow.csv.write_csv(table, source)
    elif kind == "parquet":
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), source)
    else:
        (source / "data").mkdir(parents=True)
        for split, share in (("train_sft", rows), ("test_sft", rows[:50])):
            table = pyarrow.Table.from_pylist(share)
            pyarrow.parquet.write_table(table, source / "data" / f"{split}-00000-of-00001.parquet")
        (source / "README.md").write_text(
            "---\nconfigs:\n- config_name: default\n  data_files:\n"
            "  - split: train_sft\n    path: data/train_sft-*\n"
            "  - split: test_sft\n    path: data/test_sft-*\n---\n"
        )
        arguments += ["--split", "train_sft", "--test-split", "test_sft"]
    code, out, err = run(*arguments)
    assert code == 0, err
    path = json.loads(out)["path"]
    sent = [json.loads(line) for line in uploads.download_blob(path).readall().splitlines()]
    assert len(sent) == 40
    if kind == "csv":
        assert sent[7] == {"prompt": "q7", "completion": "a7"}
    else:
        assert sent == rows[:40]
    if kind == "folder":
        assert len(uploads.download_blob("sums/test.jsonl").readall().splitlines()) == 10


@pytest.mark.parametrize(
    ("dataset", "words"),
    [
        ("./nowhere.jsonl", "there is no file or folder"),
        ("notes.txt", "is none of"),
        ("broken.parquet", "broken.parquet: Parquet magic bytes"),
    ],
)
def test_an_unreadable_source_is_a_clear_error(run: Run, tmp_path: Path, dataset: str, words: str) -> None:
    """What cannot be read ends with code 3 and a sentence."""
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 not really")
    code, out, err = run(dataset)
    assert (code, out) == (3, "")
    assert words in err


def test_without_a_target_nothing_is_checked_or_sent(run: Run) -> None:
    """The tool says how to name an account when it knows none."""
    code, _, err = run(SAMPLE, target=False)
    assert code == 3
    assert "--storage" in err


def test_an_account_that_does_not_answer_is_a_clear_error(run: Run) -> None:
    """A wrong connection string ends with code 3."""
    code, _, err = run(SAMPLE, "--storage", "nonsense", target=False)
    assert code == 3
    assert "connection string" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--percent", "50"], "--percent cannot take a part"),
        (["--test-split", "test"], "--test-split and --config are for Hugging Face datasets"),
        (["--name", ".."], "cannot be called '..'"),
        (["--name", "a" * 129], "at most 128 characters"),
        (["--name", "a\nb"], "cannot be called"),
        (["--lifetime-hours", "-1"], "run.json 'lifetime_hours'"),
        (["--parameter", "lr_scheduler_type=cosinus"], "one of linear, cosine"),
        (["--parameter", "metric_for_best_model=f1"], "0.0.82 as published on 2026-07-23"),
    ],
)
def test_what_the_cloud_would_ignore_or_refuse_is_wrong_usage(
    run: Run, arguments: list[str], words: str
) -> None:
    """Options that mean nothing for the dataset, and names that open no run, end with code 2, at once."""
    code, out, err = run(SAMPLE, "--check-only", *arguments, target=False)
    assert (code, out) == (2, "")
    assert words in err
    assert "accepted" not in err


def test_the_check_can_be_held_to_other_rules(run: Run, tmp_path: Path) -> None:
    """An app whose settings differ from the defaults is followed with `--rule`."""
    dropping = (SAMPLES / "broken.jsonl", "--check-only", "--row-policy", "drop")
    assert "E303" in run(*dropping, target=False)[2]
    report = tmp_path / "report.json"
    rules = ("--rule", "max_dropped_percent=99.5", "--rule", "min_training_rows=1", "--report", report)
    assert "E303" not in run(*dropping, *rules, target=False)[2]
    assert json.loads(report.read_text())["rules"]["max_dropped_percent"] == 99.5


def test_what_is_not_listed_is_counted(run: Run, tmp_path: Path) -> None:
    """The terminal shows the first findings, and says what a report has of the rest."""
    (tmp_path / "bad.jsonl").write_text("{not json\n" * 50)
    report = tmp_path / "report.json"
    arguments = ("bad.jsonl", "--check-only", "--report", report)
    code, _, err = run(*arguments, target=False)
    assert code == 1
    assert "and 42 more; --report FILE.html lists the first 20 of each code" in err
    assert sum(issue["code"] == "E103" for issue in json.loads(report.read_text())["issues"]) == 20
    run(*arguments, "--rule", "issues_per_code=100", target=False)
    assert sum(issue["code"] == "E103" for issue in json.loads(report.read_text())["issues"]) == 50


def test_findings_name_the_file_that_was_given(run: Run, tmp_path: Path) -> None:
    """A row of a converted file is not looked for in a file that the user does not have."""
    rows = [{"prompt": f"q{number}", "completion": "a"} for number in range(40)]
    (tmp_path / "chat.json").write_text(json.dumps([*rows, {"prompt": "q"}]))
    code, _, err = run("chat.json", "--check-only", target=False)
    assert code == 1
    assert "chat.json (one row per line):41 E201" in err
    assert "train.jsonl" not in err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["x", "--percent", "0"],
        ["x", "--name", "a/b"],
        ["x", "--context-window", "0"],
        ["x", "--rule", "train_percent=50"],
        ["x", "--rule", "seed=x"],
        ["x", "--rule", "sed=1"],
        ["x", "--rule", "seed"],
        ["x", "--report", "nowhere/report.html"],
        ["x", "--report", "report.htm"],
    ],
)
def test_wrong_usage_has_a_code_of_its_own(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A command line that makes no sense ends with code 2."""
    try:
        code: object = main(["upload", *arguments, "--check-only"])
    except SystemExit as ended:
        code = ended.code
    assert code == 2
    assert re.search("usage|--rule", capsys.readouterr().err)


@pytest.mark.usefixtures("uploads")
def test_the_local_stack_is_found_by_itself(run: Run, azurite: Azurite, tmp_path: Path) -> None:
    """With a local stack running no address has to be given."""
    stack = {
        "blob_connection_string": azurite.connection_string,
        "functions_url": "http://x",
        "function_key": KEY,
    }
    (tmp_path / "stack.json").write_text(json.dumps(stack))
    assert run(SAMPLE, target=False)[0] == 0
