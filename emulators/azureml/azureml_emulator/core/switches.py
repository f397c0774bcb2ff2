"""Behaviour of the service that is not known: each switch has every plausible answer.

Nothing of this was seen on Azure. A client that works under each value works whatever the service does.
``PATCH /_emulator/state {"switches": {...}}`` changes them; the README says what each one decides.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec


class Switches(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=False):
    """The answers that an emulator gives.

    Attributes:
        score_script: ``current``: MLflow models without an environment start and answer as on today's image.
            ``legacy``: every such model starts, and answers ``[{"output": text}]``.
        crash_error: Error of a deployment whose container crashed: the form of 2026, or the older one.
        failed_deployment_status: Status of a request to a deployment that failed.
        model_dir_injected: Whether a deployment with an environment of its own gets ``AZUREML_MODEL_DIR``.
        model_folder: Last folder of a job's registered output: the job output's name, or the component's.
        component_version: The newest ``chat_completion_pipeline`` in the registry; it has
            ``finetune_config_path`` from 0.0.82 on.
        phi4_base_image: Tag of the inference image in Phi-4's metadata; None: its metadata name no image.
        registry_environment: Whether a deployment may name an environment of the public registry, which
            has no inference configuration.
        streaming: Whether server-sent events pass the front door one by one or all at the end.
        stream_timeout: What ``requestTimeout`` does to a stream that has begun.
        headers_forwarded: Whether the front door passes ``extra-parameters`` on to the container.
        hub_egress: Whether a job reaches the Hugging Face hub.
        tag_lists: How lists and objects in a registry model's tags are written.
        allow_lists: The names of the allow lists in ``system_metadata``.
        page_size: Items of a list's page; more come by ``nextLink``.
    """

    score_script: Literal["current", "legacy"] = "current"
    crash_error: Literal["BadArgument", "ResourceNotReady"] = "BadArgument"
    failed_deployment_status: Literal[404, 424, 502] = 502
    model_dir_injected: bool = True
    model_folder: Literal["output-name", "mlflow_model_folder"] = "output-name"
    component_version: Literal["0.0.82", "0.0.81"] = "0.0.82"
    phi4_base_image: int | None = 68
    registry_environment: bool = True
    streaming: Literal["incremental", "buffered"] = "incremental"
    stream_timeout: Literal["cut", "ignored"] = "cut"
    headers_forwarded: bool = True
    hub_egress: bool = True
    tag_lists: Literal["python", "json"] = "python"
    allow_lists: Literal["supportedComputes", "flat"] = "supportedComputes"
    page_size: Annotated[int, msgspec.Meta(ge=1)] = 100


def changed(switches: Switches, changes: dict[str, object]) -> Switches:
    """The switches with some of them changed.

    Raises:
        msgspec.ValidationError: A name or value is not one of those above.
    """
    return msgspec.convert({**msgspec.to_builtins(switches), **changes}, Switches)
