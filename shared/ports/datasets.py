"""Snapshots of datasets, and what was found in them and in what models answered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from shared.domain.dataset import Sink, Split


class Snapshot(Protocol):
    """A snapshot being written."""

    @property
    def sinks(self) -> Mapping[Split, Sink]:
        """Where the bytes of each split go."""

    def state(self) -> bytes:
        """Wait until all that was written is kept; returns what another process needs to go on."""

    def commit(self, splits: Iterable[Split]) -> None:
        """Make these splits' files appear, replacing earlier ones."""


class Datasets(Protocol):
    """Snapshots, one folder a run."""

    def open_snapshot(self, run_id: str, state: bytes = b"") -> AbstractContextManager[Snapshot]:
        """Begin a run's snapshot, or go on from a `Snapshot.state`; what is not committed never appears."""

    def save_checkpoint(self, run_id: str, data: bytes) -> None:
        """Keep how far a run's validation is, over what was kept before."""

    def save_finetune_config(self, run_id: str, data: bytes) -> str:
        """Store a run's fine-tune configuration over an earlier one; returns where training reads it."""

    def load_checkpoint(self, run_id: str) -> bytes | None:
        """What was kept last, or None."""

    def delete_checkpoint(self, run_id: str) -> None:
        """Forget what was kept, if anything."""

    def uri(self, run_id: str, split: Split) -> str:
        """Where training reads a split: an `azureml://datastores/…` URI."""


class Reports(Protocol):
    """Validation reports, as JSON and as a page."""

    def save(self, run_id: str, *, json: bytes, html: str) -> None:
        """Store both forms of a report, replacing earlier ones."""

    def load(self, run_id: str, *, html: bool) -> bytes | None:
        """One form of a report, or None if there is none."""


class StoredEvaluation(NamedTuple):
    """The rows of an evaluation as stored, and their ETag."""

    body: bytes
    etag: str


class Evaluations(Protocol):
    """Test rows and what models answered, one file of JSON Lines a run."""

    def load(self, run_id: str) -> StoredEvaluation | None:
        """What is stored, or None."""

    def save(self, run_id: str, body: bytes, etag: str | None) -> bool:
        """Store over the version `etag`, or anew for None; False if another version is there."""
