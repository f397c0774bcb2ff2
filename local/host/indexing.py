"""Loads an app folder the way a Functions worker does, and lists the functions that it declares."""

import importlib
import inspect
import json
import re
import sys
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import local

SETTING = re.compile(r"%([^%]+)%")
TRIGGERS = {"httpTrigger", "timerTrigger", "queueTrigger", "blobTrigger", "eventGridTrigger"}
OUTPUTS = {"http", "queue"}


class IndexingError(Exception):
    """The app cannot be served; the message names the function and what is wrong with it."""


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
        call: The function itself.
        is_async: Whether it is a coroutine function, to be run on the event loop.
        trigger: What starts it.
        outputs: Its output bindings.
        annotations: The types of its parameters.
    """

    name: str
    call: Callable[..., Any]
    is_async: bool
    trigger: Binding
    outputs: tuple[Binding, ...]
    annotations: dict[str, Any]

    @property
    def id(self) -> str:
        """How webhooks and blob messages name it, as the platform does."""
        return f"Host.Functions.{self.name}"


def load_functions(folder: Path, settings: Mapping[str, str]) -> list[Function]:
    """Import `function_app.py` of a folder and index its functions.

    The folder is put first on the import path, with `.python_packages` as a deployed app has it. This
    checkout's own root leaves the path, so that an app folder elsewhere stands on its own.

    Args:
        folder: The app's root.
        settings: The app settings that `%NAME%` references are resolved from.

    Raises:
        IndexingError: There is no app, or a declaration cannot be served.
        Exception: Whatever importing the app raises.
    """
    if not (folder / "function_app.py").is_file():
        raise IndexingError(f"there is no function_app.py in {folder}")
    _isolate_import_path(folder.resolve())
    sys.modules.pop("function_app", None)
    module = importlib.import_module("function_app")
    app: Any = getattr(module, "app", None)
    if not hasattr(app, "get_functions"):
        raise IndexingError("function_app.py has no FunctionApp called `app`")
    functions = [_index(declared, settings) for declared in app.get_functions()]
    if not functions:
        raise IndexingError("function_app.py declares no functions")
    return functions


def _isolate_import_path(folder: Path) -> None:
    checkout = Path(next(iter(local.__path__))).resolve().parent
    kept = [entry for entry in sys.path if Path(entry).resolve() not in {checkout, folder}]
    packages = folder / ".python_packages" / "lib" / "site-packages"
    sys.path[:] = [str(folder), *([str(packages)] if packages.is_dir() else []), *kept]
    importlib.invalidate_caches()


def _index(declared: Any, settings: Mapping[str, str]) -> Function:
    name = declared.get_function_name()
    call = declared.get_user_function()
    # The JSON of each binding is what a worker sends its host, and the same in every release.
    bindings = [_binding(name, json.loads(raw), settings) for raw in declared.get_raw_bindings()]
    triggers = [binding for binding in bindings if binding.type.endswith("Trigger")]
    if len(triggers) != 1 or triggers[0].type not in TRIGGERS:
        found = ", ".join(binding.type for binding in triggers) or "none"
        raise IndexingError(f"{name}: needs one trigger of {sorted(TRIGGERS)}, has {found}")
    outputs = tuple(binding for binding in bindings if binding is not triggers[0])
    for binding in outputs:
        if binding.type not in OUTPUTS or binding.properties.get("direction") != "OUT":
            raise IndexingError(
                f"{name}: this host does not serve the binding {binding.name} ({binding.type})"
            )
    parameters = set(inspect.signature(call).parameters)
    needed = {binding.name for binding in bindings if binding.name != "$return"}
    if needed != parameters - {"context"}:
        raise IndexingError(f"{name}: bindings {sorted(needed)} do not match parameters {sorted(parameters)}")
    return Function(
        name=name,
        call=call,
        is_async=inspect.iscoroutinefunction(call),
        trigger=triggers[0],
        outputs=outputs,
        annotations=typing.get_type_hints(call),
    )


def _binding(function: str, raw: dict[str, Any], settings: Mapping[str, str]) -> Binding:
    def resolve(value: Any) -> Any:
        return SETTING.sub(setting, value) if isinstance(value, str) else value

    def setting(match: re.Match[str]) -> str:
        try:
            return settings[match[1]]
        except KeyError as error:
            raise IndexingError(f"{function}: {match[0]} is not among the app settings") from error

    properties = {key: resolve(value) for key, value in raw.items() if key not in {"type", "name"}}
    return Binding(type=raw["type"], name=raw["name"], properties=properties)
