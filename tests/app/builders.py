"""Records as they look in each stage, for tests to start from."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from shared.domain.dataset import SmokeSample, Split, Verdict
from shared.domain.run.options import RunOptions
from shared.domain.run.parts import (
    EndpointRecord,
    JobRecord,
    Metrics,
    ModelRecord,
    ReportSummary,
    SmokeTest,
    Source,
    SourceFile,
    StageEntry,
    TrainingPlan,
)
from shared.domain.run.run import Run
from shared.domain.run.stages import Stage
from shared.domain.serving.attempts import ServingProgress
from shared.domain.serving.deployment import Deployment
from shared.domain.serving.record import BATCH_ROUTE, OPENAI_ROUTE, Serving, StrategyName
from shared.domain.serving.strategies.strategy import MODEL_FOLDER

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
RUN_ID = "ft-support-0123456789"
WORKSPACE = "5a7e1b3c-0000-4000-8000-000000000001"
DIGEST = "d" * 64

OPTIONS = RunOptions(
    base_model="Phi-4",
    parameters={},
    compute="gpu-cluster",
    compute_size="Standard_NC24ads_A100_v4",
    instance_type="Standard_NC24ads_A100_v4",
    instance_count=1,
    lifetime_hours=24,
    idle_minutes=60,
    row_policy="strict",
)

PLAN = TrainingPlan(
    base_model_id="azureml://registries/azureml/models/Phi-4/versions/7",
    base_model_name="Phi-4",
    base_model_version="7",
    component_id="azureml://registries/azureml/components/chat_completion_pipeline/versions/0.0.82",
    component_version="0.0.82",
    parameters={"num_train_epochs": 3, "learning_rate": 5e-6},
    compute="gpu-cluster",
    compute_size="Standard_NC24ads_A100_v4",
    gpus_per_node=1,
    display_name="Phi-4-support-bs1-cosine-ds2-lora-save_limit1-seqlen-1",
    create_compute=False,
)

PLAIN = Deployment(None, {"WORKER_COUNT": "1"}, 1)
"""What Azure ML serves a model with if nothing is chosen."""

PROGRESS = ServingProgress(order=tuple(StrategyName))
SERVING = Serving(strategy=StrategyName.MLFLOW, route=BATCH_ROUTE, concurrency=1, instances=1)

PATH = (
    Stage.RECEIVED,
    Stage.VALIDATED,
    Stage.TRAINING,
    Stage.TRAINED,
    Stage.REGISTERED,
    Stage.DEPLOYING,
    Stage.LIVE,
    Stage.DELETING,
    Stage.STOPPED,
)
"""The stages of a run to which nothing happens."""


def report(verdict: Verdict = Verdict.ACCEPTED, fingerprint: str = DIGEST) -> ReportSummary:
    """What a run keeps of its validation report."""
    return ReportSummary(
        verdict=verdict,
        reason="60 rows can be trained on."
        if verdict is Verdict.ACCEPTED
        else "3 of 60 rows cannot be read.",
        rows=dict.fromkeys(Split, 20),
        rows_read=60,
        rows_dropped=0,
        counts={},
        tokens=6_000,
        fingerprint=fingerprint,
    )


def a_run(stage: Stage = Stage.RECEIVED, *, now: datetime = NOW, **changes: Any) -> Run:
    """A run that has just entered `stage`, with all that it then has; `changes` are laid over it."""
    steps = _steps_to(stage)
    history = tuple(
        StageEntry(stage=step, at=now - timedelta(minutes=len(steps) - 1 - index))
        for index, step in enumerate(steps)
    )
    facts: dict[str, Any] = {}
    if stage is not Stage.RECEIVED:
        facts |= {
            "report": report(Verdict.REJECTED if stage is Stage.REJECTED else Verdict.ACCEPTED),
            "smoke_sample": (SmokeSample(messages=[{"role": "user", "content": "Hello?"}], expected="Hi!"),),
        }
    if Stage.TRAINING in steps:
        facts |= {
            "plan": PLAN,
            "claimed": True,
            "billable": True,
            "workspace_id": WORKSPACE,
            "job": JobRecord(name=RUN_ID, status="Completed" if Stage.TRAINED in steps else "Running"),
        }
    if Stage.REGISTERED in steps:
        facts |= {
            "metrics": Metrics(latest={"eval_loss": 1.5}, history={}, train_loss=1.25, eval_loss=1.5),
            "model": ModelRecord(
                name="Phi-4-support", version=RUN_ID, id="/models/Phi-4-support", folder=MODEL_FOLDER
            ),
        }
    if Stage.DEPLOYING in steps:
        facts["serving"] = PROGRESS
    if Stage.LIVE in steps:
        facts |= {
            "serving": msgspec.structs.replace(PROGRESS, route=OPENAI_ROUTE),
            "smoke_tests": (
                SmokeTest(prompt=[{"role": "user", "content": "Hello?"}], expected="Hi!", reply="Hey!"),
            ),
            "endpoint": EndpointRecord(
                name=RUN_ID,
                scoring_uri=f"https://{RUN_ID}.localregion.inference.ml.azure.com/score",
                auth_mode="aad_token",
                serving=SERVING,
                live_since=now,
                expires_at=now + timedelta(hours=24),
                public=True,
            ),
        }
    run = Run(
        run_id=RUN_ID,
        dataset="support",
        source=Source(
            container="uploads", files=(SourceFile(path="support.jsonl", etag='"0x1"', size=1000),)
        ),
        options=OPTIONS,
        stage=stage,
        history=history,
        due=None if stage.at_rest else now,
        **facts,
    )
    return msgspec.structs.replace(run, **changes)


def _steps_to(stage: Stage) -> tuple[Stage, ...]:
    if stage is Stage.DELETED:
        return (*PATH[:-1], stage)
    if stage in PATH:
        return PATH[: PATH.index(stage) + 1]
    before = {Stage.REJECTED: 1, Stage.DUPLICATE: 2, Stage.FAILED: 2, Stage.CANCELED: 2}[stage]
    return (*PATH[:before], stage)
