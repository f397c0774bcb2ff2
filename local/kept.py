"""What a stack keeps from one start to the next: its storage, Azure ML's state, its key and its ports."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
from pathlib import Path
from typing import NamedTuple

STATE = "state"


class Identity(NamedTuple):
    """What callers know a stack by, which therefore stays the same."""

    function_key: str
    azureml_port: int


class Kept:
    """The kept state of one stack; a second process must not use it at the same time."""

    def __init__(self, folder: Path) -> None:
        """Take the stack's folder; nothing is read yet."""
        self._folder = folder / STATE

    def forget(self) -> None:
        """Begin anew: no runs, no uploads, another key."""
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def any(self) -> bool:
        """Whether an earlier stack has left something."""
        return (self._folder / "identity.json").exists()

    @property
    def storage(self) -> Path:
        """Azurite's folder."""
        return self._folder / "storage"

    @property
    def azureml(self) -> Path:
        """The Azure ML emulator's folder."""
        return self._folder / "azureml"

    @property
    def delivered(self) -> Path:
        """Which uploads have been told to the app."""
        return self._folder / "event_grid.json"

    def identity(self) -> Identity:
        """The key and the port of last time, or new ones; a port that is taken by now is replaced."""
        file = self._folder / "identity.json"
        known = Identity(**json.loads(file.read_text())) if file.exists() else None
        key = known.function_key if known else secrets.token_hex(24)
        port = known.azureml_port if known and is_free(known.azureml_port) else free_port()
        identity = Identity(key, port)
        self._folder.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as opened:
            json.dump(identity._asdict(), opened)
        return identity


def is_free(port: int) -> bool:
    """Whether nobody listens at a port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A port of 127.0.0.1 that nobody uses just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
