"""The functions of an app as its host sees them: the worker's index, its `%SETTING%`s looked up."""

import json
import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from emulators.functions import UnservableAppError
from emulators.functions.messages import Message

log = logging.getLogger("host")

SETTING = re.compile(r"%([^%]+)%")
TRIGGERS = {"httpTrigger", "timerTrigger", "queueTrigger", "blobTrigger", "eventGridTrigger"}
OUTPUTS = {"http", "queue"}


class _UnsetSettingError(Exception):
    """A binding names an app setting that is not set."""


@dataclass(frozen=True, slots=True)
class Binding:
    """One binding of a function, as it would stand in a `function.json`.

    Attributes:
        type: Such as `queueTrigger` or `queue`.
        name: The function's parameter, or `$return`.
        properties: Everything, with `%SETTING%` references resolved.
    """

    type: str
    name: str
    properties: dict[str, Any]

    def text(self, key: str) -> str:
        """A property as text; empty when it is absent."""
        return str(self.properties.get(key) or "")


@dataclass(frozen=True, slots=True)
class Function:
    """One function of the app.

    Attributes:
        name: Its name in the app, unique there.
        worker_id: How the worker names it.
        trigger: What starts it.
        outputs: Its output bindings.
    """

    name: str
    worker_id: str
    trigger: Binding
    outputs: tuple[Binding, ...]


def enabled_functions(indexed: Iterable[Message], settings: Mapping[str, str]) -> list[Function]:
    """The functions that are to be served.

    As on the platform, a function with an unset `%NAME%` is in error, which is logged, and the others go on.

    Args:
        indexed: The worker's metadata.
        settings: The app settings.

    Raises:
        UnservableAppError: A function has a binding that this host does not serve.
    """
    functions = []
    for metadata in indexed:
        # https://learn.microsoft.com/azure/azure-functions/disable-function
        if settings.get(f"AzureWebJobs.{metadata.name}.Disabled", "").lower() in {"1", "true"}:
            log.info("Function is disabled", extra={"function": metadata.name})
            continue
        try:
            functions.append(_function(metadata, settings))
        except _UnsetSettingError as error:
            log.error("Function is in error", extra={"function": metadata.name, "error": str(error)})  # noqa: TRY400
    return functions


def _function(metadata: Message, settings: Mapping[str, str]) -> Function:
    bindings = [_binding(json.loads(raw), settings) for raw in metadata.raw_bindings]
    if unknown := {binding.type for binding in bindings} - TRIGGERS - OUTPUTS:
        raise UnservableAppError(f"{metadata.name}: this host serves no {', '.join(sorted(unknown))} binding")
    (trigger,) = (binding for binding in bindings if binding.type in TRIGGERS)
    outputs = tuple(binding for binding in bindings if binding.type in OUTPUTS)
    return Function(metadata.name, metadata.function_id, trigger, outputs)


def _binding(raw: dict[str, Any], settings: Mapping[str, str]) -> Binding:
    def setting(match: re.Match[str]) -> str:
        try:
            return settings[match[1]]
        except KeyError as error:
            raise _UnsetSettingError(f"{match[0]} is not among the app settings") from error

    properties = {
        key: SETTING.sub(setting, value) if isinstance(value, str) else value for key, value in raw.items()
    }
    return Binding(raw["type"], raw["name"], properties)
