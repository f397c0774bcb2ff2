"""The upload tool's command line, and what of it becomes the run's `run.json`."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

_RUN_OPTIONS = (
    ("--base-model", str, "base model, e.g. Phi-4 or Phi-4:8"),
    ("--compute", str, "compute cluster, or serverless"),
    ("--compute-size", str, "VM size for training"),
    ("--instance-type", str, "VM size of the deployment"),
    ("--instance-count", int, "VMs of the deployment"),
    ("--lifetime-hours", float, "hours until the endpoint is deleted"),
    ("--idle-minutes", float, "minutes without a request until it is deleted; 0 for never"),
)


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line; ends the process with code 2 if it makes no sense."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.upload_dataset",
        description="Check a dataset and upload it, which starts a fine-tuning run.",
    )
    parser.add_argument(
        "--dataset",
        required=True,
        help="a .jsonl[.gz|.zst], .json, .parquet or .csv file, a folder, or a Hugging Face dataset",
    )
    parser.add_argument("--name", help="its name in the cloud (default: from the file or dataset)")
    parser.add_argument("--split", default="train", help="split to train on, e.g. train_sft")
    parser.add_argument("--validation-split", help="split for validation (default: taken from training)")
    parser.add_argument("--test-split", help="split for testing (default: taken from training)")
    parser.add_argument("--percent", type=_percent, default=100.0, help="how much of each split to take")
    parser.add_argument("--check-only", action="store_true", help="check, send nothing")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write the report as .html or .json")
    parser.add_argument("--replace", action="store_true", help="delete companions of an earlier upload")
    parser.add_argument(
        "--follow", action="store_true", help="show the run's stages until it is live or over"
    )
    _add_target(parser)
    _add_run_options(parser)
    parsed = parser.parse_args(arguments)
    if parsed.name and ("/" in parsed.name or "\\" in parsed.name):
        parser.error("--name is one path segment, without slashes")
    parsed.rules = {} if parsed.context_window is None else {"context_window": parsed.context_window}
    return parsed


def run_options(parsed: argparse.Namespace) -> dict[str, Any]:
    """The keys of `run.json` that the command line gives."""
    names = [flag[2:].replace("-", "_") for flag, _, _ in _RUN_OPTIONS] + ["row_policy"]
    options = {name: getattr(parsed, name) for name in names if getattr(parsed, name) is not None}
    if parsed.force:
        options["force"] = True
    if parsed.parameter:
        options["parameters"] = dict(parsed.parameter)
    return options


def _add_target(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("where to", "The local stack's, if `make dev` runs, unless given.")
    group.add_argument(
        "--account-url", help="https://<account>.blob.core.windows.net, with this machine's login"
    )
    group.add_argument(
        "--connection-string",
        default=os.environ.get("FINETUNE_STORAGE_CONNECTION_STRING"),
        help="of the storage account (environment: FINETUNE_STORAGE_CONNECTION_STRING)",
    )
    group.add_argument("--functions-url", help="address of the function app, for --follow")
    group.add_argument("--function-key", help="its key (environment: FINETUNE_FUNCTION_KEY)")


def _add_run_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("options of this run", "Written to run.json beside the dataset.")
    for flag, kind, text in _RUN_OPTIONS:
        group.add_argument(flag, type=kind, help=text)
    group.add_argument(
        "--row-policy", choices=("strict", "drop"), help="whether faulty rows reject the dataset"
    )
    group.add_argument("--force", action="store_true", help="train even if the same data were trained before")
    group.add_argument(
        "--parameter",
        type=_parameter,
        action="append",
        metavar="NAME=VALUE",
        help="an input of the fine-tuning component, e.g. learning_rate=1e-5; may be repeated",
    )
    parser.add_argument("--context-window", type=int, help="tokens of a row that the trainer keeps")


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
