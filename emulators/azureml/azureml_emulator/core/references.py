"""What a job refers to must be there: components, environments, code, data and models of the workspace."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from azureml_emulator.core.asset_families import CODE, COMPONENT, DATA, ENVIRONMENT, MODEL, Family, by_id
from azureml_emulator.core.state import EmulatorState

_FIELDS = {"componentId": COMPONENT, "environmentId": ENVIRONMENT, "codeId": CODE}
_ASSET = re.compile(
    r"(?:azureml:)?/subscriptions/.+/workspaces/[^/]+/(?P<segment>\w+)/[^/]+/versions/[^/]+|azureml:[^:/]+:[^:/]+"
)


def check_job(state: EmulatorState, properties: dict[str, Any]) -> None:
    """Checks a job and its nodes.

    Registries other than the emulator's are not looked into, and neither are paths.

    Raises:
        ServiceError: 404 naming the asset that the workspace does not have.
    """
    for part in (properties, *(properties.get("jobs") or {}).values()):
        for field, family in _FIELDS.items():
            if part.get(field):
                _check(state, family, str(part[field]))
        for uri in _inputs(part):
            _check_input(state, uri)
    if properties.get("jobType") == "Command" and properties.get("computeId"):
        _check_compute(state, str(properties["computeId"]))


def _inputs(part: dict[str, Any]) -> Iterator[str]:
    for given in (part.get("inputs") or {}).values():
        if isinstance(given, dict) and isinstance(given.get("uri"), str):
            yield given["uri"]


def _check_input(state: EmulatorState, uri: str) -> None:
    found = _ASSET.fullmatch(uri)
    if found is None:
        return
    families = [one for one in (DATA, MODEL) if found["segment"] in (None, one.segment)]
    if families and not any(by_id(state, one, uri) for one in families):
        raise state.not_found("NotFound", f"{families[0].noun} {uri} was not found.")


def _check(state: EmulatorState, family: Family, identifier: str) -> None:
    if not identifier.startswith("azureml://registries/") and by_id(state, family, identifier) is None:
        raise state.not_found("NotFound", f"{family.noun} {identifier} was not found.")


def _check_compute(state: EmulatorState, identifier: str) -> None:
    name = identifier.rpartition("/")[2]
    if name != "serverless" and state.computes.get(name.lower()) is None:
        raise state.error(400, f"Compute '{name}' was not found in the workspace.", code="BadRequest")
