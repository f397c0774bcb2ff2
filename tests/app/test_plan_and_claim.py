"""Preflight refuses what cannot work, and the same content is trained once."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from shared.config import Settings
from shared.domain.errors import InvalidRunError, ServiceRefusedError
from shared.domain.run.observation import ComputeStatus, Provisioning
from shared.domain.run.parts import Requests
from shared.domain.run.run import Run
from shared.domain.run.stages import Stage
from shared.domain.training.capacity import Quota
from shared.domain.training.combinations import lora_config
from shared.workflow.steps.claim_content import claim_content
from shared.workflow.steps.plan_training import content_digest, plan_training
from tests.app.builders import NOW, OPTIONS, PLAN, RUN_ID, a_run, report
from tests.app.catalogue import PHI_3
from tests.app.fake_azure_ml import A100_FAMILY
from tests.app.fakes import World
from tests.app.worlds import SETTINGS

A100 = "Standard_NC24ads_A100_v4"
OTHER = "ft-other-0123456789"


def plan(world: World, *, allow: bool = False, base: Settings = SETTINGS, **options: Any) -> Run:
    """Plan a validated run with some options changed."""
    run = a_run(Stage.VALIDATED, options=msgspec.structs.replace(OPTIONS, **options))
    settings = msgspec.structs.replace(base, allow_retired_model=allow, context_window=None)
    return plan_training(run, settings, world.services)


def test_a_plan_has_everything_that_is_submitted() -> None:
    """Versions, GPUs, parameters and names are settled; a missing cluster is to be made."""
    made = plan(World()).plan
    assert made is not None
    assert made.base_model_id == "azureml://registries/azureml/models/Phi-4/versions/8"
    assert made.component_version == "0.0.82"
    assert made.gpus_per_node == 1
    assert made.create_compute
    assert made.display_name.startswith("Phi-4-support-bs1-cosine-ds3-lora")


def test_a_cluster_that_exists_decides_its_size() -> None:
    """What COMPUTE_SIZE says holds only for a cluster that is yet to be made."""
    world = World()
    world.cloud.computes["gpu-cluster"] = ComputeStatus(Provisioning.READY, "Standard_NC48ads_A100_v4")
    made = plan(world, compute_size=A100).plan
    assert made is not None
    assert (made.compute_size, made.gpus_per_node, made.create_compute) == (
        "Standard_NC48ads_A100_v4",
        2,
        False,
    )
    world.cloud.computes["gpu-cluster"] = ComputeStatus(Provisioning.PENDING, "")
    made = plan(world, compute_size=A100).plan
    assert made is not None
    assert made.compute_size == A100


def test_serverless_needs_no_cluster() -> None:
    """Nothing is looked up and nothing is created."""
    world = World()
    world.cloud.faults["compute"] = [AssertionError("it was looked up")]
    made = plan(world, compute="serverless").plan
    assert made is not None
    assert not made.create_compute


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"base_model": "Phi-5"}, "no model Phi-5"),
        ({"base_model": "Phi-4:99"}, "no model"),
        ({"base_model": PHI_3}, "retired from fine-tuning"),
        ({"parameters": {"epochs": 3}}, "epochs"),
        ({"parameters": {"num_train_epochs": 0}}, "at least 1"),
        ({"parameters": {"metric_for_best_model": "f1"}}, "no evaluation computes"),
        ({"parameters": {"learning_rate": 0}}, "above 0"),
        ({"parameters": {"learning_rate": "0.0"}}, "above 0"),
        ({"parameters": {"max_seq_length": 0}}, "at least 1"),
        ({"parameters": {"auto_find_batch_size": True}}, "apply_deepspeed"),
        ({"parameters": {"apply_ort": "true"}}, "deepspeed_stage"),
        (
            {"parameters": {"apply_early_stopping": "true", "evaluation_strategy": "disable"}},
            "needs evaluations",
        ),
        ({"compute_size": "Standard_NC6s_v3"}, "COMPUTE_SIZE"),
        ({"instance_type": "Standard_DS3_v2"}, "DEPLOYMENT_INSTANCE_TYPE"),
        ({"compute_size": "Standard_NC96ads_A100_v4"}, "not offered"),
        ({"instance_type": "Standard_NC96ads_A100_v4"}, "DEPLOYMENT_INSTANCE_TYPE"),
    ],
)
def test_what_cannot_work_is_refused_before_it_costs(options: dict[str, Any], words: str) -> None:
    """Model, sizes and parameters: each refusal says what to change, and nothing was begun."""
    world = World()
    with pytest.raises(InvalidRunError, match=words):
        plan(world, **options)
    assert world.cloud.begun == []


@pytest.mark.parametrize(
    ("chosen", "window"),
    [
        ({}, 16_384),
        ({"max_seq_length": -1}, 16_384),
        ({"max_seq_length": "512"}, 512),
        ({"max_seq_length": 99_999}, 16_384),
    ],
)
def test_the_length_that_is_submitted_is_what_validation_counted_with(
    chosen: dict[str, Any], window: int
) -> None:
    """Whatever was asked for: the model's own window, or less."""
    made = plan(World(), parameters=chosen).plan
    assert made is not None
    assert made.parameters["max_seq_length"] == made.context_window == window


def test_lora_without_stage_3_is_trained_with_peft() -> None:
    """The trainer's own LoRA does not know `phi3`: its configuration says so, or the job is not begun."""
    made = plan(World(), parameters={"deepspeed_stage": 2}).plan
    assert made is not None
    assert made.finetune_config is not None
    assert made.finetune_config["lora_algo"] == "peft"
    assert made.finetune_config["lora_target_modules"]
    usual = plan(World()).plan
    assert usual is not None
    assert usual.parameters["deepspeed_stage"] == "3"
    assert "lora_algo" not in (usual.finetune_config or {})
    lora = {"apply_lora": "true", "apply_deepspeed": "true", "deepspeed_stage": "2"}
    with pytest.raises(InvalidRunError, match="deepspeed_stage to 3"):
        lora_config("Phi-4", lora, offered=False, vouched={**lora, "deepspeed_stage": 3})
    assert lora_config("Phi-3-mini-4k-instruct", lora, offered=False, vouched=lora) == {}
    assert lora_config("Llama-3.2-1B-Instruct", lora, offered=False, vouched={}) == {}


def test_an_archived_model_is_found_by_its_version_only() -> None:
    """And may be used if the setting says so."""
    world = World()
    world.cloud.month = "2026-07"
    with pytest.raises(InvalidRunError, match="no model"):
        plan(world, base_model=PHI_3, allow=True)
    with pytest.raises(InvalidRunError, match="archived"):
        plan(world, base_model=f"{PHI_3}:15")
    assert plan(world, base_model=f"{PHI_3}:15", allow=True).plan


def test_a_broken_cluster_is_refused() -> None:
    """With the cluster's own reason."""
    world = World()
    world.cloud.computes["gpu-cluster"] = ComputeStatus(Provisioning.FAILED, A100, "out of quota")
    with pytest.raises(InvalidRunError, match="out of quota"):
        plan(world)


def validated(run_id: str = RUN_ID, **changes: Any) -> Run:
    """A planned run."""
    return msgspec.structs.replace(a_run(Stage.VALIDATED, plan=PLAN, run_id=run_id), **changes)


def holder(world: World, stage: Stage, **changes: Any) -> None:
    """Another run has the content already, and is where it is."""
    other = a_run(stage, run_id=OTHER, **{"plan": PLAN, **changes})
    world.runs.create(other)
    world.content_index.claim(content_digest(validated(), PLAN), OTHER)


def test_what_is_trained_is_what_the_digest_is_of() -> None:
    """Rows, parameters and base model decide; dataset name, compute and lifetime do not."""
    base = content_digest(validated(), PLAN)
    changed = msgspec.structs.replace
    assert base == content_digest(
        validated(dataset="other", options=changed(OPTIONS, lifetime_hours=1)), PLAN
    )
    assert base == content_digest(validated(), changed(PLAN, compute="elsewhere", gpus_per_node=8))
    assert base != content_digest(validated(report=report(fingerprint="e" * 64)), PLAN)
    assert base != content_digest(validated(), changed(PLAN, parameters={"num_train_epochs": 4}))
    assert base != content_digest(validated(), changed(PLAN, base_model_id="azureml://m/versions/9"))


@pytest.mark.parametrize(
    "stage", [Stage.VALIDATED, Stage.TRAINING, Stage.LIVE, Stage.DELETING, Stage.DELETED]
)
def test_the_same_content_is_a_duplicate(stage: Stage) -> None:
    """While the earlier run goes on, and after it went well."""
    world = World()
    holder(world, stage)
    run = claim_content(validated(), world.services)
    assert (run.claimed, run.duplicate_of) == (False, OTHER)


@pytest.mark.parametrize(
    ("stage", "changes", "taken"),
    [
        (Stage.DELETING, {"outcome": Stage.FAILED, "job": None}, True),
        (Stage.DELETING, {"outcome": Stage.FAILED}, False),
        (Stage.DELETING, {"outcome": Stage.CANCELED}, True),
        (Stage.DELETING, {"outcome": Stage.DELETED}, False),
        (Stage.TRAINING, {"requests": Requests(cancel_at=NOW)}, True),
        (Stage.DEPLOYING, {"requests": Requests(delete_at=NOW)}, True),
        (Stage.LIVE, {"requests": Requests(cancel_at=NOW)}, False),
        (Stage.LIVE, {"requests": Requests(delete_at=NOW)}, False),
    ],
)
def test_content_of_a_run_that_will_come_to_nothing_is_taken_over(
    stage: Stage, changes: dict[str, Any], taken: bool
) -> None:
    """One that is being taken away for a failure, or was canceled before it was live."""
    world = World()
    holder(world, stage, **changes)
    run = claim_content(validated(), world.services)
    assert run.claimed is taken
    assert run.duplicate_of == (None if taken else OTHER)


@pytest.mark.parametrize("stage", [Stage.FAILED, Stage.CANCELED, Stage.REJECTED, Stage.DUPLICATE])
def test_content_of_a_run_that_came_to_nothing_is_taken_over(stage: Stage) -> None:
    """A failure is worth another try, and the claim then is the new run's."""
    world = World()
    holder(world, stage)
    assert claim_content(validated(), world.services).claimed
    third = claim_content(validated("ft-third-0123456789"), world.services)
    assert not world.runs.create(a_run(run_id=OTHER))
    assert third.claimed, "a run without a record came to nothing"


def test_force_trains_again() -> None:
    """Whatever became of the earlier run."""
    world = World()
    holder(world, Stage.LIVE)
    forced = validated(options=msgspec.structs.replace(OPTIONS, force=True))
    assert claim_content(forced, world.services).claimed


def test_an_unreadable_earlier_run_harms_no_other() -> None:
    """Nobody knows what became of it; the new run is its duplicate, not a failure."""
    world = World()
    holder(world, Stage.LIVE)
    world.runs.corrupt(OTHER)
    assert claim_content(validated(), world.services).duplicate_of == OTHER


def test_claiming_again_after_a_death_is_the_same_claim() -> None:
    """The claim was written, the record was not: the run finds its own."""
    world = World()
    assert claim_content(validated(), world.services).claimed
    assert claim_content(validated(), world.services).claimed


def test_the_first_size_with_quota_is_taken() -> None:
    """A size that can never fit is passed over, one that is in use now gives way; the reason is on record."""
    world = World()
    world.cloud.quota = {A100_FAMILY.lower(): Quota(used=0, limit=20)}
    h100 = ("Standard_NC40ads_H100_v5",)
    run = plan(world, other_compute_sizes=h100, other_instance_types=h100)
    assert run.plan is not None
    assert run.plan.compute_size == "Standard_NC40ads_H100_v5"
    change, other = run.size_changes
    assert (change.option, other.option, change.before) == ("compute_size", "instance_type", A100)
    assert "needs 24 vCPUs of quota standardNCADSA100v4Family, which is 20" in change.reason
    world.cloud.quota = {A100_FAMILY.lower(): Quota(used=90, limit=100)}
    busy = plan(world, instance_type=A100, other_instance_types=("Standard_NC40ads_H100_v5",))
    assert (busy.options.instance_type, busy.options.other_instance_types) == (
        "Standard_NC40ads_H100_v5",
        (A100,),
    )
    assert plan(world).options.instance_type == A100, "where there is no other, its time may come"


def test_quota_that_can_never_do_is_refused_before_training() -> None:
    """An endpoint needs a fifth more instances; an app that may not read quotas refuses nothing for them."""
    world = World()
    world.cloud.quota = {A100_FAMILY.lower(): Quota(used=0, limit=47)}
    with pytest.raises(InvalidRunError, match="needs 48 vCPUs of quota"):
        plan(world)
    assert world.cloud.begun == []
    world.cloud.faults["quotas"] = [ServiceRefusedError("no right to read", status=403)]
    assert plan(world).plan is not None


def test_a_size_that_the_cluster_does_not_have_is_refused() -> None:
    """Where run.json asks for it; the operator's own size is only for a cluster that is yet to be made."""
    world = World()
    world.cloud.computes["gpu-cluster"] = ComputeStatus(Provisioning.READY, A100)
    with pytest.raises(InvalidRunError, match="has VMs of size Standard_NC24ads_A100_v4, not"):
        plan(world, compute_size="Standard_NC48ads_A100_v4")
    assert plan(world, compute_size="Standard_NC48ads_A100_v4", other_compute_sizes=(A100,)).plan


def test_only_clusters_that_the_operator_names_in_full_are_created() -> None:
    """A pattern lets uploaders use what is there; how many clusters there are is not theirs to choose."""
    settings = msgspec.structs.replace(SETTINGS, allowed_computes=("team-a-*", "spare"))
    world = World()
    with pytest.raises(
        InvalidRunError, match=r"creates only clusters that COMPUTE_CLUSTER or ALLOWED_COMPUTES"
    ):
        plan(world, base=settings, compute="team-a-1")
    made = plan(world, base=settings, compute="Spare").plan
    assert made is not None
    assert made.create_compute
    world.cloud.computes["team-a-1"] = ComputeStatus(Provisioning.READY, A100)
    assert plan(world, base=settings, compute="team-a-1").plan
    world.cloud.computes["team-a-1"] = ComputeStatus(Provisioning.DELETING, A100)
    with pytest.raises(InvalidRunError, match="does not exist"):
        plan(world, base=settings, compute="team-a-1")
