"""Read an upload's `run.json` over the app's settings, and check it against the operator's bounds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from shared.domain.fields import Problem, convert_fields
from shared.domain.run.bounds import Bounds, check_options, check_parameters, nearest
from shared.domain.run.options import RunOptions
from shared.domain.run.parameters import fault_of_value, shown
from shared.domain.sanitize import plain_text

OPTIONS_LIMIT_BYTES = 64 * 1024

SHOWN_BYTES = 4 * 1024

MOST_PROBLEMS = 20
"""Problems that are told one by one; the rest is counted. The record and its answer stay small."""

LONGEST_PROBLEM = 400
"""Characters of one problem's text."""


def override_options(
    defaults: RunOptions, text: bytes, bounds: Bounds | None = None
) -> tuple[RunOptions, list[Problem]]:
    """Lay a `run.json` over the defaults.

    Args:
        defaults: The options that the app's settings give.
        text: The file's bytes: one JSON object whose keys are fields of `RunOptions`. `parameters` is
            merged key by key, everything else replaces.
        bounds: The operator's bounds, where they are known.

    Returns:
        The options, and what is wrong, at most `MOST_PROBLEMS` + 1 problems; with problems the options are
        the defaults.
    """
    if len(text) > OPTIONS_LIMIT_BYTES:
        return defaults, [Problem("run.json", f"is over {OPTIONS_LIMIT_BYTES // 1024} KiB")]
    try:
        values: Any = msgspec.json.decode(text.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        return defaults, [Problem("run.json", f"is not JSON: {fault}")]
    if not isinstance(values, dict):
        return defaults, [Problem("run.json", "must be one JSON object of options")]
    converted, faults = convert_fields(RunOptions, _with_lists_split(values), strict=True)
    chosen = converted.get("parameters", {})
    options = msgspec.structs.replace(
        defaults, **{**converted, "parameters": {**defaults.parameters, **chosen}}
    )
    told = {name: fault_of_value(value) for name, value in chosen.items()}
    malformed = {name: message for name, message in told.items() if message is not None}
    problems = [*_unknown(values), *faults]
    problems += [Problem(f"parameters.{name}", message) for name, message in malformed.items()]
    if bounds is not None:
        usable = {name: value for name, value in chosen.items() if name not in malformed}
        problems += check_parameters(usable, bounds)
        problems += check_options(options, defaults, bounds)
    return (defaults, _told(problems)) if problems else (options, [])


def options_as_given(text: bytes) -> dict[str, Any]:
    """What a `run.json` that `override_options` took says, to be shown beside what came of it.

    A file over `SHOWN_BYTES` is not repeated: its options are those of the run anyway.
    """
    return dict(msgspec.json.decode(text.removeprefix(b"\xef\xbb\xbf"))) if len(text) <= SHOWN_BYTES else {}


SIZES = {"compute_size": "other_compute_sizes", "instance_type": "other_instance_types"}
"""Options that may be a list, the preferred VM size first, and where the others of it are kept."""


def _with_lists_split(values: dict[str, Any]) -> dict[str, Any]:
    """The options with the first size of a list, and the others; a size alone has no others."""
    split = dict(values)
    for name, others in SIZES.items():
        if isinstance(given := values.get(name), list) and given:
            split[name], split[others] = given[0], given[1:]
        elif name in values:
            split[others] = []
    return split


def _unknown(values: dict[str, Any]) -> Iterable[Problem]:
    known = [field.name for field in msgspec.structs.fields(RunOptions) if field.name not in SIZES.values()]
    unknown = [name for name in values if name not in known]
    for name in unknown[:MOST_PROBLEMS]:
        hint = nearest(name, known) or f"; the options are {', '.join(known)}"
        yield Problem(name, f"is not an option{hint}")
    for name in unknown[MOST_PROBLEMS:]:
        yield Problem(name, "is not an option")


def _told(problems: list[Problem]) -> list[Problem]:
    """The problems as they are told to the uploader: quoted keys, short texts, not too many."""
    told = [
        Problem(f"run.json {shown(plain_text(name))}", plain_text(message)[:LONGEST_PROBLEM])
        for name, message in problems[:MOST_PROBLEMS]
    ]
    more = len(problems) - len(told)
    return [*told, Problem("run.json", f"has {more} more problems of this kind")] if more else told
