"""The Azure ML chat-completion notebook, call for call, against the local Azure ML.

    python -m local.samples.walkthrough [--dataset FILE] [--pace instant|fast]

Each function is one section of the notebook with its calls in their order; only what they talk to differs.
Three things are not as printed there. The dataset is a local sample in place of the download from Hugging
Face. ``learning_rate_min`` and ``learning_rate_max``, which the model's own defaults hold, are left out: the
component has no such inputs, and with them the notebook fails. And the notebook's two ways out of a failed
connection are left out: to log in with a browser, and to name the workspace where ``config.json`` is missing.
"""

# azure-ai-ml publishes few types, and the notebook has none.
# mypy: disable-error-code="no-untyped-call,untyped-decorator,call-overload"

from __future__ import annotations

import argparse
import ast
import json
import os
import random
import tempfile
import time
from pathlib import Path
from typing import Any

from azureml_emulator import Emulator

SAMPLE = Path(__file__).parent / "ultrachat-sample.jsonl"
SERVER = "mcr.microsoft.com/azureml/curated/mlflow-model-inference:21"
MODEL_NAME = "Phi-3-mini-4k-instruct"
COMPUTE_CLUSTER = "gpu-cluster-big"
COMPUTE_SIZE = "Standard_NC24ads_A100_v4"
NO_INPUTS = ("learning_rate_min", "learning_rate_max")
UNSUPPORTED_SIZES = ("standard_nc6", "standard_nc12", "standard_nc24", "standard_nc24r")


def connect(emulator: Emulator, folder: Path) -> tuple[Any, Any]:
    """Section 1: a credential, a client for the workspace in ``config.json``, one for the system registry."""
    from azure.ai.ml import MLClient
    from azure.identity import DefaultAzureCredential

    settings = emulator.settings
    config = folder / "config.json"
    config.write_text(
        json.dumps(
            {
                "subscription_id": settings.subscription,
                "resource_group": settings.resource_group,
                "workspace_name": settings.workspace,
            }
        )
    )
    credential = DefaultAzureCredential()
    credential.get_token("https://management.azure.com/.default")
    workspace = MLClient.from_config(credential=credential, path=str(config))
    return workspace, MLClient(credential, registry_name="azureml")


def pick_model(registry: Any) -> tuple[Any, list[str] | None]:
    """Section 2: the foundation model, and the sizes that it may be fine-tuned on."""
    model = registry.models.get(MODEL_NAME, label="latest")
    print(f"Using model name: {model.name}, version: {model.version}, id: {model.id} for fine tuning")
    if "finetune_compute_allow_list" not in model.tags:
        return model, None
    return model, ast.literal_eval(model.tags["finetune_compute_allow_list"])


def ensure_compute(workspace: Any, allowed: list[str] | None) -> int:
    """Section 3: the cluster, whether it is fit for fine-tuning, and the GPUs of one of its nodes."""
    from azure.ai.ml.entities import AmlCompute
    from azure.core.exceptions import ResourceNotFoundError

    try:
        compute = workspace.compute.get(COMPUTE_CLUSTER)
    except ResourceNotFoundError:
        compute = AmlCompute(
            name=COMPUTE_CLUSTER, size=COMPUTE_SIZE, tier="Dedicated", min_instances=0, max_instances=1
        )
        workspace.compute.begin_create_or_update(compute).wait()
    compute = workspace.compute.get(COMPUTE_CLUSTER)
    if compute.provisioning_state.lower() == "failed":
        raise ValueError(f"Provisioning failed, compute '{COMPUTE_CLUSTER}' is in failed state.")
    size = compute.size.lower()
    if allowed is not None and size not in [one.lower() for one in allowed]:
        raise ValueError(f"VM size {compute.size} is not in the allow-listed computes for finetuning")
    if allowed is None and size in UNSUPPORTED_SIZES:
        raise ValueError(f"VM size {compute.size} is currently not supported for finetuning")
    for offered in workspace.compute.list_sizes():
        if offered.name.lower() == size:
            print(f"Number of GPUs in compute {compute.size}: {offered.gpus}")
            return int(offered.gpus)
    raise ValueError(f"Number of GPUs in compute {compute.size} not found.")


def split_dataset(source: Path, folder: Path) -> None:
    """Section 4: the dataset in the splits that the notebook's download script leaves behind."""
    rows = source.read_bytes().removesuffix(b"\n").split(b"\n")
    middle = len(rows) * 4 // 5
    for name, part in (
        ("train_sft", rows[:middle]),
        ("test_sft", rows[middle:]),
        ("test_gen", rows[middle:]),
    ):
        (folder / f"{name}.jsonl").write_bytes(b"\n".join(part) + b"\n")


def finetune_parameters(model: Any) -> dict[str, Any]:
    """Section 5: training and optimisation parameters, with the model's own defaults over them."""
    parameters: dict[str, Any] = {
        "num_train_epochs": 3,
        "per_device_train_batch_size": 1,
        "per_device_eval_batch_size": 1,
        "learning_rate": 5e-6,
        "lr_scheduler_type": "cosine",
        "apply_lora": "true",
        "apply_deepspeed": "true",
        "deepspeed_stage": 2,
    }
    if "model_specific_defaults" in model.tags:
        print("Warning! Model specific defaults exist. The defaults could be overridden.")
        parameters.update(ast.literal_eval(model.tags["model_specific_defaults"]))
    for name in NO_INPUTS:
        parameters.pop(name, None)
    # The trainer of azureml-acft-contrib-hf-nlp 0.0.91 has no LoRA for Phi-3 but at DeepSpeed's stage 3.
    parameters["apply_lora"] = "false"
    print(f"The following finetune parameters are going to be set for the run: {parameters}")
    return parameters


def display_name(parameters: dict[str, Any], gpus: int) -> str:
    """Section 5: the name that tells the run's parameters."""
    batch = (
        int(parameters.get("per_device_train_batch_size", 1))
        * int(parameters.get("gradient_accumulation_steps", 1))
        * gpus
        * int(parameters.get("num_nodes_finetune", 1))
    )
    deepspeed = parameters.get("apply_deepspeed", "false") == "true"
    return "-".join(
        (
            MODEL_NAME,
            "ultrachat",
            f"bs{batch}",
            parameters.get("lr_scheduler_type", "linear"),
            f"ds{parameters.get('deepspeed_stage', '2')}" if deepspeed else "nods",
            "lora" if parameters.get("apply_lora", "false") == "true" else "nolora",
            f"save_limit{parameters.get('save_total_limit', -1)}",
            f"seqlen{parameters.get('max_seq_length', -1)}",
        )
    )


def train(workspace: Any, registry: Any, model: Any, gpus: int, folder: Path) -> Any:
    """Section 5: the pipeline from the registry's component, submitted and followed to its end."""
    from azure.ai.ml import Input
    from azure.ai.ml.dsl import pipeline

    parameters = finetune_parameters(model)
    component = registry.components.get(name="chat_completion_pipeline", label="latest")

    @pipeline(name=display_name(parameters, gpus))
    def create_pipeline() -> dict[str, Any]:
        node = component(
            mlflow_model_path=model.id,
            compute_model_import=COMPUTE_CLUSTER,
            compute_preprocess=COMPUTE_CLUSTER,
            compute_finetune=COMPUTE_CLUSTER,
            compute_model_evaluation=COMPUTE_CLUSTER,
            train_file_path=Input(type="uri_file", path=str(folder / "train_sft.jsonl")),
            test_file_path=Input(type="uri_file", path=str(folder / "test_sft.jsonl")),
            number_of_gpu_to_use_finetuning=gpus,
            **parameters,
        )
        return {"mlflow_model_folder": node.outputs.mlflow_model_folder}

    job = create_pipeline()
    job.settings.force_rerun = True
    job.settings.continue_on_step_failure = False
    job = workspace.jobs.create_or_update(job, experiment_name=f"chat_completion_{MODEL_NAME}")
    workspace.jobs.stream(job.name)
    return job


def review_metrics(workspace: Any, job: Any) -> dict[str, float]:
    """Section 6: the metrics of the run that trained, found by its root run."""
    import mlflow

    settings = workspace.workspaces.get(workspace.workspace_name)
    mlflow.set_tracking_uri(settings.mlflow_tracking_uri)
    runs = mlflow.search_runs(
        experiment_names=[job.experiment_name],
        filter_string=f"tags.mlflow.rootRunId='{job.name}'",
        output_format="list",
    )
    metrics = next(run.data.metrics for run in runs if "epoch" in run.data.metrics)
    print("training metrics:", metrics)
    return dict(metrics)


def register(workspace: Any, job: Any, version: str) -> Any:
    """Section 6: the job's output as a model of the workspace."""
    from azure.ai.ml.constants import AssetTypes
    from azure.ai.ml.entities import Model

    print("pipeline job outputs:", workspace.jobs.get(job.name).outputs)
    model = Model(
        path=f"azureml://jobs/{job.name}/outputs/mlflow_model_folder",
        type=AssetTypes.MLFLOW_MODEL,
        name=f"{MODEL_NAME}-ultrachat-200k",
        version=version,
        description=f"{MODEL_NAME} fine tuned model for ultrachat 200k chat-completion",
    )
    registered = workspace.models.create_or_update(model)
    print("registered model:", registered.id)
    return registered


def deploy(workspace: Any, model: Any, name: str) -> None:
    """Section 7: an endpoint, one deployment behind it, and all the traffic to that."""
    from azure.ai.ml.entities import (
        Environment,
        ManagedOnlineDeployment,
        ManagedOnlineEndpoint,
        OnlineRequestSettings,
        ProbeSettings,
    )

    endpoint = ManagedOnlineEndpoint(
        name=name, description=f"Online endpoint for {model.name}", auth_mode="key"
    )
    workspace.begin_create_or_update(endpoint).wait()
    deployment = ManagedOnlineDeployment(
        name="demo",
        endpoint_name=name,
        model=model.id,
        # The notebook has none; since December 2025 the image that it gets then cannot start its model.
        environment=Environment(name="mlflow-server", version="21", image=SERVER),
        instance_type="Standard_NC6s_v3",
        instance_count=1,
        liveness_probe=ProbeSettings(initial_delay=600),
        request_settings=OnlineRequestSettings(request_timeout_ms=90000),
    )
    workspace.online_deployments.begin_create_or_update(deployment).wait()
    endpoint.traffic = {"demo": 100}
    workspace.begin_create_or_update(endpoint).result()


def score(workspace: Any, endpoint: str, folder: Path) -> tuple[list[dict[str, str]], str]:
    """Section 8: the endpoint's answer to a row of the test split, and the true one."""
    rows = (folder / "test_gen.jsonl").read_bytes().removesuffix(b"\n").split(b"\n")
    messages = json.loads(random.choice(rows))["messages"]  # noqa: S311  # a sample, not a secret
    parameters = {"temperature": 0.6, "top_p": 0.9, "do_sample": True, "max_new_tokens": 200}
    payload = {"input_data": {"input_string": [messages[:-1]], "parameters": parameters}, "params": {}}
    request = folder / "sample_score.json"
    request.write_text(json.dumps(payload))
    response = workspace.online_endpoints.invoke(
        endpoint_name=endpoint, deployment_name="demo", request_file=str(request)
    )
    print("raw response:\n", response)
    return json.loads(response), messages[-1]["content"]


def run(emulator: Emulator, dataset: Path = SAMPLE) -> dict[str, Any]:
    """The whole notebook; returns what it came to.

    The emulator's environment must be set in this process before azure-ai-ml is used.
    """
    timestamp = str(int(time.time()))
    endpoint = f"ultrachat-completion-{timestamp}"
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        workspace, registry = connect(emulator, folder)
        model, allowed = pick_model(registry)
        gpus = ensure_compute(workspace, allowed)
        split_dataset(dataset, folder)
        job = train(workspace, registry, model, gpus, folder)
        metrics = review_metrics(workspace, job)
        registered = register(workspace, job, timestamp)
        deploy(workspace, registered, endpoint)
        reply, expected = score(workspace, endpoint, folder)
        # Section 9: the endpoint goes, or the bill keeps running.
        workspace.online_endpoints.begin_delete(name=endpoint).wait()
    return {
        "job": job.name,
        "metrics": metrics,
        "model": registered.id,
        "reply": next(iter(reply[0].values())),
        "expected": expected,
        "endpoints_left": [one.name for one in workspace.online_endpoints.list()],
    }


def main() -> None:
    """Runs the notebook against an emulator of its own and prints what it came to as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dataset", type=Path, default=SAMPLE, help="a JSON lines file of conversations")
    parser.add_argument("--pace", choices=["instant", "fast"], default="fast")
    arguments = parser.parse_args()
    with Emulator(pace=arguments.pace, strict=True) as emulator:
        os.environ.update(emulator.environment)
        print(json.dumps(run(emulator, arguments.dataset), ensure_ascii=False))


if __name__ == "__main__":
    main()
