"""Azurite, Microsoft's storage emulator, from this checkout's `node_modules`."""

import os
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from local.processes import ChildProcess

ACCOUNT = "devstoreaccount1"
# Not a secret: the fixed, documented key of every Azurite.
# https://learn.microsoft.com/azure/storage/common/storage-connect-azurite#http-connection-strings
ACCOUNT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

SCRIPT = Path(__file__).parents[1] / "node_modules" / "azurite" / "dist" / "src" / "azurite.js"
START_SECONDS = 60.0
LISTENING = re.compile(r"Azurite (Blob|Queue|Table) service is successfully listening at (http://\S+)")


class Azurite:
    """A context manager around one Azurite on free ports of 127.0.0.1.

    Attributes:
        connection_string: Reaches the blobs, queues and tables of its first account; set once it is running.
        pid: Its process id.
    """

    connection_string: str
    pid: int

    def __init__(
        self, folder: Path | None = None, log: Path | None = None, accounts: Sequence[str] = (ACCOUNT,)
    ) -> None:
        """Describe the emulator; entering the context starts it.

        Args:
            folder: Where data is kept from one start to the next; in memory when left out.
            log: Where its output goes; a temporary file when left out.
            accounts: Names of its storage accounts, all with the same key.
        """
        self._folder = folder
        self._log = log
        self._accounts = accounts
        self._process: ChildProcess | None = None
        self._scratch: tempfile.TemporaryDirectory[str] | None = None

    def start(self) -> Self:
        """Start it and wait until all three services listen.

        Raises:
            ProcessError: Node is missing, or Azurite ended or did not answer in time.
            FileNotFoundError: `npm ci` has not been run in this checkout.
        """
        if not SCRIPT.exists():
            raise FileNotFoundError(f"Azurite is not installed: run `npm ci` first ({SCRIPT})")
        self._scratch = tempfile.TemporaryDirectory(prefix="azurite-")
        scratch = Path(self._scratch.name)
        process = ChildProcess(
            "Azurite",
            self._command(),
            self._log or scratch / "azurite.log",
            {**os.environ, "AZURITE_ACCOUNTS": ";".join(f"{name}:{ACCOUNT_KEY}" for name in self._accounts)},
            folder=scratch,
        )
        self._process = process
        try:
            process.wait_ready(lambda: len(LISTENING.findall(process.output())) == 3, START_SECONDS)
        except BaseException:
            self.stop()
            raise
        self.pid = process.pid
        self._addresses = LISTENING.findall(process.output())
        self.connection_string = self.connection_string_of(self._accounts[0])
        return self

    def connection_string_of(self, account: str) -> str:
        """Reaches the blobs, queues and tables of one of its accounts."""
        parts = ["DefaultEndpointsProtocol=http", f"AccountName={account}", f"AccountKey={ACCOUNT_KEY}"]
        parts += [f"{service}Endpoint={url}/{account}" for service, url in self._addresses]
        return ";".join(parts)

    def stop(self) -> None:
        """Stop it. Stopping twice is fine."""
        if self._process is not None:
            self._process.stop()
        if self._scratch is not None:
            self._scratch.cleanup()

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        return self._process is not None and self._process.alive

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _command(self) -> list[str]:
        # The SDKs' newest API versions are younger than the Azurite that Node 20 can run.
        command = ["node", str(SCRIPT), "--silent", "--skipApiVersionCheck", "--disableTelemetry"]
        for service in ("blob", "queue", "table"):
            command += [f"--{service}Host", "127.0.0.1", f"--{service}Port", "0"]
        if self._folder is None:
            return [*command, "--inMemoryPersistence"]
        self._folder.mkdir(parents=True, exist_ok=True)
        return [*command, "--location", str(self._folder)]
