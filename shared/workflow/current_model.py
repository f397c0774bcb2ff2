"""Read and switch the current model of a dataset."""

from __future__ import annotations

from collections.abc import Callable

from shared.domain.errors import CorruptRunError, RunChangedError, UnknownRunError
from shared.domain.run.current_model import CurrentModel
from shared.domain.run.run import Run
from shared.domain.run.stages import Stage
from shared.ports import Services

ATTEMPTS = 10
"""How often a caller's switch is tried again at once when others switched meanwhile."""


def history_of(dataset: str, services: Services) -> tuple[CurrentModel, str | None]:
    """The switches of a dataset's name and the ETag under which they were read; an empty one without an ETag.

    Raises:
        CorruptRunError: If it cannot be read.
        TransientServiceError: If storage could not be reached.
    """
    stored = services.current_models.load(dataset)
    return (stored.model, stored.etag) if stored is not None else (CurrentModel(dataset=dataset), None)


def holder_of(model: CurrentModel, services: Services, *, but: str | None = None) -> Run | None:
    """The run that a dataset's name means, other than `but`; None if no other answers or can be started.

    Raises:
        TransientServiceError: If storage could not be reached.
    """
    for run_id in model.stack:
        if run_id == but:
            continue
        try:
            run = services.runs.load(run_id).run
        except (UnknownRunError, CorruptRunError):
            continue
        if is_available(run):
            return run
    return None


def is_available(run: Run) -> bool:
    """Whether the run's model answers, or would once it is started."""
    return run.stage in {Stage.LIVE, Stage.STOPPED} or run.starts_again


def switch_current(
    dataset: str, change: Callable[[CurrentModel], CurrentModel], services: Services
) -> CurrentModel:
    """Apply a caller's change to the newest version of a dataset's history.

    Args:
        dataset: Its name.
        change: Returns the history with a switch, or as it is to write nothing; may raise to refuse.
        services: The ports.

    Raises:
        RunChangedError: If others kept switching.
    """
    for _ in range(ATTEMPTS):
        before, etag = history_of(dataset, services)
        changed = change(before)
        if changed == before or services.current_models.replace(changed, etag):
            return changed
    raise RunChangedError(f"the current model of {dataset} was switched {ATTEMPTS} times meanwhile")
