"""What people change by hand on a live endpoint, over the wire: the next reconciliation sees it."""

from __future__ import annotations

from typing import Any

from azure.identity import DefaultAzureCredential

from handlers.timers.reconcile_resources import reconcile_resources
from shared.adapters.azureml.arm import Arm, WorkspaceId
from shared.adapters.azureml.endpoints import DEPLOYMENT_VERSION, ENDPOINT_VERSION
from shared.adapters.http.trusted_hosts import TrustedHosts
from shared.domain.run.run import Run
from shared.domain.run.stages import Stage
from tests.flow.conftest import Flow
from tests.flow.test_flow import name, sample


class Hand:
    """A person with rights in the workspace."""

    def __init__(self, flow: Flow, run_id: str) -> None:
        base = flow.emulator.url
        self._arm = Arm(DefaultAzureCredential(), base, f"{base}/.default", TrustedHosts(base))
        self._root = f"{WorkspaceId(*flow.emulator.workspace).path}/onlineEndpoints"
        self._run_id = run_id

    def read(self) -> Any:
        """The run's endpoint as ARM shows it."""
        return self._arm.get(
            f"{self._root}/{self._run_id}", lambda body: body, api_version=ENDPOINT_VERSION, doing="reading"
        )

    def change(self, endpoint: str | None = None, tags: Any = None, **properties: Any) -> None:
        """Put the endpoint with other properties, or a copy of it under another name."""
        body = self.read()
        kept = {key: body["properties"][key] for key in ("authMode", "traffic", "publicNetworkAccess")}
        put = {
            "location": body["location"],
            "tags": body["tags"] if tags is None else tags,
            "identity": {"type": "SystemAssigned"},
            "properties": {**kept, "properties": {}, "mirrorTraffic": {}, **properties},
        }
        path = f"{self._root}/{endpoint or self._run_id}"
        self._arm.put(path, put, api_version=ENDPOINT_VERSION, doing="changing")

    def delete_deployment(self) -> None:
        """Delete the deployment, which must have no traffic."""
        path = f"{self._root}/{self._run_id}/deployments/main"
        self._arm.delete(path, api_version=DEPLOYMENT_VERSION, doing="deleting")


def reconcile(flow: Flow, run_id: str) -> Run:
    """One tick of the reconciler, and the message that it sends to the run."""
    assert run_id in reconcile_resources(settings=flow.settings, services=flow.services)
    return flow.advance(run_id)


def test_what_was_changed_by_hand_is_restored_or_reported(flow: Flow) -> None:
    """Traffic, deployment, network, tags: one after the other on one endpoint; a copy is left alone."""
    run_id = flow.upload(f"{name()}.jsonl", sample())
    flow.drive(run_id, Stage.LIVE)
    hand = Hand(flow, run_id)

    hand.change(traffic={"main": 0})
    reconcile(flow, run_id)
    assert hand.read()["properties"]["traffic"] == {"main": 100}

    hand.change(traffic={})
    hand.delete_deployment()
    reconcile(flow, run_id)
    assert flow.advance(run_id).attention is None
    assert hand.read()["properties"]["traffic"] == {"main": 100}

    hand.change(publicNetworkAccess="Disabled")
    assert "closed to the public network" in (reconcile(flow, run_id).attention or "")
    assert hand.read()["properties"]["publicNetworkAccess"] == "Disabled"
    hand.change(publicNetworkAccess="Enabled")
    assert flow.advance(run_id).attention is None

    tags = hand.read()["tags"]
    hand.change(endpoint="a-copy", traffic={})
    hand.change(tags={"team": "theirs"})
    run = flow.advance(run_id)
    assert "lost this run's tags" in (run.attention or "")
    hand.change(tags=tags)
    assert reconcile(flow, run_id).attention is None

    assert run.ends_at is not None
    flow.clock[0] = run.ends_at
    flow.drive(run_id, Stage.STOPPED)
    reconcile_resources(settings=flow.settings, services=flow.services)
    assert [one["name"] for one in flow.emulator.resources("endpoints")["endpoints"]] == ["a-copy"]
