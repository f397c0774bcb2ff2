"""Where resources are kept: dictionaries, written through to one SQLite file when a folder is given."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

T = TypeVar("T", bound=msgspec.Struct)


class Database:
    """Encoded resources in one file; kept only if a folder is given."""

    def __init__(self, folder: Path | None) -> None:
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(folder / "state.sqlite", check_same_thread=False)
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=NORMAL")
            self._connection.execute(
                "CREATE TABLE IF NOT EXISTS resource"
                " (kind TEXT, key TEXT, body BLOB, PRIMARY KEY (kind, key)) WITHOUT ROWID"
            )

    def rows(self, kind: str) -> list[tuple[str, bytes]]:
        """Keys and bodies of one kind, as they were left."""
        if self._connection is None:
            return []
        with self._lock:
            return self._connection.execute(
                "SELECT key, body FROM resource WHERE kind = ?", (kind,)
            ).fetchall()

    def write(self, kind: str, key: str, body: bytes | None) -> None:
        """Keeps a body, or forgets it when it is None."""
        if self._connection is None:
            return
        with self._lock, self._connection:
            if body is None:
                self._connection.execute("DELETE FROM resource WHERE kind = ? AND key = ?", (kind, key))
            else:
                self._connection.execute("REPLACE INTO resource VALUES (?, ?, ?)", (kind, key, body))

    def close(self) -> None:
        """Closes the file."""
        if self._connection is not None:
            self._connection.close()


class Table(Generic[T]):
    """Resources of one kind by name, in the order they came.

    ``get`` returns the live object: code that changes it calls ``put`` again and holds the state's lock.
    """

    def __init__(self, database: Database, name: str, kind: type[T]) -> None:
        self._database = database
        self._name = name
        self._kept: dict[str, T] = {
            key: msgspec.json.decode(body, type=kind) for key, body in database.rows(name)
        }

    def get(self, key: str) -> T | None:
        """The resource of that name, if there is one."""
        return self._kept.get(key)

    def put(self, key: str, resource: T) -> None:
        """Keeps a resource under its name."""
        self._kept[key] = resource
        self._database.write(self._name, key, msgspec.json.encode(resource))

    def remove(self, key: str) -> None:
        """Forgets a resource; one that is not there is fine."""
        if self._kept.pop(key, None) is not None:
            self._database.write(self._name, key, None)

    def clear(self) -> None:
        """Forgets all of them."""
        for key in list(self._kept):
            self.remove(key)

    def values(self) -> list[T]:
        """All of them, oldest first."""
        return list(self._kept.values())

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._kept))

    def __len__(self) -> int:
        return len(self._kept)
