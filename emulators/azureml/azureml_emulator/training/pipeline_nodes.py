"""The work of the fine-tuning pipeline's nodes, from the datastore to the model folder."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import timedelta
from typing import Any

import msgspec

from azureml_emulator.core.asset_families import DATA, MODEL, by_id
from azureml_emulator.core.blob_locations import BlobLocation, location_of, output_location
from azureml_emulator.core.catalogue import FINETUNE_CONFIG, base_model
from azureml_emulator.core.resources import Job, Metric, Node
from azureml_emulator.core.state import EmulatorState
from azureml_emulator.core.vm_sizes import SIZES
from azureml_emulator.training import chat_model
from azureml_emulator.training.conversation import Example
from azureml_emulator.training.finetune_config import (
    IMAGE,
    base_image,
    extra_requirements,
    for_chat,
    merged,
)
from azureml_emulator.training.job_inputs import given_inputs, with_defaults
from azureml_emulator.training.language_model import LanguageModel
from azureml_emulator.training.preprocess import Prepared, PreprocessError, preprocess_files
from azureml_emulator.training.trainer import Options, passed_tokens, train
from azureml_emulator.training.trainer_checks import failure_of

_BINDING = re.compile(r"\$\{\{parent\.outputs\.(\w+)\}\}")
_BASE_MODEL_INPUTS = ("mlflow_model_path", "pytorch_model_path", "huggingface_id")
_ARTIFACT = "finetune_config.json"
_REQUIREMENTS = ("mlflow==3.10.1", "azureml-evaluate-mlflow==0.0.87", "transformers==4.55.0", "torch")
"""Pinned by the fine-tuning image acft-hf-nlp-gpu:112; the score script's own packages are not among them."""

_PARAMETERS = (
    "num_train_epochs",
    "learning_rate",
    "lr_scheduler_type",
    "per_device_train_batch_size",
    "seed",
)


class WorkError(Exception):
    """A node fails; the text and the code are what its run carries."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def perform(state: EmulatorState, job: Job, node: Node) -> None:
    """Does what a node of the fine-tuning pipeline does; nothing for other nodes.

    Raises:
        WorkError: It fails.
    """
    step, _, name = node.work.partition("/")
    work = _WORK.get(name)
    if work is not None:
        definition = job.properties["jobs"][step]
        work(state, job, node, definition, with_defaults(given_inputs(job.properties, definition)))


def _import_model(
    state: EmulatorState, job: Job, node: Node, definition: dict[str, Any], inputs: dict[str, str]
) -> None:
    del job, node, definition
    given = [name for name in _BASE_MODEL_INPUTS if inputs.get(name)]
    if not given:
        raise WorkError("UserError", f"One of {', '.join(_BASE_MODEL_INPUTS)} must be given.")
    name, source = given[0], inputs[given[0]]
    if name == "huggingface_id":
        _check_hub(state, source)
        return
    known = base_model(state, source)
    asset = by_id(state, MODEL, source)
    if known is None and asset is None and source.startswith("azureml://registries/"):
        raise WorkError("UserError", f"ScriptExecution.StreamAccess.NotFound: {source} does not exist.")
    mlflow = known.mlflow if known else asset is not None and asset.properties["modelType"] == "mlflow_model"
    if mlflow and name == "pytorch_model_path":
        raise WorkError("UserError", f"{source} is an MLflow model; pass it as mlflow_model_path.")
    if known is not None and not mlflow and name == "mlflow_model_path":
        raise WorkError(
            "UserError", f"{source} is not an MLflow model: MLmodel does not exist in its folder."
        )


def _check_hub(state: EmulatorState, identifier: str) -> None:
    """The hub is not asked: an id of the right form exists (chosen)."""
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", identifier):
        raise WorkError("UserError", f"huggingface_id '{identifier}' is not of the form owner/name.")
    if not state.switches.hub_egress:
        raise WorkError(
            "UserError", f"We couldn't connect to 'https://huggingface.co' to load {identifier}/config.json."
        )


def _base_model(inputs: dict[str, str]) -> str:
    """The model to fine-tune, by whichever input names it."""
    return next((inputs[name] for name in _BASE_MODEL_INPUTS if inputs.get(name)), "")


def _window(state: EmulatorState, inputs: dict[str, str]) -> int | None:
    """Tokens of a row that training sees: `max_seq_length`, but no more than the model takes."""
    asked, known = Options(inputs).whole("max_seq_length"), base_model(state, _base_model(inputs))
    limits = [known.context if known else None, asked if asked >= 0 else None]
    return min((limit for limit in limits if limit is not None), default=None)


def _preprocess(
    state: EmulatorState, job: Job, node: Node, definition: dict[str, Any], inputs: dict[str, str]
) -> None:
    del node, definition
    if any(inputs.get(f"{split}_mltable_path") for split in ("train", "validation", "test")):
        raise WorkError("UserError", "The emulator reads train_file_path and its like, not MLTable folders.")
    if not inputs.get("train_file_path"):
        raise WorkError("UserError", "Either train_file_path or train_mltable_path must be given.")
    files = {
        split: _read(state, inputs[f"{split}_file_path"])
        for split in ("train", "validation", "test")
        if inputs.get(f"{split}_file_path")
    }
    try:
        prepared = preprocess_files(
            files["train"], files.get("validation"), files.get("test"), window=_window(state, inputs)
        )
    except PreprocessError as error:
        raise WorkError("UserError", str(error)) from error
    _keep(state, job, prepared)


def _read(state: EmulatorState, uri: str) -> tuple[str, bytes]:
    asset = by_id(state, DATA, uri)
    if asset is not None:
        uri = asset.properties["dataUri"]
    try:
        location = location_of(state, uri)
        return location.path, state.accounts.read(location.account, location.container, location.path)
    except (ValueError, LookupError, FileNotFoundError):
        raise WorkError(
            "UserError",
            "Error Code: ScriptExecution.StreamAccess.NotFound\n"
            f"Native Error: The requested stream was not found: {uri}",
        ) from None


def _between(state: EmulatorState, job: Job) -> BlobLocation:
    """Where nodes leave what the next ones need."""
    return output_location(state, job.name, "chat_completion_datapreprocess")


def _keep(state: EmulatorState, job: Job, prepared: Prepared) -> None:
    location = _between(state, job)
    for split in ("training", "validation", "test"):
        lines = b"\n".join(msgspec.json.encode(example) for example in getattr(prepared, split))
        state.accounts.write(location.account, location.container, f"{location.path}{split}.jsonl", lines)
    counts = msgspec.json.encode(prepared.rows)
    state.accounts.write(location.account, location.container, f"{location.path}rows.json", counts)


def _examples(state: EmulatorState, job: Job, split: str) -> list[Example]:
    location = _between(state, job)
    data = state.accounts.read(location.account, location.container, f"{location.path}{split}.jsonl")
    return [msgspec.json.decode(line, type=Example) for line in data.split(b"\n") if line]


def _check_gpus(state: EmulatorState, node: Node, asked: int) -> None:
    """Training fails if the node has fewer GPUs than the job asks for (the text is chosen)."""
    compute = state.computes.get(node.compute.lower())
    size = SIZES.get(str(compute.properties["properties"]["vmSize"]).lower()) if compute else None
    if size is not None and size.gpus < asked:
        raise WorkError(
            "UserError",
            f"CUDA error: invalid device ordinal. {asked} GPUs were asked for, and a node of {node.compute} "
            f"({size.name}) has {size.gpus}.",
        )


def _finetune(
    state: EmulatorState, job: Job, node: Node, definition: dict[str, Any], inputs: dict[str, str]
) -> None:
    del definition
    _check_gpus(state, node, Options(inputs).whole("number_of_gpu_to_use_finetuning"))
    known = base_model(state, _base_model(inputs))
    architecture = known.architecture if known else "LlamaForCausalLM"
    if failure := failure_of(Options(inputs), architecture, for_chat(_finetune_config(state, inputs))):
        raise WorkError("UserError", failure)
    training = _examples(state, job, "training")
    model, log, _ = train(training, _examples(state, job, "validation"), Options(inputs))
    _take_time(state, job, node, passed_tokens(training, Options(inputs)))
    has_steps = inputs["logging_strategy"] == "steps"  # by epoch the trainer logs no step with a point
    metrics = [
        Metric(key=key, value=value, step=line.step if has_steps else 0, share=line.share)
        for line in log
        for key, value in line.metrics.items()
    ]
    with state.lock:
        job.metrics[node.run_id] = metrics
        job.parameters[node.run_id] = {name: inputs[name] for name in _PARAMETERS}
    location = output_location(state, job.name, "pytorch_model_folder")
    files = written_model(state, model, inputs, node.run_id)
    for name, data in files.items():
        state.accounts.write(location.account, location.container, location.path + name, data)


def _take_time(state: EmulatorState, job: Job, node: Node, count: int) -> None:
    """Lets the node, and with it the job, last longer for each token that it trained on."""
    if not state.pace.trained_token:
        return
    position = job.nodes.index(node)
    takes = timedelta(seconds=state.pace.node(position) + state.pace.trained_token * count)
    with state.lock:
        later = node.starts + takes - node.ends
        node.ends += later
        for following in job.nodes[position + 1 :]:
            following.starts, following.ends = following.starts + later, following.ends + later


def written_model(
    state: EmulatorState, model: LanguageModel, inputs: dict[str, str], run_id: str
) -> chat_model.Files:
    """The MLflow folder of a trained model, as the model converter writes it."""
    base = _base_model(inputs)
    known = base_model(state, base)
    config = for_chat(_finetune_config(state, inputs))
    tag = known.base_image_tag if known else None
    image = base_image(config, f"{IMAGE}:{tag}" if tag is not None else None)
    metadata = {
        "is_finetuned_model": True,
        "base_model_name": base.partition("/versions/")[0].rpartition("/")[2],
        **({"azureml.base_image": image} if image else {}),
    }
    mlmodel = {
        "artifact_path": "mlflow_model_folder",
        "flavors": {
            "hftransformersv2": {"task_type": "chat-completion", "model_data": "data"},
            "python_function": {"loader_module": "azureml.evaluate.mlflow.hftransformers", "data": "data"},
        },
        "metadata": metadata,
        "mlflow_version": "3.10.1",
        "run_id": run_id,
    }
    requirements = [*_REQUIREMENTS, *extra_requirements(config)]
    architecture = known.architecture if known else "LlamaForCausalLM"
    model_config = {
        "architectures": [architecture],
        "max_position_embeddings": known.context if known else 131_072,
    }
    return chat_model.to_folder(model, mlmodel, requirements, model_config)


def _finetune_config(state: EmulatorState, inputs: dict[str, str]) -> dict[str, Any]:
    """The base model's own configuration under the one that the job was given."""
    base = _base_model(inputs)
    known, asset, uri = base_model(state, base), by_id(state, MODEL, base), inputs.get(FINETUNE_CONFIG)
    config = known.finetune_config if known else {}
    if asset is not None:
        artifact = f"{asset.properties['modelUri'].rstrip('/')}/{_ARTIFACT}"
        with suppress(WorkError):  # most model folders have none
            config = merged(config, _json_object(artifact, _read(state, artifact)[1]))
    return merged(config, _json_object(FINETUNE_CONFIG, _read(state, uri)[1])) if uri else config


def _json_object(name: str, data: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(data, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise WorkError("UserError", f"{name} is not a JSON object: {error}") from None


def _convert(
    state: EmulatorState, job: Job, node: Node, definition: dict[str, Any], inputs: dict[str, str]
) -> None:
    """Writes the model to every output of the job that is bound to this node's."""
    del node, inputs
    source = output_location(state, job.name, "pytorch_model_folder")
    for output in (definition.get("outputs") or {}).values():
        bound = _BINDING.fullmatch(str(output.get("value", "")))
        if not bound:
            continue
        target = output_location(state, job.name, bound[1])
        for name in list(state.accounts.names(source.account, source.container, source.path)):
            data = state.accounts.read(source.account, source.container, name)
            relative = name.removeprefix(source.path)
            state.accounts.write(target.account, target.container, target.path + relative, data)


_WORK = {
    "chat_completion_model_import": _import_model,
    "chat_completion_datapreprocess": _preprocess,
    "chat_completion_finetune": _finetune,
    "ft_nlp_model_converter": _convert,
}
