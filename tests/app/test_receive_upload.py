"""Uploads through the app: parts become files all at once, the training file last."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from handlers.http.check_rows import check_rows
from handlers.http.receive_upload import complete_upload, receive_part
from shared.domain.errors import InvalidRunError, RequestError
from tests.app.fakes import World
from tests.app.worlds import SETTINGS, rows

UPLOAD = "9f86d081884c7d65"


def send(world: World, name: str, file: str, *contents: bytes) -> dict[str, Any]:
    """Send the parts of a file; returns how `complete` names it."""
    parts = [f"{UPLOAD}-{number:05}" for number in range(len(contents))]
    for part, content in zip(parts, contents, strict=True):
        assert receive_part(name, file, part, content, world.services).status == 204
    return {"name": file, "parts": parts}


def complete(world: World, name: str, *files: dict[str, Any], **options: Any) -> dict[str, Any]:
    """Complete an upload."""
    body = msgspec.json.encode({"files": files, "options": options})
    answer = complete_upload(name, body, container="uploads", settings=SETTINGS, services=world.services)
    shown: dict[str, Any] = msgspec.json.decode(answer.body)
    return shown


def test_an_upload_becomes_a_run_with_its_options() -> None:
    """Nothing is there before it is complete; what an earlier upload left would be used, and goes."""
    world = World()
    for path in ("team/a/test.jsonl", "team/a/run.json", "team/a/train.jsonl.gz", "team/a/b/test.jsonl"):
        world.uploads.put(path, b"x")
    lines = rows(100)
    train = send(world, "team%2Fa", "train.jsonl", lines[:1000], lines[1000:])
    assert "team/a/train.jsonl" not in world.uploads.files
    told = complete(world, "team%2Fa", train, lifetime_hours=2)
    assert told["path"] == "team/a/train.jsonl"
    assert told["removed"] == ["team/a/run.json", "team/a/test.jsonl", "team/a/train.jsonl.gz"]
    assert sorted(world.uploads.files) == [
        "team/a/_SUCCESS",
        "team/a/b/test.jsonl",
        "team/a/run.json",
        "team/a/train.jsonl",
    ]
    assert world.uploads.files["team/a/train.jsonl"][1] == lines


@pytest.mark.parametrize(
    ("name", "file", "part", "content"),
    [
        ("..", "train.jsonl", f"{UPLOAD}-00000", b"x"),
        ("a%00b", "train.jsonl", f"{UPLOAD}-00000", b"x"),
        ("a", "run.json", f"{UPLOAD}-00000", b"x"),
        ("a", "rows.jsonl", f"{UPLOAD}-00000", b"x"),
        ("a", "../train.jsonl", f"{UPLOAD}-00000", b"x"),
        ("a", "train.jsonl", "0", b"x"),
        ("a", "train.jsonl", f"{UPLOAD}-00000", b""),
    ],
)
def test_what_is_no_part_of_a_dataset_is_refused(name: str, file: str, part: str, content: bytes) -> None:
    """Before anything is sent to storage."""
    world = World()
    with pytest.raises(RequestError) as refused:
        receive_part(name, file, part, content, world.services)
    assert refused.value.status == 400


def test_an_upload_that_cannot_be_completed_changes_nothing() -> None:
    """Options over a bound, a missing part, two files of one kind, none to train with."""
    world = World()
    world.uploads.put("a/test.jsonl", b"of an earlier upload")
    train = send(world, "a", "train.jsonl", b"{}")
    zipped = send(world, "a", "train.jsonl.gz", b"{}")
    validation = send(world, "a", "validation.jsonl", b"{}")
    before = dict(world.uploads.files)
    with pytest.raises(InvalidRunError, match="instance_count"):
        complete(world, "a", train, instance_count=0)
    for files in ((validation,), (train, zipped), ({"name": "train.jsonl", "parts": ["x"]},)):
        with pytest.raises(RequestError) as refused:
            complete(world, "a", *files)
        assert refused.value.status == 400
    assert world.uploads.files == before


@pytest.mark.parametrize(("policy", "verdict"), [("strict", "rejected"), ("drop", "accepted")])
def test_rows_are_checked_as_a_run_checks_them(policy: str, verdict: str) -> None:
    """With the first findings; nothing is kept."""
    body = rows(200) + b"[]\n"
    shown = msgspec.json.decode(check_rows(body, {"row_policy": policy}, SETTINGS).body)
    assert (shown["verdict"], shown["rows"], shown["rows_kept"]) == (verdict, 201, 200)
    assert (shown["issues"][0]["code"], shown["issues"][0]["line"]) == ("E104", 201)


@pytest.mark.parametrize(("body", "query"), [(b" \n", {}), (b"{}", {"row_policy": "lenient"})])
def test_a_check_of_nothing_is_refused(body: bytes, query: dict[str, str]) -> None:
    """So is a policy that there is not."""
    with pytest.raises(RequestError) as refused:
        check_rows(body, query, SETTINGS)
    assert refused.value.status == 400
