"""The operator's bounds: who is over one is refused before anything happens, and told which and by whom."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from shared.config import Settings, SettingsError
from shared.domain.run.parameters import PARAMETERS, Number
from shared.domain.run.run_json import LONGEST_PROBLEM, MOST_PROBLEMS, override_options
from shared.domain.run.stages import Stage
from tests.app.fakes import World
from tests.app.worlds import EXAMPLE, SETTINGS, drive, rows, upload

SECURITY = (Path(__file__).parents[2] / "docs/security.md").read_text()
COMPONENT = (
    Path(__file__).parents[2]
    / "emulators/azureml/azureml_emulator/core/catalogue_data/chat_completion_pipeline.json"
).read_text()


def asked(values: Any, settings: Settings = SETTINGS) -> list[str]:
    """What is wrong with a `run.json` under the operator's bounds."""
    text = values if isinstance(values, bytes) else json.dumps(values).encode()
    return [str(each) for each in override_options(settings.default_options(), text, settings.bounds())[1]]


def having(**changes: Any) -> Settings:
    """The usual settings with some of them changed."""
    return msgspec.structs.replace(SETTINGS, **changes)


def parameter(name: str, value: Any) -> dict[str, Any]:
    """A `run.json` with one parameter."""
    return {"parameters": {name: value}}


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"compute": "mine-1"}, "'compute'", "ALLOWED_COMPUTES"),
    ({"compute": "gpu-cluster2"}, "'compute'", "ALLOWED_COMPUTES"),
    ({"compute_size": "Standard_ND96asr_v4"}, "'compute_size'", "ALLOWED_COMPUTE_SIZES"),
    ({"instance_type": "Standard_ND96asr_v4"}, "'instance_type'", "ALLOWED_INSTANCE_TYPES"),
    ({"instance_count": 3}, "'instance_count'", "MAX_INSTANCE_COUNT"),
    ({"lifetime_hours": 169}, "'lifetime_hours'", "ENDPOINT_MAX_LIFETIME_HOURS"),
    ({"idle_minutes": 0.5}, "'idle_minutes'", "at least 1"),
    ({"idle_minutes": 1e-9}, "'idle_minutes'", "at least 1"),
    (parameter("num_nodes_finetune", 2), "'parameters.num_nodes_finetune'", "COMPUTE_MAX_NODES"),
    (parameter("num_nodes_finetune", "2"), "'parameters.num_nodes_finetune'", "COMPUTE_MAX_NODES"),
    (parameter("num_nodes_finetune", True), "'parameters.num_nodes_finetune'", "must be a number"),
    (parameter("num_train_epochs", 11), "'parameters.num_train_epochs'", "MAX_EPOCHS"),
    (parameter("num_train_epochs", 0), "'parameters.num_train_epochs'", "the least is 1"),
    (parameter("num_train_epochs", "inf"), "'parameters.num_train_epochs'", "must be a number"),
    (parameter("num_train_epochs", "nan"), "'parameters.num_train_epochs'", "must be a number"),
    (parameter("num_train_epochs", "1e300"), "'parameters.num_train_epochs'", "MAX_EPOCHS"),
    (parameter("num_train_epochs", 1e300), "'parameters.num_train_epochs'", "2^53"),
    (parameter("max_steps", 100_001), "'parameters.max_steps'", "MAX_STEPS"),
    (parameter("warmup_steps", 100_001), "'parameters.warmup_steps'", "MAX_STEPS"),
    (parameter("per_device_train_batch_size", 65), "train_batch_size'", "MAX_BATCH_SIZE"),
    (parameter("per_device_eval_batch_size", 65), "eval_batch_size'", "MAX_BATCH_SIZE"),
    (parameter("gradient_accumulation_steps", 65), "accumulation_steps'", "MAX_BATCH_SIZE"),
    (parameter("max_seq_length", 10**9), "'parameters.max_seq_length'", "the most is"),
    (parameter("learning_rate", -1), "'parameters.learning_rate'", "the least is 0"),
    (parameter("learning_rate", 10**300), "'parameters.learning_rate'", "2^53"),
    (parameter("seed", -(10**300)), "'parameters.seed'", "2^53"),
    (parameter("optim", "adamw --privileged"), "'parameters.optim'", "one word"),
    (parameter("apply_lora", "x" * 300), "'parameters.apply_lora'", "at most 256"),
    (
        parameter("shm_size_finetune", "5g --privileged -v /:/host"),
        "shm_size_finetune'",
        "ALLOWED_PARAMETERS",
    ),
    *(
        (parameter(name, "x"), f"'parameters.{name}'", "ALLOWED_PARAMETERS")
        for name in (
            *("trust_remote_code", "huggingface_id", "pytorch_model_path", "mlflow_model_path"),
            *("finetune_config_path", "train_file_path", "test_mltable_path", "deepspeed"),
            *("evaluation_config", "evaluation_config_params", "resume_from_checkpoint"),
            *("compute_finetune", "compute_model_import", "instance_type_finetune", "task_name"),
            *("number_of_gpu_to_use_finetuning", "ignore_mismatched_sizes", "no_such_input", ""),
        )
    ),
]


@pytest.mark.parametrize(("chosen", "key", "words"), REFUSED)
def test_whoever_is_over_a_bound_is_told(chosen: dict[str, Any], key: str, words: str) -> None:
    """One problem that names the key as the user wrote it, and the bound or who may change it."""
    (problem,) = asked(chosen)
    assert problem.startswith("run.json ")
    assert key in problem
    assert words in problem


def test_the_operator_may_allow_more() -> None:
    """Each refusal that names a setting is lifted by that setting."""
    chosen = {
        "compute": "team-a-7",
        "compute_size": "standard_nd96asr_v4",
        "instance_type": "Standard_ND96asr_v4",
        "instance_count": 3,
        "lifetime_hours": 169,
        "parameters": {
            "num_nodes_finetune": 2,
            "num_train_epochs": 11,
            "max_steps": 100_001,
            "per_device_train_batch_size": 65,
            "trust_remote_code": "true",
            "learning_rate": "1e-5",
        },
    }
    assert len(asked(chosen)) == 10
    generous = having(
        allowed_computes=("team-a-*",),
        allowed_compute_sizes=("Standard_ND96asr_v4",),
        allowed_instance_types=("Standard_ND96asr_v4",),
        allowed_parameters=("trust_remote_code",),
        compute_max_nodes=2,
        max_instance_count=3,
        max_epochs=11,
        max_steps=200_000,
        max_batch_size=65,
        endpoint_max_lifetime_hours=169,
    )
    assert asked(chosen, generous) == []
    assert "MAX_LIVE_ENDPOINTS" in asked(chosen, msgspec.structs.replace(generous, max_live_endpoints=2))[0]


def test_a_usual_run_json_is_within_the_bounds() -> None:
    """What people set from day to day needs no operator."""
    chosen = {
        "compute": "serverless",
        "idle_minutes": 0,
        "lifetime_hours": 4,
        "row_policy": "drop",
        "parameters": {"num_train_epochs": 3, "apply_lora": True, "deepspeed_stage": 2, "precision": "16"},
    }
    assert asked(chosen) == []


def test_a_run_may_cost_so_much_at_most() -> None:
    """All the hours of its endpoint, by VMs and price; training is held to the rest by quote and clock."""
    priced = having(prices_per_hour={SETTINGS.compute_size[0].upper(): 4.0}, max_run_cost=150.0)
    assert asked({"lifetime_hours": 24}, priced) == []
    (problem,) = asked({"lifetime_hours": 24, "instance_count": 2}, priced)
    assert "would cost 192.00 for its endpoint alone" in problem
    assert "the most is 150" in problem
    assert "MAX_RUN_COST" in problem


def test_a_bound_on_cost_needs_a_price_of_each_size() -> None:
    """Otherwise a size without one would be free."""
    with pytest.raises(SettingsError, match="PRICES_PER_HOUR lacks Standard_NC24ads_A100_v4"):
        Settings.from_env({**EXAMPLE, "MAX_RUN_COST": "500"})
    with pytest.raises(SettingsError, match="MAX_MONTHLY_COST: needs a price of each VM size"):
        Settings.from_env({**EXAMPLE, "MAX_MONTHLY_COST": "500"})
    assert Settings.from_env({**EXAMPLE, "MAX_RUN_COST": "500", "PRICES": "azure"}).max_run_cost == 500
    prices = {"PRICES_PER_HOUR": json.dumps({"standard_nc24ads_a100_v4": 4})}
    assert Settings.from_env({**EXAMPLE, **prices, "MAX_RUN_COST": "500"}).max_run_cost == 500
    with pytest.raises(SettingsError, match="lacks Standard_NV6"):
        Settings.from_env(
            {**EXAMPLE, **prices, "MAX_RUN_COST": "500", "ALLOWED_INSTANCE_TYPES": "Standard_NV6"}
        )


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({f"k{number}": 1 for number in range(5_000)}).encode(),
        json.dumps({"parameters": {f"p{number}": 1 for number in range(5_000)}}).encode(),
        json.dumps({"parameters": {"num_train_epochs": "9" * 60_000}}).encode(),
        json.dumps({"x" * 60_000: 1}).encode(),
        json.dumps({"parameters": {"x" * 60_000: 1}}).encode(),
        json.dumps({"parameters": {"\x00\u202e" * 5_000: 1}}).encode(),
        json.dumps({"compute": "x" * 60_000}).encode(),
        json.dumps({"row_policy": "x" * 60_000}).encode(),
        json.dumps({"parameters": {"seed": 0}}).encode().replace(b"0", b"1" + b"0" * 60_000),
        b'{"' + b"\\ud800" * 10_000 + b'": 1}',
    ],
)
def test_errors_stay_small(text: bytes) -> None:
    """However a `run.json` of 64 KiB is made, its errors are few and short."""
    problems = asked(text)
    assert 1 <= len(problems) <= MOST_PROBLEMS + 1
    assert sum(map(len, problems)) <= (MOST_PROBLEMS + 1) * (LONGEST_PROBLEM + 100)
    assert all(problem.isprintable() for problem in problems)


@pytest.mark.parametrize(
    ("chosen", "meant"),
    [
        ({"lifetime_hour": 4}, "lifetime_hours"),
        ({"basemodel": "Phi-4"}, "base_model"),
        ({"Parameters": {}}, "parameters"),
        ({"idle_minuts": 5}, "idle_minutes"),
        (parameter("learning_rat", 1e-5), "learning_rate"),
        (parameter("num_train_epoch", 1), "num_train_epochs"),
    ],
)
def test_an_unknown_key_is_answered_with_the_nearest(chosen: dict[str, Any], meant: str) -> None:
    """A slip of the pen is told from a key that does not exist."""
    (problem,) = asked(chosen)
    assert f"did you mean '{meant}'" in problem


def test_an_upload_over_a_bound_is_rejected_before_anything_happens() -> None:
    """No byte of the dataset is read and nothing is asked of Azure ML; the same upload within it trains."""
    world = World()
    world.uploads.put("greedy/run.json", json.dumps({"compute": "mine", "instance_count": 32}).encode())
    run = world.runs.load(upload(world, "greedy/train.jsonl")).run
    assert run.stage is Stage.REJECTED
    assert run.error is not None
    assert run.error.code == "InvalidOptions"
    assert "ALLOWED_COMPUTES" in run.error.message
    assert "MAX_INSTANCE_COUNT" in run.error.message
    assert world.cloud.begun == []
    assert run.report is None
    world.uploads.put("modest/run.json", b'{"instance_count": 2}')
    assert drive(world, upload(world, "modest/train.jsonl", rows(tag="modest")), Stage.LIVE)


def test_the_closed_list_is_documented() -> None:
    """`docs/security.md` has each parameter, its range and why it is safe; each is one of the component's."""
    documented = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+?) \|$", SECURITY, re.MULTILINE)
    table = {name: (span, why) for name, span, why in documented if name in PARAMETERS}
    expected = {}
    for name, rule in PARAMETERS.items():
        span = "the component's words"
        if isinstance(rule, Number):
            most = f"`{rule.most}`" if isinstance(rule.most, str) else f"{rule.most:,}"
            span = f"{rule.least:,} to {most}"
        expected[name] = (span, rule.why)
    assert table == expected
    assert [name for name in PARAMETERS if f'"{name}"' not in COMPONENT] == []
