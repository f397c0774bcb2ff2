"""`POST /api/preflight` answers as the run itself would end, and leaves nothing behind."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from handlers.http.show_preflight import show_preflight
from shared.domain.errors import InvalidRunError, RequestError, ServiceRefusedError, TransientServiceError
from shared.domain.run.stages import Stage
from tests.app.catalogue import PHI_3
from tests.app.fakes import World
from tests.app.worlds import SETTINGS, drive, rows, upload

BOUNDED = msgspec.structs.replace(SETTINGS, allow_retired_model=False, max_epochs=5)


def test_what_would_be_accepted_is_shown_and_nothing_is_made() -> None:
    """Also the rules that the dataset would be held to, which depend on the model's window."""
    world = World()
    options = {"parameters": {"num_train_epochs": 2}, "row_policy": "drop", "ignore_keys": ["lang"]}
    body = b"\xef\xbb\xbf" + json.dumps(options).encode()
    answered = json.loads(show_preflight(body, BOUNDED, world.services).body)
    assert answered["base_model_name"] == "Phi-4"
    assert answered["parameters"]["num_train_epochs"] == 2
    assert answered["options"]["row_policy"] == answered["rules"]["row_policy"] == "drop"
    assert "lang" in answered["rules"]["ignore_keys"]
    assert answered["rules"]["context_window"] == answered["parameters"]["max_seq_length"]
    assert world.cloud.begun == []


@pytest.mark.parametrize(
    "options",
    [
        {"base_model": "Phi-5"},
        {"base_model": PHI_3},
        {"parameters": {"num_train_epochs": 6}},
        {"parameters": {"lr_scheduler_type": "cosinus"}},
        {"parameters": {"auto_find_batch_size": True}},
        {"compute_size": "Standard_NC6s_v3"},
        {"instance_type": "Standard_DS3_v2"},
        {"lifetime": 3},
        {"lifetime_hours": 10_000},
    ],
)
def test_it_refuses_what_a_run_would_be_refused_for_in_the_same_words(options: dict[str, Any]) -> None:
    """Bounds, names, parameters and sizes: the message is that of the run's error."""
    with pytest.raises(InvalidRunError) as refused:
        show_preflight(json.dumps(options).encode(), BOUNDED, World().services)
    world = World()
    world.uploads.put("chat/run.json", json.dumps(options).encode())
    run_id = upload(world, "chat/train.jsonl", rows(), BOUNDED)
    run = world.runs.load(run_id).run
    if run.error is None:
        run = drive(world, run_id, Stage.FAILED, BOUNDED)
    assert run.error is not None
    assert (run.error.code, run.error.message) == (refused.value.code, refused.value.message)


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff"])
def test_a_body_that_is_no_object_is_the_callers_fault(body: bytes) -> None:
    """It is 400, as for every other route."""
    with pytest.raises(RequestError) as refused:
        show_preflight(body, SETTINGS, World().services)
    assert refused.value.status == 400


@pytest.mark.parametrize("call", ["base_model", "component", "vm_sizes"])
def test_a_service_that_refuses_is_a_verdict_and_one_that_is_busy_is_none(call: str) -> None:
    """A registry that may not be read, for instance: the run would fail with the same words."""
    world = World()
    world.cloud.faults[call] = [ServiceRefusedError("not allowed to read it", code="UserError")]
    with pytest.raises(InvalidRunError, match="not allowed to read it"):
        show_preflight(b"{}", SETTINGS, world.services)
    world.busy(call)
    with pytest.raises(TransientServiceError):
        show_preflight(b"{}", SETTINGS, world.services)
