"""Versioned assets of the workspace: data, models, components, environments and code.

All families have a container with a latest and a next version, versions that are put once, and lists.
Code has neither lists nor a container; ``codes`` has its other operations.
"""

from __future__ import annotations

import re
from typing import Any

from azureml_emulator.core.asset_families import (
    CODE,
    COMPONENT,
    DATA,
    ENVIRONMENT,
    FAMILIES,
    MODEL,
    Family,
    arm_id,
    key,
)
from azureml_emulator.core.blob_locations import long_uri
from azureml_emulator.core.catalogue import DEFAULT_COMPONENT_VERSION
from azureml_emulator.core.clock import wire_time
from azureml_emulator.core.http import Request, Response, json_response
from azureml_emulator.core.lists import PAGING, has_tags, in_view, page
from azureml_emulator.core.request_bodies import AssetBody, EnvironmentBody
from azureml_emulator.core.resources import AssetVersion
from azureml_emulator.core.routing import WORKSPACE, Route
from azureml_emulator.core.state import EmulatorState
from azureml_emulator.training.job_progress import advance, status_of

_JOB_OUTPUT = re.compile(r"azureml://jobs/(?P<job>[^/]+)/outputs/(?P<output>[^/]+)(?:/paths/(?P<path>.*))?")


def _system_data(asset: AssetVersion) -> dict[str, str]:
    moment = wire_time(asset.created)
    return {
        "createdAt": moment,
        "createdBy": "local",
        "createdByType": "User",
        "lastModifiedAt": wire_time(asset.modified or asset.created),
        "lastModifiedBy": "local",
        "lastModifiedByType": "User",
    }


def render(state: EmulatorState, asset: AssetVersion) -> dict[str, Any]:
    """A version as GET shows it."""
    return {
        "id": arm_id(state, asset),
        "name": asset.version,
        "type": f"Microsoft.MachineLearningServices/workspaces/{asset.family}/versions",
        "properties": asset.properties,
        "systemData": _system_data(asset),
    }


def _versions(state: EmulatorState, family: Family, name: str) -> list[AssetVersion]:
    return [asset for asset in state.assets.values() if (asset.family, asset.name) == (family.segment, name)]


def _all_archived(versions: list[AssetVersion]) -> bool:
    return all(asset.properties.get("isArchived") for asset in versions)


def _container_missing(state: EmulatorState, family: Family, name: str) -> Exception:
    return state.not_found(f"{family.noun}NotFound", f"{family.noun} container with name: {name} not found.")


def _check_environment(state: EmulatorState, given: dict[str, Any]) -> None:
    """An environment needs an image, a build or conda dependencies (the text is chosen)."""
    if not any(given.get(source) for source in ("image", "build", "condaFile")):
        raise state.error(400, "An environment needs image, build or condaFile.", code="BadRequest")


def _update(asset: AssetVersion, properties: dict[str, Any]) -> None:
    """What may change of a version. Archiving sets a model's stage, restoring resets it."""
    before = bool(asset.properties.get("isArchived"))
    for changeable in ("description", "tags", "properties", "isArchived"):
        asset.properties[changeable] = properties[changeable]
    if asset.family == COMPONENT.segment:
        kept = asset.properties["componentSpec"]
        for changeable in ("display_name", "description", "tags"):
            if changeable in properties["componentSpec"]:
                kept[changeable] = properties["componentSpec"][changeable]
    if asset.family == MODEL.segment:
        after = bool(properties["isArchived"])
        if after != before:
            asset.properties["stage"] = "Archived" if after else "Development"
        elif properties.get("stage"):
            asset.properties["stage"] = properties["stage"]


class _Endpoints:
    """The calls of one family."""

    def __init__(self, family: Family) -> None:
        self.family = family

    def put(self, state: EmulatorState, request: Request) -> Response:
        """201 for a new version; 200 for one that is there, whose address may not change."""
        family, name, version = self.family, request["name"], request["version"]
        given = state.body(request)["properties"]
        if family is ENVIRONMENT:
            _check_environment(state, given)
        properties = {**family.defaults, **given}
        self._place(state, properties)
        if family is COMPONENT:
            # azure-ai-ml numbers a component in the address alone, and reads the number back from here.
            properties["componentSpec"] = {**(properties.get("componentSpec") or {}), "version": version}
        with state.lock:
            existing = state.assets.get(key(family.segment, name, version))
            if existing is not None:
                uri = family.uri
                if uri and existing.properties.get(uri) != properties.get(uri):
                    raise state.error(
                        400,
                        f"{family.noun} with name {name} and version {version} already exists; its {uri} "
                        "cannot be changed.",
                        inner=("Immutable",),
                    )
                if any(existing.properties.get(one) != properties.get(one) for one in family.contents):
                    raise state.error(
                        409, f"{family.noun} {name} version {version} is already there with other contents."
                    )
                _update(existing, properties)
                existing.modified = state.clock.now()
            elif family is MODEL:
                first = "Logged" if properties["isAnonymous"] else "Development"
                properties["stage"] = given.get("stage") or first
            asset = existing or AssetVersion(
                family=family.segment,
                name=name,
                version=version,
                properties=properties,
                created=state.clock.now(),
            )
            state.assets.put(key(family.segment, name, version), asset)
        location = {"Location": f"{request.base}{request.path}?api-version={request.query['api-version']}"}
        return json_response(render(state, asset), 200 if existing else 201, {} if existing else location)

    def _place(self, state: EmulatorState, properties: dict[str, Any]) -> None:
        """Writes the address in its long form, and notes the job whose output a model is."""
        uri = self.family.uri
        if uri is None:
            return
        address = properties.get(uri)
        if not address:
            raise state.error(400, f"The {uri} field is required.", code="BadRequest")
        properties[uri] = long_uri(state, address)
        output = _JOB_OUTPUT.fullmatch(address)
        if output and self.family is MODEL:
            self._check_output(state, output["job"], output["output"])
            properties["jobName"] = output["job"]

    def _check_output(self, state: EmulatorState, name: str, output: str) -> None:
        """An output can be registered once its job has completed (the text is chosen)."""
        job = state.jobs.get(name)
        if job is None:
            raise state.not_found("RunNotFound", f"Run {name} not found.")
        advance(state, job)
        if status_of(state, job) != "Completed" or output not in (job.properties.get("outputs") or {}):
            raise state.error(400, f"Job {name} has no output '{output}' that could be registered.")

    def get(self, state: EmulatorState, request: Request) -> Response:
        """One version; a component's default one is its latest."""
        version = request["version"]
        if self.family is COMPONENT and version == DEFAULT_COMPONENT_VERSION:
            known = _versions(state, self.family, request["name"])
            version = known[-1].version if known else version
        asset = state.assets.get(key(self.family.segment, request["name"], version))
        if asset is None:
            raise state.not_found(
                f"{self.family.noun}NotFound",
                f"{self.family.noun} with name: {request['name']} and version: {request['version']} not "
                "found.",
            )
        return json_response(render(state, asset))

    def list_versions(self, state: EmulatorState, request: Request) -> Response:
        """Newest first, unless ``$orderBy`` asks for the opposite; archived ones only when asked for."""
        versions = _versions(state, self.family, request["name"])
        if not versions:
            raise _container_missing(state, self.family, request["name"])
        stage, order = request.query.get("stage"), request.query.get("$orderBy", "createdtime desc")
        found = [
            asset
            for asset in versions
            if in_view(state, request, archived=bool(asset.properties.get("isArchived")))
            and has_tags(request, asset.properties.get("tags"))
            and stage in (None, asset.properties.get("stage"))
        ]
        if "desc" in order.lower():
            found.reverse()
        return page(state, request, found, lambda asset: render(state, asset))

    def container(self, state: EmulatorState, request: Request) -> Response:
        """Latest and next version of a name."""
        found = _versions(state, self.family, request["name"])
        if not found:
            raise _container_missing(state, self.family, request["name"])
        return json_response(self._render_container(state, found))

    def list_containers(self, state: EmulatorState, request: Request) -> Response:
        """Every name of the family once, newest first; one counts as archived when all its versions are."""
        mine = [asset for asset in reversed(state.assets.values()) if asset.family == self.family.segment]
        groups = [_versions(state, self.family, name) for name in dict.fromkeys(asset.name for asset in mine)]
        found = [group for group in groups if in_view(state, request, archived=_all_archived(group))]
        return page(state, request, found, lambda group: self._render_container(state, group))

    def _render_container(self, state: EmulatorState, versions: list[AssetVersion]) -> dict[str, Any]:
        latest = versions[-1]
        numbers = [int(asset.version) for asset in versions if asset.version.isdigit()]
        properties: dict[str, Any] = {
            "description": None,
            "tags": None,
            "properties": None,
            "isArchived": _all_archived(versions),
            "latestVersion": latest.version,
            "nextVersion": str(max(numbers, default=0) + 1),
        }
        if self.family is DATA:
            properties["dataType"] = latest.properties.get("dataType")
        return {
            "id": f"{state.settings.workspace_arm_id}/{self.family.segment}/{latest.name}",
            "name": latest.name,
            "type": f"Microsoft.MachineLearningServices/workspaces/{self.family.segment}",
            "properties": properties,
            "systemData": _system_data(latest),
        }


_VERSIONS_QUERY = ("listViewType", "tags", "stage", "$orderBy", *PAGING)


def _routes(family: Family) -> tuple[Route, ...]:
    calls, root = _Endpoints(family), f"{WORKSPACE}/{family.segment}"
    body = EnvironmentBody if family is ENVIRONMENT else AssetBody
    version, versions = f"{root}/{{name}}/versions/{{version}}", f"{root}/{{name}}/versions"
    single = (
        Route(f"{family.segment}.put", "PUT", version, calls.put, body=body),
        Route(f"{family.segment}.get", "GET", version, calls.get),
    )
    if family is CODE:
        return single
    return (
        *single,
        Route(
            f"{family.segment}.list_versions",
            "GET",
            versions,
            calls.list_versions,
            query=_VERSIONS_QUERY,
        ),
        Route(f"{family.segment}.container", "GET", f"{root}/{{name}}", calls.container),
        Route(
            f"{family.segment}.list",
            "GET",
            root,
            calls.list_containers,
            query=("listViewType", *PAGING),
        ),
    )


ROUTES = tuple(route for family in FAMILIES for route in _routes(family))
