"""What `finetune upload` takes, and what of it becomes the run's `run.json`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from shared.domain.dataset import ValidationRules
from shared.domain.fields import convert_fields
from shared.domain.run.bounds import nearest
from shared.domain.run.options import RunOptions
from shared.domain.run.run_json import override_options

_RUN_OPTIONS = (
    ("--base-model", str, "base model, e.g. Phi-4 or Phi-4:8"),
    ("--compute", str, "compute cluster, or serverless"),
    ("--compute-size", str, "VM size for training"),
    ("--instance-type", str, "VM size of the deployment"),
    ("--instance-count", int, "VMs of the deployment"),
    ("--lifetime-hours", float, "hours until the endpoint is stopped; its model stays"),
    ("--idle-minutes", float, "minutes without a request until it is stopped; 0 for never"),
)

# What validation may do with data that it refuses otherwise.
_TREATMENTS = (
    ("--preference", ("reject", "use_chosen"), "learn the chosen answers of preference data"),
    ("--vision", ("reject", "drop_rows"), "leave out rows with images, sound or video"),
    ("--tools", ("reject", "drop_rows", "as_text"), "leave out rows of tool calls, or write these as text"),
    ("--pretemplated", ("reject", "strip"), "remove the marks of chat templates from texts"),
    ("--mask", ("reject", "split"), "cut conversations before answers that are not to be learned"),
)
OF_VALIDATION = ("row_policy", "ignore_keys", *(flag[2:] for flag, _, _ in _TREATMENTS))
"""Options of a run that are rules of its validation, too."""

# What the app's settings would give; the operator's bounds are not known here.
_ANY_OPTIONS = RunOptions(
    base_model="any",
    parameters={},
    compute="any",
    compute_size="any",
    instance_type="any",
    instance_count=1,
    lifetime_hours=1,
    idle_minutes=0,
    row_policy="strict",
)


DEFAULT_RULES = ValidationRules()


class OptionsError(Exception):
    """The command line asks for something that the cloud would refuse or ignore."""

    retryable = False


def add_upload_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `finetune upload` takes."""
    parser.add_argument(
        "dataset",
        metavar="DATASET",
        help="a .jsonl or .ndjson[.gz|.zst], .json, .csv or .parquet, a folder, or a Hugging Face dataset",
    )
    parser.add_argument(
        "--name", type=_name, help="its name in the cloud (default: from the file or dataset)"
    )
    parser.add_argument("--check-only", action="store_true", help="check options and dataset, send nothing")
    parser.add_argument(
        "--quote", action="store_true", help="show what the run would take and cost, send nothing"
    )
    parser.add_argument(
        "--report", type=report_path, metavar="FILE", help="write the report as .html or .json"
    )
    parser.add_argument("--replace", action="store_true", help="delete companions of an earlier upload")
    parser.add_argument(
        "--follow", action="store_true", help="show the run's stages until it is live or over"
    )
    parser.add_argument(
        "--storage",
        help="https://<account>.blob.core.windows.net, with this machine's login, or a connection string"
        " (FINETUNE_STORAGE; default: that of the local app, if `make dev` runs)",
    )
    _add_selection(parser)
    _add_rules(parser)
    _add_run_options(parser)


def run_options(parsed: argparse.Namespace, own: Mapping[str, Any]) -> dict[str, Any]:
    """What `run.json` is to say: the dataset's own options, and the command line's over them.

    Raises:
        OptionsError: The cloud would reject the run for them.
    """
    names = [flag[2:].replace("-", "_") for flag, _, _ in _RUN_OPTIONS]
    names += OF_VALIDATION
    given = {name: getattr(parsed, name) for name in names if getattr(parsed, name) is not None}
    options = {**own, **given}
    if parsed.force:
        options["force"] = True
    if parsed.parameter:
        options["parameters"] = {**own.get("parameters", {}), **dict(parsed.parameter)}
    text = json.dumps(options).encode()
    if problems := override_options(_ANY_OPTIONS, text)[1]:
        raise OptionsError("; ".join(map(str, problems)))
    return options


def _add_selection(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("which part of it", "What is JSON Lines already is sent as it is.")
    group.add_argument("--split", help="of a Hugging Face dataset, e.g. train_sft (default: train)")
    group.add_argument("--validation-split", help="split for validation (default: taken from training)")
    group.add_argument("--test-split", help="split for testing (default: taken from training)")
    group.add_argument("--config", help="configuration of a Hugging Face dataset that has several")
    group.add_argument("--percent", type=_percent, default=100.0, help="how much of each split to take")


def _add_rules(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "the check",
        "It holds the dataset to the rules of the app where the app can be asked, else to the default ones;"
        " here is where yours differ.",
    )
    group.add_argument("--context-window", type=int, help="tokens of a row that the trainer keeps")
    group.add_argument(
        "--rule",
        type=_rule,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="another of the rules in docs/dataset-rules.md, e.g. max_dropped_percent=10; may be repeated",
    )


def _add_run_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("options of this run", "Written to run.json beside the dataset.")
    for flag, kind, text in _RUN_OPTIONS:
        group.add_argument(flag, type=kind, help=text)
    group.add_argument(
        "--row-policy", choices=("strict", "drop"), help="whether faulty rows reject the dataset"
    )
    group.add_argument(
        "--ignore-key",
        dest="ignore_keys",
        action="append",
        metavar="KEY",
        help="a key of rows or messages that may be left out; may be repeated",
    )
    for flag, choices, text in _TREATMENTS:
        group.add_argument(flag, choices=choices, help=text)
    group.add_argument("--force", action="store_true", help="train even if the same data were trained before")
    group.add_argument(
        "--parameter",
        type=_parameter,
        action="append",
        metavar="NAME=VALUE",
        help="an input of the fine-tuning component, e.g. learning_rate=1e-5; may be repeated",
    )


def validation_rules(parsed: argparse.Namespace, known: ValidationRules = DEFAULT_RULES) -> ValidationRules:
    """The rules that are known of the app, with those that the command line gives over them.

    Args:
        parsed: The command line.
        known: The app's own rules, or the default ones.

    Raises:
        OptionsError: One of them is none, or has no such value.
    """
    given: dict[str, Any] = dict(parsed.rule)
    if parsed.context_window is not None:
        given["context_window"] = parsed.context_window
    names = [field.name for field in msgspec.structs.fields(ValidationRules)]
    for name in given.keys() - set(names):
        hint = nearest(name, names) or f"; the rules are {', '.join(names)}"
        raise OptionsError(f"--rule: there is no rule {name!r}{hint}")
    rules, problems = convert_fields(ValidationRules, given, strict=False)
    if problems:
        raise OptionsError("; ".join(f"--rule {problem}" for problem in problems))
    try:
        return ValidationRules(**{**msgspec.structs.asdict(known), **rules})
    except ValueError as error:
        raise OptionsError(f"--rule: {error}") from error


def _name(text: str) -> str:
    if "/" in text or "\\" in text:
        raise argparse.ArgumentTypeError("a name is one path segment, without slashes")
    return text


def report_path(text: str) -> Path:
    """A file that a report can be written to: its ending says in which form."""
    path = Path(text)
    if path.suffix.lower() not in (".html", ".json"):
        raise argparse.ArgumentTypeError(f"{text} ends with neither .html nor .json")
    if not path.parent.is_dir() or path.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is a folder, or lies in one that is not there")
    return path


def _rule(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not (name and separator):
        raise argparse.ArgumentTypeError("a rule is written NAME=VALUE")
    return name, value


def _percent(text: str) -> float:
    value = float(text)
    if not 0 < value <= 100:
        raise argparse.ArgumentTypeError("a percentage lies above 0 and at most at 100")
    return value


def _parameter(text: str) -> tuple[str, Any]:
    name, separator, value = text.partition("=")
    if not (name and separator):
        raise argparse.ArgumentTypeError("a parameter is written NAME=VALUE")
    try:
        parsed = msgspec.json.decode(value)
    except msgspec.DecodeError:
        parsed = value
    return name, parsed if isinstance(parsed, (str, int, float)) else value
