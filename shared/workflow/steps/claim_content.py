"""Claim this content for training, or find the run that has it, by one conditional write."""

from __future__ import annotations

import msgspec

from shared.domain.errors import CorruptRunError, TransientServiceError, UnknownRunError
from shared.domain.run.run import Run
from shared.domain.run.stages import Stage
from shared.domain.run.upload_change import same_content
from shared.ports import Services
from shared.workflow.steps.plan_training import content_digest

ATTEMPTS = 5
"""How often a run claims again at once when other runs of the same content took the claim meanwhile."""

_NOTHING = frozenset({Stage.FAILED, Stage.CANCELED, Stage.REJECTED, Stage.DUPLICATE})


def claim_content(run: Run, services: Services) -> Run:
    """Claim the run's content, or find the run that has it.

    A claim of a run that came to nothing, or is certain to, is taken over; with `force`, so is any other.

    Returns:
        The run, `claimed`, or with `duplicate_of` naming the earlier run.

    Raises:
        TransientServiceError: If other runs changed the claim each time; the run claims again later.
    """
    assert run.plan is not None
    digest = content_digest(run, run.plan)
    for _ in range(ATTEMPTS):
        holder = services.content_index.claim(digest, run.run_id)
        if holder == run.run_id:
            return msgspec.structs.replace(run, claimed=True)
        if not run.options.force and not _gives_way(holder, run, digest, services):
            return msgspec.structs.replace(run, duplicate_of=holder, end_reason=_offer(holder, services))
        if services.content_index.take_over(digest, run.run_id, previous=holder):
            return msgspec.structs.replace(run, claimed=True)
    raise TransientServiceError(
        f"the claim on the content of {run.run_id} kept changing", code="ClaimContended"
    )


def _gives_way(holder: str, run: Run, digest: str, services: Services) -> bool:
    """Whether the claim of another run is worth nothing, or is that of an older version of this upload."""
    try:
        other = services.runs.load(holder).run
    except UnknownRunError:
        return True
    except CorruptRunError:
        # Nobody can tell; to be on the safe side of the bill, it was trained.
        return False
    if _comes_to_nothing(other):
        return True
    if other.billable or other.stage not in {Stage.RECEIVED, Stage.VALIDATED}:
        return False
    # One that was opened anew after its claim trains something else now.
    stale = other.plan is None or content_digest(other, other.plan) != digest
    return stale or _is_older_version(other, run)


def _offer(run_id: str, services: Services) -> str:
    """What the run that has this content has to offer to whoever uploaded it again."""
    try:
        holder = services.runs.load(run_id).run
    except CorruptRunError:
        return f"{run_id} has this content, and its record cannot be read"
    if holder.may_be_started:
        return f"{run_id} has this model: POST /api/runs/{run_id}/start deploys it, without training"
    if holder.stage is Stage.DELETED:
        return f'{run_id} trained this content and was deleted; "force": true in run.json trains it again'
    return f"{run_id} has this content, and is {holder.stage}"


def _is_older_version(other: Run, run: Run) -> bool:
    """Whether another run is sure to see that this one's upload took the place of its own."""
    theirs, mine = other.source.files[0], run.source.files[0]
    same_upload = (other.source.container, theirs.path) == (run.source.container, mine.path)
    return same_upload and other.opened_at <= run.opened_at and not same_content(theirs, mine)


def _comes_to_nothing(run: Run) -> bool:
    # A caller's request is never withdrawn: a run that is not live yet will not be.
    given_up = run.requests.cancel_at is not None or run.requests.delete_at is not None
    if run.has_trained and Stage.FAILED in (run.stage, run.outcome):
        # What was trained is there to be started.
        return given_up
    return (
        run.superseded
        or run.stage in _NOTHING
        or run.outcome in _NOTHING
        or (given_up and run.stage.before_live)
    )
