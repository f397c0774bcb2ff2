"""The work of the fine-tuning pipeline's nodes, from the datastore to the model folder."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from azureml_emulator.core.asset_families import DATA, by_id
from azureml_emulator.core.blob_locations import BlobLocation, location_of, output_location
from azureml_emulator.core.catalogue import context_window, model_ids
from azureml_emulator.core.resources import Job, Metric, Node
from azureml_emulator.core.state import EmulatorState
from azureml_emulator.core.vm_sizes import SIZES
from azureml_emulator.training import chat_model
from azureml_emulator.training.conversation import Example
from azureml_emulator.training.job_inputs import given_inputs, with_defaults
from azureml_emulator.training.preprocess import Prepared, PreprocessError, preprocess_files
from azureml_emulator.training.trainer import Options, train

_BINDING = re.compile(r"\$\{\{parent\.outputs\.(\w+)\}\}")
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
    del state, job, node, definition
    source = _base_model(inputs)
    if not source:
        raise WorkError(
            "UserError", "One of mlflow_model_path, pytorch_model_path and huggingface_id must be given."
        )
    if source.startswith("azureml://registries/") and source not in model_ids():
        raise WorkError("UserError", f"ScriptExecution.StreamAccess.NotFound: {source} does not exist.")


def _base_model(inputs: dict[str, str]) -> str:
    """The model that is to be tuned, by whichever input names it."""
    names = ("mlflow_model_path", "pytorch_model_path", "huggingface_id")
    return next((inputs[name] for name in names if inputs.get(name)), "")


def _window(state: EmulatorState, inputs: dict[str, str]) -> int | None:
    """Tokens of a row that training sees: `max_seq_length`, but no more than the model takes."""
    asked = Options(inputs).whole("max_seq_length")
    limits = [context_window(state, _base_model(inputs)), asked if asked > 0 else None]
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
    model, log, _ = train(
        _examples(state, job, "training"), _examples(state, job, "validation"), Options(inputs)
    )
    metrics = [
        Metric(key=key, value=value, step=line.step, share=line.share)
        for line in log
        for key, value in line.metrics.items()
    ]
    with state.lock:
        job.metrics[node.run_id] = metrics
        job.parameters[node.run_id] = {name: inputs[name] for name in _PARAMETERS}
    location = output_location(state, job.name, "pytorch_model_folder")
    files = chat_model.to_folder(model, inputs.get("mlflow_model_path", ""), node.run_id)
    for name, data in files.items():
        state.accounts.write(location.account, location.container, location.path + name, data)


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
