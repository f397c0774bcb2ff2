"""The app settings that a developer gives to `make dev`: the environment, and `.env` below it."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from dotenv import dotenv_values

from local.settings import FOREIGN_PREFIXES, LOCAL_PACE, example_settings

_PLATFORM = ("FUNCTIONS_WORKER_RUNTIME", "PYTHON_", *FOREIGN_PREFIXES)


class OwnSettings(NamedTuple):
    """What was given, and what of `.env` has no effect.

    Attributes:
        values: Settings of the app by their names.
        complaints: A sentence for each line of `.env` that changes nothing.
    """

    values: dict[str, str]
    complaints: list[str]


def own_settings(environment: Mapping[str, str], file: Path) -> OwnSettings:
    """Read the developer's settings.

    Names that lead to a real cloud (`AZURE_…` and the like) are not taken: the local stack has its own.

    Args:
        environment: It wins over the file; names that are no settings of the app are not for it.
        file: `.env`; it need not exist.
    """
    settable = {name for name in example_settings() if not name.startswith(_PLATFORM)} | set(LOCAL_PACE)
    values: dict[str, str] = {}
    complaints = []
    for name, value in dotenv_values(file).items() if file.exists() else ():
        if name in settable:
            values[name] = value or ""
        elif name.startswith(_PLATFORM):
            complaints.append(f"{file.name}: {name} is not taken, as the local stack has its own.")
        else:
            close = difflib.get_close_matches(name, settable, n=1)
            hint = f"; did you mean {close[0]}?" if close else "; docs/settings.md lists them."
            complaints.append(f"{file.name}: {name} is no setting of the app{hint}")
    values |= {name: environment[name] for name in settable & environment.keys()}
    return OwnSettings(values, complaints)
