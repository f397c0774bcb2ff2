"""The functions of an app as its host sees them: the worker's index, its `%SETTING%`s looked up."""

import json
import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from emulators.functions.messages import Message

log = logging.getLogger("host")

SETTING = re.compile(r"%([^%]+)%")
TRIGGERS = {"httpTrigger", "timerTrigger", "queueTrigger", "blobTrigger", "eventGridTrigger"}
OUTPUTS = {"http", "queue"}


class IndexingError(Exception):
    """The app cannot be served; the message names the function and what is wrong with it."""


class UnsetSettingError(Exception):
    """A binding names an app setting that is not set."""


@dataclass(frozen=True, slots=True)
class Binding:
    """One binding of a function, as it would stand in a `function.json`.

    Attributes:
        type: Such as `queueTrigger` or `queue`.
        name: The function's parameter, or `$return`.
        properties: Everything else, with `%SETTING%` references resolved.
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

    @property
    def id(self) -> str:
        """How webhooks and blob messages name it, as the platform does."""
        return f"Host.Functions.{self.name}"


def enabled_functions(indexed: Iterable[Message], settings: Mapping[str, str]) -> list[Function]:
    """The functions that are to be served.

    As on the platform, a function with an unset `%NAME%` is in error, which is logged, and the others go on.

    Args:
        indexed: The worker's metadata.
        settings: The app settings.

    Raises:
        IndexingError: A function has a binding that this host does not serve.
    """
    functions = []
    for metadata in indexed:
        try:
            function = _function(metadata, settings)
        except UnsetSettingError as error:
            log.error("Function is in error", extra={"function": metadata.name, "error": str(error)})  # noqa: TRY400
            continue
        # https://learn.microsoft.com/azure/azure-functions/disable-function
        if settings.get(f"AzureWebJobs.{function.name}.Disabled", "").lower() in {"1", "true"}:
            log.info("Function is disabled", extra={"function": function.name})
            continue
        functions.append(function)
    return functions


def _function(metadata: Message, settings: Mapping[str, str]) -> Function:
    bindings = [_binding(json.loads(raw), settings) for raw in metadata.raw_bindings]
    triggers = [binding for binding in bindings if binding.type.endswith("Trigger")]
    if len(triggers) != 1 or triggers[0].type not in TRIGGERS:
        found = ", ".join(binding.type for binding in triggers) or "none"
        raise IndexingError(f"{metadata.name}: needs one trigger of {sorted(TRIGGERS)}, has {found}")
    outputs = tuple(binding for binding in bindings if binding is not triggers[0])
    for binding in outputs:
        if binding.type not in OUTPUTS or binding.properties.get("direction") != "OUT":
            raise IndexingError(
                f"{metadata.name}: this host does not serve the binding {binding.name} ({binding.type})"
            )
    deferred = triggers[0].properties.get("properties", {}).get("SupportsDeferredBinding")
    if triggers[0].type == "blobTrigger" and not deferred:
        raise IndexingError(
            f"{metadata.name}: this host binds {triggers[0].name} only to a type of"
            " azurefunctions-extensions-bindings-blob"
        )
    return Function(metadata.name, metadata.function_id, triggers[0], outputs)


def _binding(raw: dict[str, Any], settings: Mapping[str, str]) -> Binding:
    def resolve(value: Any) -> Any:
        return SETTING.sub(setting, value) if isinstance(value, str) else value

    def setting(match: re.Match[str]) -> str:
        try:
            return settings[match[1]]
        except KeyError as error:
            raise UnsetSettingError(f"{match[0]} is not among the app settings") from error

    properties = {key: resolve(value) for key, value in raw.items() if key not in {"type", "name"}}
    return Binding(type=raw["type"], name=raw["name"], properties=properties)
