"""`POST /api/preflight`: what preflight says of a `run.json`, without a run."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from handlers.http.requests import read_object
from handlers.http.responses import Response, json_response
from handlers.http.run_views import OptionsView, options_view
from shared.config import Settings
from shared.domain.dataset import ValidationRules
from shared.domain.errors import InvalidRunError, ServiceRefusedError
from shared.domain.run.options import NAME_PATTERN, Name, ParameterValue, RunOptions
from shared.domain.run.run_json import SIZES, override_options
from shared.domain.training.component import USUAL_WINDOW
from shared.ports import Services
from shared.workflow.steps.plan_training import preflight

# The pattern is for the description alone: as the interpreter ends, msgspec 0.22.0 crashes over a type that
# is a list or else a text with a pattern.
_DescribedName = Annotated[
    str, Meta(min_length=1, max_length=128, extra_json_schema={"pattern": NAME_PATTERN})
]

RunJson = msgspec.defstruct(
    "RunJson",
    [
        (field.name, (_DescribedName | list[Name] if field.name in SIZES else field.type) | UnsetType, UNSET)
        for field in msgspec.structs.fields(RunOptions)
        if field.name not in SIZES.values()
    ],
    module=__name__,
    kw_only=True,
)
"""What a `run.json` may say; each size may be a list, the preferred one first."""

_ANY_DATASET = "dataset"
_BOM = b"\xef\xbb\xbf"  # editors write it, and a run.json may have it


class PreflightView(msgspec.Struct, frozen=True, kw_only=True):
    """What a run with these options would train, on what, and what its dataset would be held to."""

    base_model_id: str
    base_model_name: str
    base_model_version: str
    component_id: str
    component_version: str
    parameters: Annotated[
        dict[str, ParameterValue],
        Meta(description="Of the job: the app's, the publisher's and those of the options."),
    ]
    compute_size: Annotated[str, Meta(description="The first of the sizes that can be trained on.")]
    gpus_per_node: int
    create_compute: Annotated[bool, Meta(description="Whether the cluster is to be created first.")]
    instance_type: Annotated[str, Meta(description="The first of the sizes that can be deployed on.")]
    options: OptionsView
    rules: ValidationRules


def show_preflight(body: bytes, settings: Settings, services: Services) -> Response:
    """Check options as the run's own preflight does, and say what came of it.

    Args:
        body: What the `run.json` holds, or would hold.
        settings: They hold where the body says nothing.
        services: The ports.

    Raises:
        RequestError: 400 or 413 for a body that is no JSON object.
        InvalidRunError: The run would be refused, by the app or by Azure ML.
        TransientServiceError: Azure ML could not be reached.
    """
    read_object(body.removeprefix(_BOM))
    options, problems = override_options(settings.default_options(), body, settings.bounds())
    if problems:
        raise InvalidRunError("; ".join(map(str, problems)), code="InvalidOptions")
    try:
        settled = preflight(options, _ANY_DATASET, settings, services)
    except ServiceRefusedError as refusal:
        # Such a run asks again until REFUSAL_DEADLINE_MINUTES, and then fails with the same words.
        raise InvalidRunError(refusal.message, code=refusal.code) from refusal
    plan = settled.plan
    view = PreflightView(
        base_model_id=plan.base_model_id,
        base_model_name=plan.base_model_name,
        base_model_version=plan.base_model_version,
        component_id=plan.component_id,
        component_version=plan.component_version,
        parameters=dict(plan.parameters),
        compute_size=settled.training.size,
        gpus_per_node=plan.gpus_per_node,
        create_compute=plan.create_compute,
        instance_type=settled.serving.size,
        options=options_view(options),
        rules=settings.validation_rules(options, plan.context_window or USUAL_WINDOW),
    )
    return json_response(200, view)
