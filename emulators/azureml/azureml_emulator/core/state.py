"""The whole state of one emulator in one object, so that many emulators can run in one process."""

from __future__ import annotations

import logging
import secrets
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from azureml_emulator.core import resources
from azureml_emulator.core.body_fields import type_error
from azureml_emulator.core.builtin_datastores import builtin_datastores
from azureml_emulator.core.clock import FAST, Clock, Pace, SystemClock, wire_time
from azureml_emulator.core.errors import arm_error, json_object, workspace_error
from azureml_emulator.core.faults import Faults
from azureml_emulator.core.generations import Generations
from azureml_emulator.core.http import Request
from azureml_emulator.core.settings import Settings
from azureml_emulator.core.store import Database, Table
from azureml_emulator.core.tokens import Issuer
from azureml_emulator.storage.accounts import Accounts
from azureml_emulator.storage.blob_store import BlobStore

Completion = Callable[["EmulatorState", resources.LongRunning], None]

CALLS_KEPT = 10_000
_log = logging.getLogger(__name__)


def _signing_secret(folder: Path | None) -> bytes | None:
    """What tokens are signed with: kept with the state, so that those given out outlive a restart."""
    if folder is None:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "signing.key"
    if not path.exists():
        path.write_bytes(secrets.token_bytes(32))
        path.chmod(0o600)
    return path.read_bytes()


class EmulatorState:
    """The emulated subscription.

    Attributes:
        lock: Held while resources change; never while training, scoring or reading storage.
        completions: What is done when a long-running operation of a kind ends.
        calls: The latest calls, oldest first.
        base: Scheme, host and port of the emulator; set once it listens.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        pace: Pace = FAST,
        clock: Clock | None = None,
        completions: dict[str, Completion] | None = None,
    ) -> None:
        self.settings = settings
        self.pace = pace
        self.clock: Clock = clock or SystemClock()
        self.completions = completions or {}
        self.lock = threading.RLock()
        self.faults = Faults()
        self.issuer = Issuer(_signing_secret(settings.folder))
        self.calls: deque[dict[str, Any]] = deque(maxlen=CALLS_KEPT)
        self.quota = dict(settings.quota)
        self.switches = settings.switches
        self.catalogue = settings.catalogue
        self.generations = Generations()
        self.base = ""
        self.database = Database(settings.folder)
        self.blobs = BlobStore(settings.folder / "blobs" if settings.folder else None)
        self.accounts = Accounts(settings.storage, self.blobs)
        self.computes = Table(self.database, "computes", resources.Compute)
        self.datastores = Table(self.database, "datastores", resources.Datastore)
        self.assets = Table(self.database, "assets", resources.AssetVersion)
        self.jobs = Table(self.database, "jobs", resources.Job)
        self.endpoints = Table(self.database, "endpoints", resources.Endpoint)
        self.deployments = Table(self.database, "deployments", resources.Deployment)
        self.operations = Table(self.database, "operations", resources.LongRunning)
        self.unsettled = {one.id for one in self.operations.values() if not one.settled}
        # Made again from the above when needed: locks of jobs in progress, containers, requests in progress.
        self.job_locks: dict[str, threading.Lock] = {}
        self.containers: dict[str, Any] = {}
        self.pending: dict[str, Any] = {}
        self._add_builtin_datastores()

    def error(
        self,
        status: int,
        message: str,
        *,
        code: str = "UserError",
        detail: tuple[str, str] | None = None,
        inner: tuple[str, ...] = (),
    ) -> Exception:
        """An error of the workspace front end, stamped with this region and time."""
        return workspace_error(
            status,
            message,
            code=code,
            detail=detail,
            inner=inner,
            location=self.settings.location,
            time=wire_time(self.clock.now()),
        )

    def body(self, request: Request) -> dict[str, Any]:
        """The body of a call as it came, once its types are those that its route names.

        Raises:
            ServiceError: 400 with the field that is wrong.
        """
        document = json_object(request)
        wrong = type_error(document, request.body_type) if request.body_type else None
        if wrong is not None:
            raise self.error(400, f"The request is invalid: {wrong}.", code="BadRequest")
        return document

    def refuse_unread(self, request: Request, part: str) -> None:
        """Refuses a part of a request that has no effect here, or logs it.

        Raises:
            ServiceError: 501, if the emulator is strict.
        """
        message = f"The emulator does not read {part} of {request.method} {request.path}."
        if self.settings.strict:
            raise arm_error(501, "NotImplemented", message)
        _log.warning("part of a request was not read", extra={"reason": message})

    def not_found(self, code: str, message: str) -> Exception:
        """404 for an asset, job, endpoint or deployment that is not there."""
        return self.error(404, "The specified resource was not found.", detail=(code, message))

    def reset(self) -> None:
        """Back to a new subscription: no resources, no faults, no calls."""
        with self.lock:
            for table in (
                self.computes,
                self.datastores,
                self.assets,
                self.jobs,
                self.endpoints,
                self.deployments,
                self.operations,
            ):
                table.clear()
            self.faults.clear()
            self.calls.clear()
            self.blobs.clear()
            self.containers.clear()
            self.generations.clear()
            self.pending.clear()
            self.unsettled.clear()
            self.job_locks.clear()
            self.quota = dict(self.settings.quota)
            self.switches = self.settings.switches
            self.catalogue = self.settings.catalogue
            self._add_builtin_datastores()

    def _add_builtin_datastores(self) -> None:
        for datastore in builtin_datastores(self.settings, self.clock.now()):
            if self.datastores.get(datastore.name) is None:
                self.datastores.put(datastore.name, datastore)

    def close(self) -> None:
        """Closes files and connections."""
        self.accounts.close()
        self.database.close()
