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


@dataclass(frozen=True, slots=True)
class Binding:
    """One binding of a function, as it would stand in a `function.json`, `%SETTING%`s resolved."""

    type: str
    name: str
    properties: dict[str, Any]

    def text(self, key: str) -> str:
        """A property as text; empty when it is absent."""
        return str(self.properties.get(key) or "")


@dataclass(frozen=True, slots=True)
class Function:
    """One function of the app; `worker_id` is how the worker names it."""

    name: str
    worker_id: str
    trigger: Binding
    outputs: tuple[Binding, ...]


def enabled_functions(indexed: Iterable[Message], settings: Mapping[str, str]) -> list[Function]:
    """The functions that are to be served, of those that the worker has indexed.

    As on the platform, a function with an unset `%NAME%` is in error, which is logged, and the others go on.

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
        except KeyError as unset:
            error = f"%{unset.args[0]}% is not among the app settings"
            log.error("Function is in error", extra={"function": metadata.name, "error": error})  # noqa: TRY400
    return functions


def _function(metadata: Message, settings: Mapping[str, str]) -> Function:
    bindings = [_binding(json.loads(raw), settings) for raw in metadata.raw_bindings]
    if unknown := {binding.type for binding in bindings} - TRIGGERS - OUTPUTS:
        raise UnservableAppError(f"{metadata.name}: this host serves no {', '.join(sorted(unknown))} binding")
    (trigger,) = (binding for binding in bindings if binding.type in TRIGGERS)
    outputs = tuple(binding for binding in bindings if binding.type in OUTPUTS)
    return Function(metadata.name, metadata.function_id, trigger, outputs)


def _binding(raw: dict[str, Any], settings: Mapping[str, str]) -> Binding:
    properties = {
        key: SETTING.sub(lambda match: settings[match[1]], value) if isinstance(value, str) else value
        for key, value in raw.items()
    }
    return Binding(raw["type"], raw["name"], properties)
