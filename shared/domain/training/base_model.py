"""What the registry says of a base model, and whether it can be fine-tuned where and how it is asked for.

Two spellings of the same facts exist. Until mid-2026 the registry kept allow lists and retirement dates
in string tags (Python literals); since then in `system_metadata`. Both are read.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from shared.domain.errors import InvalidRunError
from shared.domain.run.options import choose_another
from shared.domain.training.model_reference import ModelInput

UNSUPPORTED_SIZES = frozenset({"standard_nc6", "standard_nc12", "standard_nc24", "standard_nc24r"})
"""GPU sizes that the fine-tuning components do not support, used when a model brings no allow list
(source: the Azure ML chat-completion notebook)."""


class BaseModel(NamedTuple):
    """A base model, reduced to what fine-tuning needs to know.

    Attributes:
        id: `azureml://registries/…` id, or the hub's: an input of the training pipeline.
        archived: Whether the registry keeps it only for those who already use it.
        finetune_retirement: When fine-tuning it ends or ended (UTC), or None.
        finetune_sizes: VM sizes it may be trained on, or None where the registry does not say.
        inference_sizes: VM sizes it may be deployed on, or None where the registry does not say.
        defaults: The publisher's fine-tuning parameters (`model_specific_defaults`).
        context_window: Tokens that it takes, or None where the registry does not say.
        input: How a job is given it.
    """

    id: str
    name: str
    version: str
    archived: bool
    finetune_retirement: datetime | None
    finetune_sizes: tuple[str, ...] | None
    inference_sizes: tuple[str, ...] | None
    defaults: Mapping[str, Any]
    context_window: int | None = None
    input: ModelInput = ModelInput.MLFLOW


def hub_model(name: str) -> BaseModel:
    """A model of the Hugging Face hub, of which nothing is known before the job asks for it."""
    return BaseModel(
        id=name,
        name=name,
        version="hub",
        archived=False,
        finetune_retirement=None,
        finetune_sizes=None,
        inference_sizes=None,
        defaults={},
        input=ModelInput.HUGGINGFACE,
    )


def literal(value: Any) -> Any:
    """Read a tag that holds a list or dict as a Python or JSON literal; anything else comes back as it is."""
    if not isinstance(value, str):
        return value
    for read in (ast.literal_eval, json.loads):
        try:
            return read(value)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
    return value


def parse_base_model(name: str, version: str, body: Mapping[str, Any]) -> BaseModel:
    """Read a model version as the registry's data plane returns it.

    Args:
        name: Name of the model.
        version: Its version.
        body: The JSON body: `id` and `properties` with `tags`, `isArchived` and perhaps `system_metadata`.
    """
    properties: Mapping[str, Any] = body.get("properties") or {}
    tags: Mapping[str, Any] = properties.get("tags") or {}
    system: Any = literal(properties.get("system_metadata") or properties.get("systemMetadata") or {})
    system = system if isinstance(system, Mapping) else {}
    computes = _mapping(system.get("supportedComputes"))
    deprecation = _mapping(system.get("deprecation"))
    return BaseModel(
        id=str(body["id"]),
        name=name,
        version=version,
        archived=properties.get("isArchived") is True,
        finetune_retirement=_date(
            deprecation.get("finetuneRetirementDate") or tags.get("FinetuneRetirementDate"),
        ),
        finetune_sizes=_sizes(
            tags.get("finetune_compute_allow_list")
            or computes.get("finetuneComputes")
            or system.get("finetune_compute_allow_list")
        ),
        inference_sizes=_sizes(
            tags.get("inference_compute_allow_list")
            or computes.get("inferenceComputes")
            or system.get("inference_compute_allow_list")
        ),
        defaults=_mapping(literal(tags.get("model_specific_defaults"))),
        context_window=_count(tags.get("textContextWindow") or system.get("textContextWindow")),
        input=ModelInput.PYTORCH if properties.get("modelType") == "custom_model" else ModelInput.MLFLOW,
    )


def check_base_model(model: BaseModel, *, allow_retired: bool, now: datetime) -> None:
    """Refuse a model that its publisher has withdrawn.

    Raises:
        InvalidRunError: If the model is archived or past its fine-tuning retirement date.
    """
    if allow_retired:
        return
    remedy = f"{choose_another('base_model')}; an operator may allow it: setting ALLOW_RETIRED_MODEL"
    if model.archived:
        raise InvalidRunError(f"model {model.name} version {model.version} is archived: {remedy}")
    if model.finetune_retirement is not None and model.finetune_retirement <= now:
        raise InvalidRunError(
            f"model {model.name} version {model.version} was retired from fine-tuning on "
            f"{model.finetune_retirement:%Y-%m-%d}: {remedy}",
        )


def check_training_size(model: BaseModel, size: str) -> None:
    """Refuse a VM size that the model cannot be trained on.

    Raises:
        InvalidRunError: If the size is not in the model's allow list or, without one, is known not to work.
    """
    if model.finetune_sizes is not None:
        _check_listed(size, model.finetune_sizes, f"training {model.name}", "compute_size")
    elif size.lower() in UNSUPPORTED_SIZES:
        raise InvalidRunError(
            f"VM size {size} is not supported for fine-tuning: {choose_another('compute_size')}"
        )


def check_deployment_size(model: BaseModel, size: str) -> None:
    """Refuse a VM size that the model cannot be deployed on.

    Raises:
        InvalidRunError: If the model has an allow list and the size is not in it.
    """
    if model.inference_sizes is not None:
        _check_listed(size, model.inference_sizes, f"deploying {model.name}", "instance_type")


def _check_listed(size: str, allowed: tuple[str, ...], purpose: str, option: str) -> None:
    if size.lower() not in {name.lower() for name in allowed}:
        raise InvalidRunError(
            f"VM size {size} is not allowed for {purpose}: {choose_another(option)}, "
            f"to one of {', '.join(allowed)}",
        )


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _sizes(value: Any) -> tuple[str, ...] | None:
    listed = literal(value)
    return tuple(str(size) for size in listed) if isinstance(listed, list | tuple) and listed else None


def _count(value: Any) -> int | None:
    text = str(value)
    return int(text) if text.isascii() and text.isdigit() and 0 < int(text) < 2**31 else None


def _date(value: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
