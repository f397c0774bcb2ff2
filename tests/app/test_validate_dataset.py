"""A validation that takes several invocations, one whose worker dies, and one that nobody wants any more."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from shared.domain.run.parts import Requests, SourceFile
from shared.domain.run.run import Run
from shared.domain.run.stages import Stage
from shared.workflow.save_progress import update_run
from shared.workflow.steps import validate_dataset
from shared.workflow.steps.validate_dataset import CHECKPOINT_EVERY, LONGEST_INVOCATION
from shared.workflow.steps.validation_turns import AT_ONCE, TURN_SECONDS, WAITS_SECONDS, ValidationTurns
from tests.app.fake_storage import MemoryUploads
from tests.app.fakes import World
from tests.app.worlds import Crash, advance, drive, upload
from tests.dataset.checking import assistant, good_rows, jsonl, user
from tests.dataset.test_tool_text import OPENAI, WRITTEN

QA = [user("Q"), assistant("A")]
WHOLE_LIFE = timedelta(minutes=20)  # of a run after its validation, in a world without waiting
DATA = jsonl(good_rows(40_000))  # 5 MB, read in pieces of 4 KiB


class SlowUploads(MemoryUploads):
    """Uploads of which each piece takes a while; `after` is called with the number of pieces so far."""

    def __init__(self, world: World, pace: timedelta) -> None:
        super().__init__()
        self._world, self._pace = world, pace
        self.pieces = 0
        self.offsets: list[int] = []
        self.dies_at = self.canceled_at = -1

    def read(self, file: SourceFile, offset: int = 0) -> Iterator[bytes]:
        """See `Uploads.read`."""
        self.offsets.append(offset)
        for piece in super().read(file, offset):
            self._world.now += self._pace
            self.pieces += 1
            if self.pieces == self.dies_at:
                raise Crash
            if self.pieces == self.canceled_at:
                (run_id,) = self._world.runs.blobs
                update_run(self._world.runs, run_id, self._canceled)
            yield piece

    def _canceled(self, run: Run) -> Run:
        return msgspec.structs.replace(run, requests=Requests(cancel_at=self._world.now))


def _slow_world(pace: timedelta) -> tuple[World, SlowUploads]:
    world = World()
    uploads = SlowUploads(world, pace)
    world.uploads = uploads
    return world, uploads


def _snapshot_of_one_go(name: str, body: bytes) -> dict[str, bytes]:
    world, _ = _slow_world(timedelta(0))
    advance(world, upload(world, name, body))
    return {path.partition("/")[2]: data for path, data in world.datasets.files.items()}


@pytest.mark.parametrize("name", ["d.jsonl", "d.jsonl.gz"])
def test_a_long_validation_takes_several_invocations(name: str) -> None:
    """Each ends in time, the next goes on where it stopped, and the snapshot is that of one go."""
    body = gzip.compress(DATA) if name.endswith(".gz") else DATA
    pace = LONGEST_INVOCATION * 3 / (len(body) / 4096)
    world, uploads = _slow_world(pace)
    run_id = upload(world, name, body)
    first = world.now
    for _ in range(20):
        began = world.now
        run = advance(world, run_id)
        again = timedelta(0) if name == "d.jsonl" else began - first
        assert world.now - began < LONGEST_INVOCATION + CHECKPOINT_EVERY + 2 * pace + again + WHOLE_LIFE
        if run.stage is not Stage.RECEIVED:
            break
        assert run.due is not None
        assert run.due - world.now < timedelta(minutes=1)
        world.now = run.due
    assert len(uploads.offsets) >= 3
    assert (uploads.offsets[1] > 0) == (name == "d.jsonl")
    written = {path.partition("/")[2]: data for path, data in world.datasets.files.items()}
    assert written == _snapshot_of_one_go(name, body)
    assert world.datasets.checkpoints == {}


def test_a_worker_that_dies_loses_what_it_did_since_the_last_checkpoint() -> None:
    """And that is less than a minute of work."""
    world, uploads = _slow_world(timedelta(seconds=1))
    run_id = upload(world, "d.jsonl", DATA)
    uploads.dies_at = 500
    with pytest.raises(Crash):
        advance(world, run_id)
    world.run_lock.held.clear()
    advance(world, run_id)
    assert 500 * 4096 - uploads.offsets[1] < 60 * 4096
    written = {path.partition("/")[2]: data for path, data in world.datasets.files.items()}
    assert written == _snapshot_of_one_go("d.jsonl", DATA)


def test_a_cancellation_stops_a_validation() -> None:
    """Within twenty seconds of work, and nothing of the snapshot appears."""
    world, uploads = _slow_world(timedelta(seconds=1))
    run_id = upload(world, "d.jsonl", DATA)
    uploads.canceled_at = 100
    run = advance(world, run_id)
    assert run.stage is Stage.CANCELED
    assert uploads.pieces <= 100 + 2 * CHECKPOINT_EVERY.total_seconds() + 32
    assert world.datasets.files == {}
    assert world.datasets.checkpoints == {}


def test_validations_take_turns() -> None:
    """No name has all of them, who has had none comes first, and whoever goes on hears that others wait."""
    clock = [0.0]
    turns = ValidationTurns(lambda: clock[0])
    greedy = [f"ft-greedy-{number}" for number in range(20)]
    begun = [run for number, run in enumerate(greedy) if turns.begin(run, f"greedy-{number}")]
    assert begun == greedy[: AT_ONCE - 1]
    assert turns.others_wait(begun[0])
    assert turns.begin("ft-honest", "honest")
    turns.end("ft-honest", finished=True)
    assert not turns.begin("ft-greedy-7", "greedy-7")
    turns.end(begun[0], finished=False)
    assert not turns.begin(begun[0], "greedy-0")
    assert turns.begin(greedy[9], "greedy-9")
    clock[0] += WAITS_SECONDS
    turns.end(greedy[9], finished=True)
    assert turns.begin(begun[0], "greedy-0"), "nobody has asked for a while"
    assert not turns.others_wait(begun[0])


def test_a_long_validation_makes_way_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a minute it stops at its checkpoint, and goes on later."""
    turns = ValidationTurns()
    monkeypatch.setattr(validate_dataset, "TURNS", turns)
    world, uploads = _slow_world(timedelta(seconds=1))
    run_id = upload(world, "d.jsonl", DATA)
    for number in range(AT_ONCE + 1):
        turns.begin(f"ft-other-{number}", f"other{chr(97 + number)}")
    began = world.now
    assert advance(world, run_id).report is None, "it is not its turn"
    assert uploads.pieces == 0
    turns.end("ft-other-0", finished=True)
    turns.end("ft-other-1", finished=True)
    world.now = began + timedelta(minutes=1)
    began = world.now
    assert advance(world, run_id).report is None
    assert world.now - began < timedelta(seconds=2 * TURN_SECONDS)
    assert world.datasets.checkpoints


@pytest.mark.parametrize(
    ("asked", "row", "pinned"),
    [
        ({"tools": "as_text"}, OPENAI, WRITTEN),
        ({"tools": "drop_rows"}, OPENAI, None),
        (
            {"preference": "use_chosen"},
            {"prompt": "Q", "chosen": "A", "rejected": "B"},
            [user("Q"), assistant("A")],
        ),
        (
            {"pretemplated": "strip"},
            {"prompt": "[INST] Q [/INST]", "completion": "A"},
            [user("Q"), assistant("A")],
        ),
        (
            {"ignore_keys": ["lang"]},
            {"prompt": "Q", "completion": "A", "lang": "x"},
            [user("Q"), assistant("A")],
        ),
    ],
)
def test_what_run_json_asks_for_is_what_is_pinned(
    asked: dict[str, Any], row: dict[str, Any], pinned: list[dict[str, Any]] | None
) -> None:
    """And without it the dataset is rejected, which names the way out."""
    body = jsonl([*good_rows(60), json.dumps(row).encode()])
    world = World()
    world.uploads.put("chat/run.json", json.dumps(asked).encode())
    drive(world, upload(world, "chat/train.jsonl", body), Stage.LIVE)
    lines = b"".join(
        data for path, data in world.datasets.files.items() if path.endswith(".jsonl")
    ).splitlines()
    assert len(lines) == 60 + (pinned is not None)
    assert pinned is None or pinned in [json.loads(line)["messages"] for line in lines]
    refused = World()
    run = drive(refused, upload(refused, "chat/train.jsonl", body), Stage.REJECTED)
    assert run.error is not None
    assert next(iter(asked)) in run.error.message
