"""The control API from Python: calls, faults, state, pace, quota and clock of a running emulator.

Tests and tools reach into an emulator through this, whether it runs in their process or in another.
"""

from __future__ import annotations

import ssl
from abc import ABC, abstractmethod
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from azureml_emulator.core.clock import Pace

if TYPE_CHECKING:  # imported with the first call: an emulator that is a process starts sooner without it
    import httpx

TIMEOUT_SECONDS = 60.0


class ControlError(Exception):
    """The emulator refused a control request; the text is its reason."""


class FaultHandle:
    """A fault that was set, and how often it has been met."""

    def __init__(self, controls: Controls, identifier: str) -> None:
        self._controls = controls
        self.id = identifier

    @property
    def hits(self) -> int:
        """How often the fault has hit. Raises `ControlError` once faults were cleared."""
        return int(self._controls.request("GET", f"faults/{self.id}")["hits"])


class Controls(ABC):
    """Every control of one emulator, over its own HTTPS address."""

    _http: httpx.Client | None = None

    @property
    @abstractmethod
    def url(self) -> str:
        """Scheme, host and port, no slash at the end."""

    @property
    @abstractmethod
    def ca_bundle(self) -> str:
        """Path of the certificate that a client must trust."""

    def calls(self, operation: str | None = None) -> list[dict[str, Any]]:
        """The calls so far, oldest first; only those of one operation if it is named.

        Each has ``time, operation, method, path, query, status``; the status is None where the connection was
        cut. The latest 10,000 are kept.
        """
        query = {"operation": operation} if operation else {}
        found: list[dict[str, Any]] = self.request("GET", "calls", params=query)["value"]
        return found

    def forget_calls(self) -> None:
        """Empties the list of calls."""
        self.request("DELETE", "calls")

    def add_fault(self, **fault: Any) -> FaultHandle:
        """Sets a fault; the fields are those of ``POST /_emulator/faults``, which the README lists."""
        return FaultHandle(self, self.request("POST", "faults", json=fault)["ids"][0])

    def clear_faults(self) -> None:
        """Removes all faults."""
        self.request("DELETE", "faults")

    def reset(self) -> None:
        """Back to a new subscription: no resources, faults or calls. Pace and clock stay."""
        self.request("POST", "reset")

    def resources(self, *kinds: str, containing: str = "") -> dict[str, list[dict[str, Any]]]:
        """Resources as they are kept, without keys and secrets; jobs have their ``status`` besides.

        Args:
            kinds: Some of ``computes, datastores, assets, jobs, endpoints, deployments, operations``; all if
                none is given.
            containing: Only resources in whose JSON this text occurs.
        """
        query = {"kinds": ",".join(kinds), "containing": containing}
        found: dict[str, list[dict[str, Any]]] = self.request("GET", "resources", params=query)
        return found

    def set_pace(self, pace: str | Pace) -> None:
        """How long things take that begin from now on: ``instant``, ``fast``, ``timed``, or own durations."""
        self._change(pace=pace if isinstance(pace, str) else asdict(pace))

    def set_quota(self, cores: dict[str, int]) -> None:
        """Cores per VM family, beside those already set."""
        self._change(quota=cores)

    def set_switches(self, **switches: Any) -> None:
        """Answers to what is not known of the service; the README lists them."""
        self._change(switches=switches)

    def set_catalogue(self, month: str) -> None:
        """The month whose public registry is served: ``2026-05`` or ``2026-07``."""
        self._change(catalogue=month)

    def generations(self, deployment: str) -> dict[str, int]:
        """Answers of ``endpoint/deployment``: ``in_progress, most_in_progress, completed, aborted``."""
        found: dict[str, dict[str, int]] = self.request("GET", "generations")
        none = {"in_progress": 0, "most_in_progress": 0, "completed": 0, "aborted": 0}
        return found.get(deployment, none)

    def advance_clock(self, seconds: float) -> None:
        """Moves the clock of an emulator that was started with a manual one."""
        self._change(advance=seconds)

    def complete_operations(self, kind: str, target: str) -> int:
        """Ends long-running operations now, with success; returns how many there were."""
        body = {"kind": kind, "target": target}
        return int(self.request("POST", "operations/complete", json=body)["completed"])

    def delay_job(self, name: str, seconds: float) -> None:
        """Moves every node of a job into the future, as when a cluster has no free node."""
        self.request("POST", f"jobs/{name}/delay", json={"seconds": seconds})

    def copy_job(self, name: str, copies: list[str]) -> None:
        """Makes copies of a job under other names, in its state, to have many of them quickly."""
        self.request("POST", f"jobs/{name}/copies", json={"names": copies})

    def request(self, method: str, path: str, **given: Any) -> Any:
        """One call below ``/_emulator/``; the decoded answer, or None when it has no body.

        Raises:
            ControlError: The emulator refused it.
            httpx.TransportError: The emulator does not answer.
        """
        if self._http is None:
            import httpx

            trust = ssl.create_default_context(cafile=self.ca_bundle)
            self._http = httpx.Client(
                base_url=self.url, verify=trust, timeout=TIMEOUT_SECONDS, trust_env=False
            )
        response = self._http.request(method, f"/_emulator/{path}", **given)
        if response.status_code >= 400:
            raise ControlError(f"{method} /_emulator/{path}: {response.status_code} {response.text}")
        return response.json() if response.content else None

    def close(self) -> None:
        """Closes the connection to the emulator; the next call opens another."""
        if self._http is not None:
            self._http.close()
            self._http = None

    def _change(self, **change: Any) -> None:
        self.request("PATCH", "state", json=change)


class ControlClient(Controls):
    """The controls of an emulator in another process.

    Args:
        url: Its address, as its ready file has it.
        ca_bundle: Path of the certificate to trust, likewise.
    """

    def __init__(self, url: str, ca_bundle: str) -> None:
        self._url, self._ca_bundle = url.rstrip("/"), ca_bundle

    @property
    def url(self) -> str:
        """Scheme, host and port, no slash at the end."""
        return self._url

    @property
    def ca_bundle(self) -> str:
        """Path of the certificate that a client must trust."""
        return self._ca_bundle
