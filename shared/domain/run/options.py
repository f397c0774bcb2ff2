"""The options of a run."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from shared.domain.run.current_model import PromotionPolicy

SERVERLESS = "serverless"
"""The compute name that asks Azure ML for serverless GPUs instead of a cluster of the workspace."""

LEAST_IDLE_MINUTES = 1
"""The shortest `idle_minutes` but 0: use is recorded once a minute, so that anything shorter would delete
an endpoint that is in constant use."""

SettleSeconds = Annotated[float, Meta(ge=0, le=3600)]
EvaluationRows = Annotated[int, Meta(ge=0, le=200)]
ParameterValue = str | int | float | bool

Hours = Annotated[float, Meta(gt=0, le=24 * 365)]
Minutes = Annotated[float, Meta(ge=0, le=60 * 24 * 365)]
NAME_PATTERN = r"\A[A-Za-z0-9][A-Za-z0-9._:-]*\Z"
Name = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=128,
        pattern=NAME_PATTERN,
        extra={"rule": "a name of at most 128 letters, digits and . _ : -, a letter or digit first"},
    ),
]
Sizes = Annotated[tuple[Name, ...], Meta(max_length=10)]
"""VM sizes, the preferred one first."""

IgnoredKeys = Annotated[tuple[Annotated[str, Meta(max_length=80)], ...], Meta(max_length=100)]

_SETTINGS = {"instance_type": "DEPLOYMENT_INSTANCE_TYPE", "compute": "COMPUTE_CLUSTER"}


def choose_another(option: str) -> str:
    """What to do about an option that cannot be used: where an uploader sets it, and where an operator."""
    return f"change `{option}` in run.json, or {_SETTINGS.get(option, option.upper())} in the settings"


ModelReference = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=256,
        pattern=r"\A((azureml:)?[A-Za-z0-9][A-Za-z0-9._-]*(:[A-Za-z0-9][A-Za-z0-9._-]*)?"
        r"|azureml://registries/[A-Za-z0-9][A-Za-z0-9._-]*/models/[A-Za-z0-9][A-Za-z0-9._-]*"
        r"(/versions/[A-Za-z0-9][A-Za-z0-9._-]*)?"
        r"|hf:[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*)\Z",
        extra={
            "rule": "<name>, <name>:<version>, azureml:<name>:<version>, hf:<owner>/<name> or"
            " azureml://registries/<registry>/models/<name>/versions/<version>"
        },
    ),
]
"""A base model; `shared.domain.training.model_reference` reads it."""


class RunOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The choices of one run: the app's settings, with the upload's `run.json` over them.

    Attributes:
        base_model: `<name>` for the newest version in the registry, or `<name>:<version>`; or a model of any
            registry as `azureml://registries/<registry>/models/<name>/versions/<version>`; or one of the
            workspace as `azureml:<name>:<version>`; or `hf:<owner>/<name>`.
        parameters: Inputs of the fine-tuning component, checked against the component itself in preflight.
        compute: Cluster of the workspace, or `serverless`.
        compute_size: VM size for training: of serverless compute, or of a cluster yet to be created.
        other_compute_sizes: Sizes to train on instead, in this order, where Azure ML refuses that one.
        instance_type: VM size of the deployment.
        other_instance_types: The same for the deployment.
        instance_count: VMs of the deployment.
        serving_concurrency: Requests that one VM of the deployment works on at once.
        lifetime_hours: Hours from going live to being stopped: the endpoint is deleted, the model stays.
        idle_minutes: Minutes without a scoring request until the endpoint is stopped; 0 never.
        row_policy: `strict` rejects a dataset that has any faulty row; `drop` leaves such rows out.
        ignore_keys, preference, vision, tools, pretemplated, mask: What validation may do with data that it
            refuses otherwise; see `docs/dataset-rules.md`.
        settle_seconds: Seconds for which the upload must not change before its run opens.
        available: Weekly schedule of when the model answers (`availability`); empty is at all times.
        start_on_request: Whether a request for the stopped model deploys it again.
        evaluation_rows: Test conversations that are put to a deployment before it gets traffic; 0 is none.
        evaluate_base: Whether the base model is evaluated on the same rows, in a deployment of its own.
        promotion: Whether the model takes its dataset's name: `if_not_worse` than the current one, `always`,
        or
            `manual`, when a person says so.
        force: Train even if the same data, parameters and base model were trained before.
    """

    base_model: ModelReference
    parameters: dict[str, ParameterValue]
    compute: Name
    compute_size: Name
    instance_type: Name
    instance_count: Annotated[int, Meta(ge=1, le=50)]
    lifetime_hours: Hours
    idle_minutes: Minutes
    row_policy: Literal["strict", "drop"]
    serving_concurrency: Annotated[int, Meta(ge=1, le=256)] = 8
    settle_seconds: SettleSeconds = 10
    force: bool = False
    start_on_request: bool = False
    available: Annotated[str, Meta(max_length=100)] = ""
    other_compute_sizes: Sizes = ()
    other_instance_types: Sizes = ()
    ignore_keys: IgnoredKeys = ()
    preference: Literal["reject", "use_chosen"] = "reject"
    vision: Literal["reject", "drop_rows"] = "reject"
    tools: Literal["reject", "drop_rows", "as_text"] = "reject"
    pretemplated: Literal["reject", "strip"] = "reject"
    mask: Literal["reject", "split"] = "reject"
    evaluation_rows: EvaluationRows = 0
    promotion: PromotionPolicy = "if_not_worse"
    evaluate_base: bool = False

    def compute_sizes_besides(self, refused: str) -> Sizes:
        """The other VM sizes to train on, the preferred one first; none for a size that is not listed."""
        own = (self.compute_size, *self.other_compute_sizes)
        rest = tuple(size for size in own if size.lower() != refused.lower())
        return rest if len(rest) < len(own) else ()
