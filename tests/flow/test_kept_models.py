"""Whatever Azure ML refuses: one training, a registered model, the run live or stopped with the reason."""

from __future__ import annotations

import json
import uuid
from datetime import timedelta
from typing import Any, NamedTuple

import pytest

from handlers.http.request_changes import start_run
from shared.domain.run.names import run_id_of
from shared.domain.run.run import Run
from shared.domain.run.stages import Stage
from tests.flow.conftest import Flow

SHORT = timedelta(minutes=12)
MOST_ADVANCES = 250


class Trouble(NamedTuple):
    """Something that Azure ML may do to a run.

    Attributes:
        faults: Of the emulator, in its own words.
        end: Where the run gets to without anybody's help.
        words: What its reason has; None where there is none.
        lifted: After how long the trouble is over by itself.
        jobs: Jobs that are submitted.
        number: Which of its names the endpoint has in the end.
    """

    faults: tuple[dict[str, Any], ...]
    end: Stage = Stage.STOPPED
    words: str | None = None
    lifted: timedelta | None = None
    jobs: int = 1
    suffix: str = ""


def refused(operation: str, status: int, code: str, message: str, count: int | None = None) -> dict[str, Any]:
    """A call that is answered with an error, in Azure's form."""
    error = {"error": {"code": code, "message": message}}
    return {"match": {"operation": operation}, "status": status, "body": error, "count": count}


def ended(kind: str, message: str, count: int | None = None) -> dict[str, Any]:
    """A long-running operation that fails."""
    outcome = {"status": "Failed", "error": {"code": "OutOfCapacity", "message": message}}
    return {"match": {"operation": kind}, "operation": outcome, "count": count}


FULL = "The specified VM size failed to provision due to a lack of Azure Machine Learning capacity."
TAKEN = "There is already an endpoint with this name, Endpoint name needs to be unique within a region."
QUOTA = "Not enough quota available for Standard_NC24ads_A100_v4."
NOWHERE = "The specified resource was not found."
CRASHED = "ResourceNotReady: User container has crashed or terminated."
PREEMPTED = {"child": "chat_completion_finetune", "message": "The node of the job was preempted."}
TROUBLES = {
    "no capacity for two hours": Trouble(
        (refused("deployments.put", 400, "OutOfCapacity", FULL),), Stage.LIVE, lifted=timedelta(hours=2)
    ),
    "no capacity": Trouble((ended("deployment.create", FULL),), words=FULL),
    "no quota": Trouble((refused("deployments.put", 400, "BadArgument", QUOTA),), words=QUOTA),
    "endpoint name taken": Trouble(
        (refused("endpoints.put", 400, "BadRequest", TAKEN, count=1),), Stage.LIVE, suffix="-2"
    ),
    "endpoint name held": Trouble(
        (refused("endpoints.put", 404, "NotFound", NOWHERE, count=8),), Stage.LIVE, suffix="-2"
    ),
    "create answers 404": Trouble((refused("endpoints.put", 404, "NotFound", NOWHERE),), words=NOWHERE),
    "the endpoint fails": Trouble(
        (ended("endpoint.create", "No addresses are left."),), words="No addresses"
    ),
    "registration refused": Trouble(
        (refused("models.put", 403, "RequestDisallowedByPolicy", "Not here."),), words="Not here."
    ),
    "metrics unreadable": Trouble(
        ({"match": {"path": "/mlflow/.*/runs/search"}, "status": 403, "count": None},), Stage.LIVE
    ),
    "still warming up": Trouble(
        ({"container": {"status": 502, "reason": "warming up"}, "count": 4},), Stage.LIVE
    ),
    "all strategies fail": Trouble((ended("deployment.create", CRASHED),), words="crashed"),
    "preempted": Trouble(({"job": PREEMPTED, "count": 1},), Stage.LIVE, jobs=2),
}


def sample() -> bytes:
    """Good conversations that no other test has."""
    turns = [{"role": "user", "content": uuid.uuid4().hex}, {"role": "assistant", "content": "So be it."}]
    return json.dumps({"messages": turns}).encode() + b"\n"


def live_through(flow: Flow, run_id: str, trouble: Trouble) -> Run:
    """Advance the run whenever it is due, until it is live or rests."""
    over = flow.clock[0] + trouble.lifted if trouble.lifted else None
    for _ in range(MOST_ADVANCES):
        run = flow.advance(run_id)
        if run.stage is Stage.LIVE or run.at_rest:
            return run
        assert run.due is not None
        flow.clock[0] = max(flow.clock[0], run.due)
        if over is not None and flow.clock[0] >= over:
            flow.emulator.clear_faults()
    raise AssertionError(f"{run_id} is still {run.stage}: {run.last_fault}")


@pytest.mark.parametrize("name", TROUBLES)
def test_a_model_is_trained_once_whatever_is_refused(flow: Flow, name: str) -> None:
    """The run gets there by itself, or stops and says why; then a start makes it live."""
    trouble = TROUBLES[name]
    longest = SHORT if trouble.lifted is None else 2 * trouble.lifted
    flow = flow.configured(
        deployment_deadline_minutes=longest.total_seconds() / 60,
        fault_deadline_hours=longest.total_seconds() / 3600,
    )
    run_id = flow.upload(f"d{uuid.uuid4().hex[:10]}.jsonl", b"".join(sample() for _ in range(40)))
    for fault in trouble.faults:
        flow.emulator.add_fault(**fault)
    run = live_through(flow, run_id, trouble)
    assert run.stage is trouble.end, (run.error, run.last_fault)
    if run.stage is Stage.STOPPED:
        assert run.error is not None
        assert trouble.words is not None
        assert trouble.words in run.error.message
        assert flow.emulator.resources("endpoints")["endpoints"] == []
        flow.emulator.clear_faults()
        start_run(run_id, {}, settings=flow.settings, services=flow.services)
        run = flow.drive(run_id, Stage.LIVE)
    assert run.endpoint is not None
    assert run_id_of(run.endpoint.name) == run_id
    assert run.endpoint.name.endswith(trouble.suffix)
    assert [path.rpartition("/")[2] for path in flow.calls("PUT", "/jobs/")] == [
        run_id,
        *(f"{run_id}-{number}" for number in range(2, trouble.jobs + 1)),
    ]
    assert run.model is not None
    assert flow.services.training.register(run, run.plan).id == run.model.id  # type: ignore[arg-type]
