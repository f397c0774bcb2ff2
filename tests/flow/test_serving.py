"""Each way of serving over the wire, on today's Azure and whatever else it may turn out to be."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from shared.domain.run.run import Run
from shared.domain.run.stages import Stage
from shared.domain.serving.chat import Chat
from shared.domain.serving.dialects import read_reply, upstream_request
from shared.domain.serving.record import (
    BATCH_ROUTE,
    OLD_OPENAI_ROUTE,
    OPENAI_ROUTE,
    SCORE_ROUTE,
    Route,
    StrategyName,
)
from shared.domain.serving.strategies.vllm_model_image import VllmModelImage
from shared.ports import ScoringTarget
from tests.flow.conftest import Flow

ENVIRONMENT, MODEL_IMAGE, MLFLOW = StrategyName
CRASH = {"status": "Failed", "error": {"message": "User container has crashed or terminated."}}


def rows() -> bytes:
    """Good conversations that no other test has."""
    turns = [
        {"messages": [{"role": role, "content": f"{word} {uuid.uuid4().hex}"} for role, word in pair.items()]}
        for pair in [{"user": "What is", "assistant": "It is"}] * 40
    ]
    return b"".join(json.dumps(row).encode() + b"\n" for row in turns)


def driven(flow: Flow, until: Stage = Stage.LIVE, **settings: Any) -> Run:
    """A new upload, carried to a stage."""
    other = flow.configured(**settings)
    return other.drive(other.upload(f"d{uuid.uuid4().hex[:10]}.jsonl", rows()), until)


def reply_of(flow: Flow, run: Run) -> str:
    """What a live run says, asked as its record has it."""
    live = run.endpoint
    assert live is not None
    target = ScoringTarget(live.name, live.scoring_uri, live.auth_mode, live.serving)
    chat = Chat(({"role": "user", "content": "What is it?"},), max_tokens=20)
    request = upstream_request(live.serving.route, chat)
    answer = flow.services.scoring.score(target, request, deployment=None)
    return read_reply(live.serving.route, answer, chat).text


@pytest.mark.parametrize(
    ("strategy", "route", "concurrency"),
    [(ENVIRONMENT, OPENAI_ROUTE, 8), (MODEL_IMAGE, OLD_OPENAI_ROUTE, 8), (MLFLOW, BATCH_ROUTE, 1)],
)
def test_each_strategy_alone_makes_a_run_live(
    flow: Flow, strategy: StrategyName, route: Route, concurrency: int
) -> None:
    """The record says how; what it says is enough to get a reply."""
    run = driven(flow, serving=(strategy,))
    assert run.endpoint is not None
    served = run.endpoint.serving
    assert (served.strategy, served.route, served.concurrency) == (strategy, route, concurrency)
    assert reply_of(flow, run)


@pytest.mark.parametrize(
    "switches",
    [
        {"model_dir_injected": False},
        {"crash_error": "ResourceNotReady"},
        {"headers_forwarded": False},
        {"model_folder": "mlflow_model_folder"},
    ],
)
def test_whatever_azure_does_the_first_strategy_serves(flow: Flow, switches: dict[str, Any]) -> None:
    """The open questions about environments have no say in it."""
    flow.emulator.set_switches(**switches)
    run = driven(flow)
    assert run.endpoint is not None
    assert run.endpoint.serving.strategy is ENVIRONMENT
    assert reply_of(flow, run)


def test_an_image_without_openai_routes_is_talked_to_by_score(
    flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The smoke test goes through the strategy's routes once; the record has the one that is there."""
    monkeypatch.setattr(
        VllmModelImage, "routes", (OPENAI_ROUTE, Route(OPENAI_ROUTE.dialect, "/none"), SCORE_ROUTE)
    )
    run = driven(flow, serving=(MODEL_IMAGE,))
    assert run.endpoint is not None
    assert run.endpoint.serving.route == SCORE_ROUTE
    assert reply_of(flow, run)


def test_when_the_first_two_fail_the_third_serves(flow: Flow) -> None:
    """Both failures are on record with their reasons, their deployments are gone, and the next run knows."""
    flow.emulator.add_fault(match={"operation": "deployment.create"}, operation=CRASH, count=2)
    run = driven(flow)
    assert run.serving is not None
    assert [one.strategy for one in run.serving.failed] == [ENVIRONMENT, MODEL_IMAGE]
    assert all("crashed" in one.message and one.removed for one in run.serving.failed)
    assert len(flow.calls("DELETE", f"/onlineEndpoints/{run.run_id}/deployments/main")) == 2
    assert reply_of(flow, run)
    second = driven(flow)
    assert second.serving is not None
    assert second.serving.order == (MLFLOW, ENVIRONMENT, MODEL_IMAGE)
    assert second.serving.failed == ()


def test_an_engine_that_did_not_start_is_found_out(flow: Flow) -> None:
    """The container is well, its OpenAI routes answer 500: the next strategy is tried."""
    flow.emulator.add_fault(container={"engine": "CUDA out of memory"}, count=1)
    run = driven(flow)
    assert run.serving is not None
    assert [one.code for one in run.serving.failed] == ["ModelError"]


def test_models_whose_metadata_name_no_image_are_served_by_mlflow(flow: Flow) -> None:
    """Without an environment Azure ML starts its MLflow server then: no reply in vLLM's dialects."""
    flow.emulator.set_switches(phi4_base_image=None)
    run = driven(flow, serving=(MODEL_IMAGE, MLFLOW))
    assert run.serving is not None
    assert [one.strategy for one in run.serving.failed] == [MODEL_IMAGE]
    assert reply_of(flow, run)


def test_a_component_without_fine_tune_configs_leaves_the_environment(flow: Flow) -> None:
    """Neither can the image be kept nor requirements be added: each is said, and the model is kept."""
    flow.emulator.set_switches(component_version="0.0.81")
    run = driven(flow, Stage.STOPPED, serving=(MODEL_IMAGE, MLFLOW), deployment_deadline_minutes=10)
    assert run.error is not None
    assert run.error.code == "NoServingStrategy"
    assert "vllm-model-image: training was not told" in run.error.message
    assert "mlflow: " in run.error.message
    assert flow.services.endpoints.endpoint(run.run_id, run.run_id) is None
    assert driven(flow, serving=(ENVIRONMENT,)).stage is Stage.LIVE


def test_the_base_model_is_asked_beside_and_is_gone_when_the_run_is_live(flow: Flow) -> None:
    """Over the wire: a second deployment without traffic answers the same rows, and is deleted first."""
    run = driven(flow, evaluate_base=True, evaluation_rows=4)
    assert run.base is not None
    assert run.base.why is None
    assert run.evaluation is not None
    assert run.evaluation.base_asked == run.evaluation.asked == 4
    assert run.evaluation.base_comparison is not None
    deployments = "/deployments/base"
    assert len(flow.calls("PUT", deployments)) == len(flow.calls("DELETE", deployments)) == 1
    left = flow.emulator.resources("deployments")["deployments"]
    assert [one["name"] for one in left] == ["main"]
