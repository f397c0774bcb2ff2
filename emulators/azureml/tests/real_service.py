"""One workspace, called as a stranger calls Azure: by environment, with DefaultAzureCredential, over REST.

It is the emulator's, or, with ``AZUREML_LIVE=1``, that of ``AZURE_SUBSCRIPTION_ID``,
``AZURE_RESOURCE_GROUP`` and ``AZUREML_WORKSPACE``. Only the time between two polls depends on which it is.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from azure.identity import DefaultAzureCredential
from azureml_emulator.core.routing import Plane, Router
from azureml_emulator.routes import ROUTES
from wire_shapes import SHAPES, differences

API = "2024-10-01"
AZURE = "https://management.azure.com"
NAMES = ("AZURE_SUBSCRIPTION_ID", "AZURE_RESOURCE_GROUP", "AZUREML_WORKSPACE")
DEADLINE_SECONDS = 900.0
_ROUTER = Router(tuple(route for route in ROUTES if route.plane not in (Plane.CONTROL, Plane.STORAGE)))


class Workspace:
    """Calls to one workspace.

    Attributes:
        operations: The emulator's names of the operations that were called.
    """

    def __init__(self, subscription: str, group: str, workspace: str) -> None:
        self.path = (
            f"/subscriptions/{subscription}/resourceGroups/{group}"
            f"/providers/Microsoft.MachineLearningServices/workspaces/{workspace}"
        )
        self.operations: set[str] = set()
        self._http = httpx.Client(timeout=60)
        metadata = os.environ.get("ARM_CLOUD_METADATA_URL")
        self.manager = AZURE
        if metadata:
            self.manager = self._http.get(metadata).json()[0]["resourceManager"].rstrip("/")
        self._credential = DefaultAzureCredential()
        # A real service is asked as rarely as azure-ai-ml asks it.
        self.between_polls = 5.0 if self.manager == AZURE else 0.05

    @property
    def is_azure(self) -> bool:
        """Whether this is the real service."""
        return self.manager == AZURE

    def __call__(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None, **query: str
    ) -> httpx.Response:
        """One call to a path below the workspace, or to a whole address as the service gave it."""
        url = path if path.startswith("https://") else f"{self.manager}{self.path}{path}"
        if "api-version=" not in url:
            query = {"api-version": API, **query}
        found = _ROUTER.find(method, httpx.URL(url).path)
        self.operations |= {found[0].operation} if found else set()
        token = self._credential.get_token(f"{AZURE}/.default").token
        given = {"Authorization": f"Bearer {token}", **(headers or {})}
        return self._http.request(method, url, json=body, params=query or None, headers=given)

    def ended(self, answer: httpx.Response) -> str:
        """The status in which the long-running operation of an answer ends."""
        url, until = answer.headers["Azure-AsyncOperation"], time.monotonic() + DEADLINE_SECONDS
        while True:
            status = str(self("GET", url).json()["status"])
            if status in ("Succeeded", "Failed", "Canceled"):
                return status
            assert time.monotonic() < until, f"{url} is still {status}"
            time.sleep(self.between_polls)

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()
        self._credential.close()


def same_as_recorded(title: str, answer: httpx.Response) -> None:
    """The answer has the status, headers and fields of a shape of `wire_shapes.json`."""
    found = differences(SHAPES[title], answer)
    assert not found, f"{title}: {found}"


class CleanUp:
    """What tests made, by the calls that take it away again: in reverse order, each of them tried."""

    def __init__(self) -> None:
        self._calls: list[Callable[[], httpx.Response]] = []
        self.prefix = f"conf{uuid.uuid4().hex[:10]}"

    def add(self, call: Callable[[], httpx.Response]) -> None:
        """Remembers a call for the end."""
        self._calls.append(call)

    def run(self) -> list[str]:
        """Makes the calls; returns what did not succeed."""
        failed = []
        for call in reversed(self._calls):
            try:
                answer = call()
                if answer.status_code not in (200, 201, 202, 204, 404):
                    failed.append(f"{answer.request.method} {answer.url}: {answer.status_code} {answer.text}")
            except (httpx.HTTPError, AssertionError) as error:
                failed.append(repr(error))
        return failed


@contextmanager
def live_workspace() -> Iterator[Workspace]:
    """The workspace that the environment names.

    Raises:
        KeyError: One of its names is not set.
    """
    workspace = Workspace(*(os.environ[name] for name in NAMES))
    try:
        yield workspace
    finally:
        workspace.close()
