"""What runs share: slots, contents, the models that names mean, and what earlier runs took."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol

from shared.domain.run.current_model import CurrentModel, NameMeaning
from shared.domain.run.job_time import JobTime
from shared.domain.run.slot_kind import Reservation, SlotKind
from shared.domain.serving.record import StrategyName


class SlotHolders(NamedTuple):
    """The runs listed as holding a slot, and the ETag of that list; None while there is no list."""

    runs: frozenset[str]
    etag: str | None


class Slots(Protocol):
    """The runs that hold a concurrency slot, or a share of the month's budget."""

    def holders(self, kind: SlotKind | Reservation) -> SlotHolders:
        """The list as last written."""

    def replace(self, kind: SlotKind | Reservation, runs: Iterable[str], etag: str | None) -> bool:
        """Replace the list that was read under `etag`; False if it has changed since."""


class ContentIndex(Protocol):
    """Which run trained which content: digest to run id."""

    def claim(self, digest: str, run_id: str) -> str:
        """Enter a run unless there is an entry; returns the run that is entered: `run_id`, or another."""

    def take_over(self, digest: str, run_id: str, *, previous: str) -> bool:
        """Replace the entry of a run that failed; False if another run has replaced it already."""


class StoredCurrent(NamedTuple):
    """The history of a dataset's name, and the ETag under which it was read."""

    model: CurrentModel
    etag: str


class CurrentModels(Protocol):
    """What the names of datasets mean."""

    def load(self, dataset: str) -> StoredCurrent | None:
        """A dataset's history, or None if no candidate was ever decided upon. Raises CorruptRunError."""

    def replace(self, model: CurrentModel, etag: str | None) -> bool:
        """Write over the version `etag`, or anew for None; False if another version is there."""

    def names(self) -> Mapping[str, NameMeaning]:
        """What the name of every dataset that has a history means, from one listing."""


class ServingMemory(Protocol):
    """Which strategy served a base model last."""

    def recall(self, key: str) -> StrategyName | None:
        """The strategy that worked, or None if nothing is known."""

    def remember(self, key: str, strategy: StrategyName) -> None:
        """Keep that a strategy worked; of two writers at once, either wins."""


class JobTimes(Protocol):
    """How long the training jobs of earlier runs took."""

    def recall(self, key: str) -> tuple[JobTime, ...]:
        """The newest times under a `time_key`, oldest first."""

    def remember(self, key: str, job: JobTime) -> None:
        """Keep a time, instead of an earlier one of the same run."""
