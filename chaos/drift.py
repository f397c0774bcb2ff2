"""Somebody with rights in the workspace changes a live endpoint without asking the app."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import httpx
from azureml_emulator import Emulator

from chaos.harness import Case, Harness, Verdict
from chaos.host import TIMER
from shared.domain.run.stages import Stage

ENDPOINTS, DEPLOYMENTS = "2022-02-01-preview", "2023-04-01-preview"
"""Versions of the interface, as azure-ai-ml 1.35.2 asks for them."""

RECONCILE_PERIOD = timedelta(minutes=15)
"""`RECONCILE_SCHEDULE`: how often the app compares what there is with its records."""


class Hand:
    """One endpoint, and a login of one's own."""

    def __init__(self, emulator: Emulator, endpoint: str) -> None:
        """Log in."""
        trust = ssl.create_default_context(cafile=emulator.ca_bundle)
        self._http = httpx.Client(base_url=emulator.url, verify=trust, trust_env=False, timeout=60)
        secret = {"X-IDENTITY-HEADER": emulator.environment["IDENTITY_HEADER"]}
        asked = {"api-version": "2019-08-01", "resource": emulator.url}
        token = self._http.get("/msi/token", params=asked, headers=secret).raise_for_status().json()
        self._http.headers["Authorization"] = f"Bearer {token['access_token']}"
        subscription, group, workspace = emulator.workspace
        self._path = (
            f"/subscriptions/{subscription}/resourceGroups/{group}/providers"
            f"/Microsoft.MachineLearningServices/workspaces/{workspace}/onlineEndpoints/{endpoint}"
        )

    def traffic(self) -> dict[str, int]:
        """Shares of the deployments."""
        found: dict[str, int] = self._read()["properties"]["traffic"]
        return found

    def take_traffic(self) -> None:
        """Send no request to any deployment."""
        body = self._read()
        kept = {key: body["properties"][key] for key in ("authMode", "publicNetworkAccess")}
        properties = {**kept, "traffic": {}, "properties": {}, "mirrorTraffic": {}}
        put = {
            "location": body["location"],
            "tags": body["tags"],
            "identity": {"type": "SystemAssigned"},
            "properties": properties,
        }
        self._http.put(self._path, params={"api-version": ENDPOINTS}, json=put).raise_for_status()

    def delete_deployment(self) -> None:
        """Delete the deployment, and its traffic before."""
        self.take_traffic()
        path = f"{self._path}/deployments/main"
        self._http.delete(path, params={"api-version": DEPLOYMENTS}).raise_for_status()

    def delete_endpoint(self) -> None:
        """Delete all of it."""
        self._http.delete(self._path, params={"api-version": ENDPOINTS}).raise_for_status()

    def close(self) -> None:
        """Log out."""
        self._http.close()

    def _read(self) -> Any:
        return self._http.get(self._path, params={"api-version": ENDPOINTS}).raise_for_status().json()


def drift(harness: Harness) -> Iterator[Case]:
    """What a live endpoint cannot answer without goes away."""
    yield Case("traffic taken by hand", partial(_changed, harness, Hand.take_traffic))
    yield Case("deployment deleted by hand", partial(_changed, harness, Hand.delete_deployment, redeployed=1))
    yield Case("endpoint deleted by hand", partial(_gone, harness))


def _changed(harness: Harness, change: Callable[[Hand], None], *, redeployed: int = 0) -> Verdict:
    """Within one reconciliation the endpoint answers again, or somebody is told."""
    host = harness.host(warm=True)
    run_id = host.upload.run_id
    seen: list[bool] = []

    def interfere(stage: Stage) -> None:
        if stage is not Stage.LIVE:
            return
        hand = Hand(harness.world.emulator, run_id)
        change(hand)
        host.run_concurrently("reconcile_resources")
        began = host.now
        while host.now - began < RECONCILE_PERIOD:
            host.now += TIMER
            host.run_concurrently("advance_run", run_id)
        entry = harness.world.entry(run_id)
        seen.append(entry is not None and entry.attention is None and hand.traffic() == {"main": 100})
        hand.close()

    end = host.carry(interfere)
    return harness.assess(
        host,
        end,
        frozenset({Stage.STOPPED}),
        injected=len(seen),
        holds=seen == [True],
        redeployed=redeployed,
    )


def _gone(harness: Harness) -> Verdict:
    """The run says so, and ends with its model."""
    host = harness.host(warm=True)
    told: list[bool] = []

    def interfere(stage: Stage) -> None:
        if stage is not Stage.LIVE:
            return
        hand = Hand(harness.world.emulator, host.upload.run_id)
        hand.delete_endpoint()
        hand.close()
        for message in host.deliver("reconcile_resources"):
            host.run_concurrently("advance_run", message)
        entry = harness.world.entry(host.upload.run_id)
        told.append(entry is not None and (entry.attention is not None or entry.stage is not Stage.LIVE))

    end = host.carry(interfere)
    kept = harness.world.record(host.upload.run_id).model is not None
    ends = frozenset({Stage.STOPPED, Stage.DELETED})
    return harness.assess(host, end, ends, injected=len(told), holds=told == [True] and kept)
