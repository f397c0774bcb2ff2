"""Opening a run: which uploads, with which companions and options, and how often."""

from __future__ import annotations

import json

import pytest

from shared.domain.errors import UploadReplacedError
from shared.domain.run.stages import Stage
from shared.workflow.open_run import take_upload
from tests.app.fakes import World
from tests.app.worlds import SETTINGS, rows, upload


def opened(world: World, path: str) -> list[str]:
    """Tell the app of a blob, as an event does."""
    return take_upload(path, container="uploads", settings=SETTINGS, services=world.services)


def test_an_upload_opens_a_run_with_the_settings_options() -> None:
    """The record holds the dataset, the version and what the settings say."""
    world = World()
    run = world.runs.load(upload(world)).run
    assert (run.dataset, run.stage, run.due) == ("support", Stage.RECEIVED, world.now)
    assert [file.path for file in run.source.files] == ["support.jsonl"]
    assert run.options == SETTINGS.default_options()


def test_the_same_event_again_changes_nothing() -> None:
    """However often an upload is told of, it has one run; another version has another."""
    world = World()
    first = upload(world)
    before = world.runs.load(first)
    assert opened(world, "support.jsonl") == [first]
    assert world.runs.load(first) == before
    assert upload(world) != first
    assert len(world.runs.blobs) == 2


@pytest.mark.parametrize("path", ["support/run.json", "support/test.jsonl", "notes.txt", "../x.jsonl/..", ""])
def test_other_blobs_open_nothing(path: str) -> None:
    """Companions and options without a training file, and strangers."""
    world = World()
    world.uploads.put(path, b"x")
    assert opened(world, path) == []
    assert world.runs.blobs == {}


def test_a_companion_leads_to_its_training_file() -> None:
    """Whichever event comes last, or comes at all, it is the folder's run."""
    world = World()
    first = upload(world, "team/a/Train.JSONL")
    world.uploads.put("team/a/validation.ndjson", rows(20))
    assert opened(world, "team/a/validation.ndjson") == [first]
    assert world.runs.load(first).run.dataset == "team/a"


def test_an_upload_that_is_gone_opens_nothing() -> None:
    """An event that comes after the deletion is no error."""
    assert opened(World(), "support.jsonl") == []


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".jsonl.zst"])
def test_companions_come_along(suffix: str) -> None:
    """Validation and test files beside `train` belong to the run, each in a fixed version."""
    world = World()
    for name in ("validation", "test", "other"):
        world.uploads.put(f"support/{name}{suffix}", b"x")
    run = world.runs.load(upload(world, f"support/train{suffix}")).run
    assert [file.path for file in run.source.files] == [
        f"support/{name}{suffix}" for name in ("train", "validation", "test")
    ]
    assert all(file.etag for file in run.source.files)


def test_a_companion_may_be_compressed_otherwise() -> None:
    """A plain validation file beside a compressed training file is not overlooked."""
    world = World()
    world.uploads.put("support/validation.jsonl", b"x")
    world.uploads.put("support/test.jsonl.zst", b"x")
    run = world.runs.load(upload(world, "support/train.jsonl.gz")).run
    assert [file.path for file in run.source.files] == [
        "support/train.jsonl.gz",
        "support/validation.jsonl",
        "support/test.jsonl.zst",
    ]


def test_a_file_without_a_folder_has_no_companions() -> None:
    """`validation.jsonl` beside `support.jsonl` is a dataset of its own."""
    world = World()
    world.uploads.put("validation.jsonl", rows())
    world.uploads.put("run.json", b'{"force": true}')
    run = world.runs.load(upload(world)).run
    assert len(run.source.files) == 1
    assert run.options.force is False


def test_run_json_overrides_the_settings() -> None:
    """Options that were uploaded before the dataset hold for its run."""
    world = World()
    world.uploads.put("support/run.json", json.dumps({"force": True, "lifetime_hours": 2}).encode())
    options = world.runs.load(upload(world, "support/train.jsonl")).run.options
    assert (options.force, options.lifetime_hours) == (True, 2)


def test_what_run_json_says_is_kept_as_long_as_it_is_short() -> None:
    """To be shown beside what is used."""
    for padding, kept in ((0, True), (5_000, False)):
        world = World()
        given = {"compute_size": ["Standard_NC24ads_A100_v4"], "parameters": {"seed": 1}}
        world.uploads.put("support/run.json", json.dumps(given).encode() + b" " * padding)
        run = world.runs.load(upload(world, "support/train.jsonl")).run
        assert run.given_options == (given if kept else {})
        assert run.options.parameters["seed"] == 1


def test_a_faulty_run_json_rejects_the_upload() -> None:
    """Nothing is trained with options that nobody meant; every fault is in the message."""
    world = World()
    world.uploads.put("support/run.json", b'{"epochs": 3, "instance_count": 0}')
    run = world.runs.load(upload(world, "support/train.jsonl")).run
    assert run.stage is Stage.REJECTED
    assert run.error is not None
    assert run.error.code == "InvalidOptions"
    assert "epochs" in run.error.message
    assert "instance_count" in run.error.message
    assert run.due is None


@pytest.mark.parametrize(("hours", "stage"), [(168, Stage.RECEIVED), (168.5, Stage.REJECTED)])
def test_no_run_lives_longer_than_the_setting_allows(hours: float, stage: Stage) -> None:
    """A lifetime over ENDPOINT_MAX_LIFETIME_HOURS is refused where it is asked for."""
    world = World()
    world.uploads.put("support/run.json", json.dumps({"lifetime_hours": hours}).encode())
    run = world.runs.load(upload(world, "support/train.jsonl")).run
    assert run.stage is stage
    if run.error is not None:
        assert (
            "the most is 168; an operator may change it: setting ENDPOINT_MAX_LIFETIME_HOURS"
            in run.error.message
        )


def test_options_replaced_while_they_are_read_are_read_again() -> None:
    """The event fails and is repeated by the host; no run is opened with half of each."""
    world = World()
    world.uploads.put("support/run.json", b"{}")
    find = world.uploads.find

    def replaced(path: str) -> object:
        found = find(path)
        if path.endswith("run.json"):
            world.uploads.put(path, b'{"force": true}')
        return found

    world.uploads.find = replaced  # type: ignore[assignment,method-assign]
    with pytest.raises(UploadReplacedError):
        upload(world, "support/train.jsonl")
    assert world.runs.blobs == {}
