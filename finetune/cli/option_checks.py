"""A run's options, checked before anything is sent: by the app if it can be asked, else by a dated copy."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

import msgspec
from rich.markup import escape

from finetune.cli.target import connect
from finetune.cli.terminal import Terminal
from finetune.cli.upload_arguments import OF_VALIDATION, OptionsError, validation_rules
from finetune.client import AppError, Preflight, RefusedError
from finetune.dataset.published import check_by_copy
from shared.domain.dataset import ValidationRules

_VERDICTS = frozenset({400, 413, 422})
_WRONG_KEY = frozenset({401, 403})


def check_options(
    options: argparse.Namespace, of_run: Mapping[str, Any], terminal: Terminal
) -> ValidationRules:
    """Check what `run.json` is to say.

    Args:
        options: The command line, which may say where the app is.
        of_run: The options of the run.
        terminal: Told who checked what.

    Returns:
        What the dataset is to be held to.

    Raises:
        OptionsError: A run with these options would be refused.
        RefusedError: The app does not take the key.
    """
    try:
        with connect(options) as client:
            found = client.preflight(of_run)
            terminal.say(f"options checked by {escape(client.url)}: {escape(_settled(found))}")
            return validation_rules(options, msgspec.convert(found.rules, ValidationRules))
    except RefusedError as fault:
        if fault.status in _VERDICTS:
            raise OptionsError(f"{fault} (checked by the app)") from fault
        if fault.status in _WRONG_KEY:
            raise
        reason: Exception = fault
    except (AppError, msgspec.ValidationError) as fault:
        reason = fault
    _check_without_app(of_run, terminal, str(reason), only=options.check_only)
    own = {option: of_run[option] for option in OF_VALIDATION if option in of_run}
    rules = msgspec.structs.asdict(validation_rules(options))
    return msgspec.convert({**rules, **own}, ValidationRules)


def _settled(found: Preflight) -> str:
    return (
        f"{found.base_model_name} version {found.base_model_version}, component {found.component_version},"
        f" training on {found.compute_size}, deployment on {found.instance_type}"
    )


def _check_without_app(of_run: Mapping[str, Any], terminal: Terminal, reason: str, *, only: bool) -> None:
    """Check by the copy; what it refuses is only a warning if the app has the last word a moment later."""
    found = check_by_copy(of_run)
    if found.faults and only:
        raise OptionsError(f"{'; '.join(found.faults)} (by {found.copy})")
    for fault in found.faults:
        terminal.say(f"[yellow]warning[/]: {escape(fault)} (by {escape(found.copy)})")
    terminal.say(
        f"options checked by {escape(found.copy)}, not by the app ({escape(reason)}): "
        f"{', '.join(found.unchecked)} are not checked"
    )
