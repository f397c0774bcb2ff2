"""Versioned assets of the workspace: data, models, components, environments and code.

They share one life: a container with a latest and a next version, versions that are put once, and lists.
Code has no lists and no container; ``codes`` has what it does have of its own.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from local.azureml.asset_families import (
    CODE,
    COMPONENT,
    DATA,
    FAMILIES,
    MODEL,
    Family,
    arm_id,
    key,
)
from local.azureml.clock import wire_time
from local.azureml.datastores import long_uri
from local.azureml.job_progress import advance, status_of
from local.azureml.registry import DEFAULT_VERSION
from local.azureml.request_bodies import AssetBody
from local.azureml.resources import AssetVersion
from local.azureml.wire import WORKSPACE, Answer, Call, Evidence, Route, json_answer

if TYPE_CHECKING:
    from local.azureml.cloud import Cloud

_JOB_OUTPUT = re.compile(r"azureml://jobs/(?P<job>[^/]+)/outputs/(?P<output>[^/]+)(?:/paths/(?P<path>.*))?")


def _system_data(asset: AssetVersion) -> dict[str, str]:
    moment = wire_time(asset.created)
    return {
        "createdAt": moment,
        "createdBy": "local",
        "createdByType": "User",
        "lastModifiedAt": moment,
        "lastModifiedBy": "local",
        "lastModifiedByType": "User",
    }


def render(cloud: Cloud, asset: AssetVersion) -> dict[str, Any]:
    """A version as GET shows it."""
    return {
        "id": arm_id(cloud, asset),
        "name": asset.version,
        "type": f"Microsoft.MachineLearningServices/workspaces/{asset.family}/versions",
        "properties": asset.properties,
        "systemData": _system_data(asset),
    }


def _versions(cloud: Cloud, family: Family, name: str) -> list[AssetVersion]:
    return [asset for asset in cloud.assets.values() if (asset.family, asset.name) == (family.segment, name)]


def _container_missing(cloud: Cloud, family: Family, name: str) -> Exception:
    return cloud.not_found(f"{family.noun}NotFound", f"{family.noun} container with name: {name} not found.")


class _Endpoints:
    """The calls of one family."""

    def __init__(self, family: Family) -> None:
        self.family = family

    def put(self, cloud: Cloud, call: Call) -> Answer:
        """201 for a new version; 200 for one that is there, whose address may not change."""
        family, name, version = self.family, call["name"], call["version"]
        given = cloud.body(call, AssetBody)["properties"]
        properties = {**family.defaults, **given}
        self._place(cloud, properties)
        if family is COMPONENT:
            # azure-ai-ml numbers a component in the address alone, and reads the number back from here.
            properties["componentSpec"] = {**(properties.get("componentSpec") or {}), "version": version}
        if family is MODEL:
            properties["stage"] = "Logged" if properties["isAnonymous"] else "Development"
        with cloud.lock:
            existing = cloud.assets.get(key(family.segment, name, version))
            if existing is not None:
                uri = family.uri
                if uri and existing.properties.get(uri) != properties.get(uri):
                    raise cloud.error(
                        400,
                        f"{family.noun} with name {name} and version {version} already exists; its {uri} "
                        "cannot be changed.",
                        inner=("Immutable",),
                    )
                if any(existing.properties.get(one) != properties.get(one) for one in family.contents):
                    raise cloud.error(
                        409, f"{family.noun} {name} version {version} is already there with other contents."
                    )
                for changeable in ("description", "tags", "properties", "isArchived"):
                    existing.properties[changeable] = properties[changeable]
            asset = existing or AssetVersion(
                family=family.segment,
                name=name,
                version=version,
                properties=properties,
                created=cloud.clock.now(),
            )
            cloud.assets.put(key(family.segment, name, version), asset)
        location = {"Location": f"{call.base}{call.path}?api-version={call.query['api-version']}"}
        return json_answer(render(cloud, asset), 200 if existing else 201, {} if existing else location)

    def _place(self, cloud: Cloud, properties: dict[str, Any]) -> None:
        """Spells the address out, and ties a model to the job whose output it is."""
        uri = self.family.uri
        if uri is None:
            return
        address = properties.get(uri)
        if not address:
            raise cloud.error(400, f"The {uri} field is required.", code="BadRequest")
        properties[uri] = long_uri(cloud, address)
        output = _JOB_OUTPUT.fullmatch(address)
        if output and self.family is MODEL:
            self._check_output(cloud, output["job"], output["output"])
            properties["jobName"] = output["job"]

    def _check_output(self, cloud: Cloud, name: str, output: str) -> None:
        """An output can be registered once its job is through (the text is chosen)."""
        job = cloud.jobs.get(name)
        if job is None:
            raise cloud.not_found("RunNotFound", f"Run {name} not found.")
        advance(cloud, job)
        if status_of(cloud, job) != "Completed" or output not in (job.properties.get("outputs") or {}):
            raise cloud.error(400, f"Job {name} has no output '{output}' that could be registered.")

    def get(self, cloud: Cloud, call: Call) -> Answer:
        """One version; a component's default one is its latest."""
        version = call["version"]
        if self.family is COMPONENT and version == DEFAULT_VERSION:
            known = _versions(cloud, self.family, call["name"])
            version = known[-1].version if known else version
        asset = cloud.assets.get(key(self.family.segment, call["name"], version))
        if asset is None:
            raise cloud.not_found(
                f"{self.family.noun}NotFound",
                f"{self.family.noun} with name: {call['name']} and version: {call['version']} not found.",
            )
        return json_answer(render(cloud, asset))

    def list_versions(self, cloud: Cloud, call: Call) -> Answer:
        """Newest first when asked so; archived ones only when asked for."""
        found = _versions(cloud, self.family, call["name"])
        if not found:
            raise _container_missing(cloud, self.family, call["name"])
        if call.query.get("listViewType", "ActiveOnly") == "ActiveOnly":
            found = [asset for asset in found if not asset.properties.get("isArchived")]
        if "desc" in call.query.get("$orderBy", ""):
            found = found[::-1]
        top = int(call.query.get("$top", len(found)))
        return json_answer({"value": [render(cloud, asset) for asset in found[:top]]})

    def container(self, cloud: Cloud, call: Call) -> Answer:
        """Latest and next version of a name."""
        found = _versions(cloud, self.family, call["name"])
        if not found:
            raise _container_missing(cloud, self.family, call["name"])
        return json_answer(self._render_container(cloud, found))

    def list_containers(self, cloud: Cloud, call: Call) -> Answer:
        """Every name of the family once."""
        del call
        names = dict.fromkeys(
            asset.name for asset in cloud.assets.values() if asset.family == self.family.segment
        )
        return json_answer(
            {"value": [self._render_container(cloud, _versions(cloud, self.family, name)) for name in names]}
        )

    def _render_container(self, cloud: Cloud, versions: list[AssetVersion]) -> dict[str, Any]:
        latest = versions[-1]
        numbers = [int(asset.version) for asset in versions if asset.version.isdigit()]
        properties: dict[str, Any] = {
            "description": None,
            "tags": None,
            "properties": None,
            "isArchived": False,
            "latestVersion": latest.version,
            "nextVersion": str(max(numbers, default=0) + 1),
        }
        if self.family is DATA:
            properties["dataType"] = latest.properties.get("dataType")
        return {
            "id": f"{cloud.settings.workspace_arm_id}/{self.family.segment}/{latest.name}",
            "name": latest.name,
            "type": f"Microsoft.MachineLearningServices/workspaces/{self.family.segment}",
            "properties": properties,
            "systemData": _system_data(latest),
        }


def _routes(family: Family) -> tuple[Route, ...]:
    calls, root = _Endpoints(family), f"{WORKSPACE}/{family.segment}"
    evidence = Evidence.RECORDED if family in (DATA, MODEL) else Evidence.DRIVEN
    version, versions = f"{root}/{{name}}/versions/{{version}}", f"{root}/{{name}}/versions"
    single = (
        Route(f"{family.segment}.put", "PUT", version, calls.put, evidence=evidence),
        Route(f"{family.segment}.get", "GET", version, calls.get, evidence=evidence),
    )
    if family is CODE:
        return single
    return (
        *single,
        Route(f"{family.segment}.list_versions", "GET", versions, calls.list_versions, evidence=evidence),
        Route(f"{family.segment}.container", "GET", f"{root}/{{name}}", calls.container, evidence=evidence),
        Route(f"{family.segment}.list", "GET", root, calls.list_containers, evidence=Evidence.DRIVEN),
    )


ROUTES = tuple(route for family in FAMILIES for route in _routes(family))
