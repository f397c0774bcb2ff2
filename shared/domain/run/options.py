"""What can be chosen for one run, and reading a run's `run.json` over the app's settings."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from shared.domain.fields import Problem, convert_fields

SERVERLESS = "serverless"
"""The compute name that asks Azure ML for serverless GPUs instead of a cluster of the workspace."""

OPTIONS_LIMIT_BYTES = 64 * 1024

ParameterValue = str | int | float | bool

Hours = Annotated[float, Meta(gt=0, le=24 * 365)]
Minutes = Annotated[float, Meta(ge=0, le=60 * 24 * 365)]
Name = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"\A[A-Za-z0-9][A-Za-z0-9._:-]*\Z")]


class RunOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The choices of one run: the app's settings, with the upload's `run.json` over them.

    Attributes:
        base_model: `<name>` for the newest version in the registry, or `<name>:<version>`.
        parameters: Inputs of the fine-tuning component, checked against the component itself in preflight.
        compute: Cluster of the workspace, or `serverless`.
        compute_size: VM size for training: of serverless compute, or of a cluster yet to be created.
        instance_type: VM size of the deployment.
        instance_count: VMs of the deployment.
        serving_concurrency: Requests that one VM of the deployment works on at once.
        lifetime_hours: Hours from going live to being deleted.
        idle_minutes: Minutes without a scoring request until the endpoint is deleted; 0 never.
        row_policy: `strict` rejects a dataset that has any faulty row; `drop` leaves such rows out.
        force: Train even if the same data, parameters and base model were trained before.
    """

    base_model: Name
    parameters: dict[str, ParameterValue]
    compute: Name
    compute_size: Name
    instance_type: Name
    instance_count: Annotated[int, Meta(ge=1, le=50)]
    lifetime_hours: Hours
    idle_minutes: Minutes
    row_policy: Literal["strict", "drop"]
    serving_concurrency: Annotated[int, Meta(ge=1, le=256)] = 8
    force: bool = False


def override_options(
    defaults: RunOptions, text: bytes, *, most_lifetime_hours: float = math.inf
) -> tuple[RunOptions, list[Problem]]:
    """Lay a `run.json` over the defaults.

    Args:
        defaults: The options that the app's settings give.
        text: The file's bytes: one JSON object whose keys are fields of `RunOptions`. `parameters` is
            merged key by key, everything else replaces.
        most_lifetime_hours: What `lifetime_hours` may be at most, where that is known.

    Returns:
        The options, and every problem found; with problems the options are the defaults.
    """
    if len(text) > OPTIONS_LIMIT_BYTES:
        return defaults, [Problem("run.json", f"is over {OPTIONS_LIMIT_BYTES // 1024} KiB")]
    try:
        values: Any = msgspec.json.decode(text.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        return defaults, [Problem("run.json", f"is not JSON: {fault}")]
    if not isinstance(values, dict):
        return defaults, [Problem("run.json", "must be one JSON object of options")]
    known = {field.name for field in msgspec.structs.fields(RunOptions)}
    problems = [
        Problem(f"run.json {name!r}", f"is no option; the options are {', '.join(sorted(known))}")
        for name in values
        if name not in known
    ]
    converted, faults = convert_fields(RunOptions, values, strict=True)
    problems += [Problem(f"run.json {name!r}", message) for name, message in faults]
    if converted.get("lifetime_hours", 0) > most_lifetime_hours:
        message = f"is over ENDPOINT_MAX_LIFETIME_HOURS, {most_lifetime_hours:g}"
        problems.append(Problem("run.json 'lifetime_hours'", message))
    if problems:
        return defaults, problems
    if "parameters" in converted:
        converted["parameters"] = {**defaults.parameters, **converted["parameters"]}
    return msgspec.structs.replace(defaults, **converted), []
