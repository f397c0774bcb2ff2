"""The stages of a run and the one table of moves between them."""

from __future__ import annotations

from enum import StrEnum


class Stage(StrEnum):
    """Where a run is. The comment on each says what is true in it."""

    RECEIVED = "received"
    # The upload is known; nothing of it has been read.
    VALIDATED = "validated"
    # The snapshot is written; nothing that costs money has been requested yet, or the request is on record.
    TRAINING = "training"
    # A job of the run's name exists.
    TRAINED = "trained"
    # The job completed; metrics and model are being taken from it.
    REGISTERED = "registered"
    # The model version exists; the run waits for an endpoint slot.
    DEPLOYING = "deploying"
    # Endpoint and deployment are coming up, are smoke-tested, and get traffic last.
    LIVE = "live"
    # The endpoint answers with all its traffic on the fine-tuned model.
    DELETING = "deleting"
    # Job and endpoint are being taken away; `outcome` says where the run ends once they are verified gone.
    STOPPED = "stopped"
    # Nothing that costs money is left, and the trained model is kept; a start request deploys it again.
    DELETED = "deleted"
    # A caller asked for the endpoint's deletion, and it is verified gone.
    REJECTED = "rejected"
    # The upload or its options cannot be used, or would cost too much; no job was ever asked for.
    DUPLICATE = "duplicate"
    # An earlier run has the same data, parameters and base model.
    FAILED = "failed"
    # A service or the job said no; nothing that costs money is left. A job that is found again leads out.
    CANCELED = "canceled"
    # Somebody asked for it; nothing that costs money is left.

    @property
    def terminal(self) -> bool:
        """Whether the run is over, and nothing of it costs money."""
        return self in _OVER

    @property
    def at_rest(self) -> bool:
        """Whether the run does nothing unless it is asked to: it is over, or it waits with its model."""
        return self.terminal or self is Stage.STOPPED

    @property
    def has_endpoint(self) -> bool:
        """Whether an endpoint of the run may exist: it is being created, answers, or is being deleted."""
        return self in _WITH_ENDPOINT

    @property
    def before_live(self) -> bool:
        """Whether the run is still on its way to an endpoint."""
        return self in _ON_THE_WAY


TRANSITIONS: dict[Stage, frozenset[Stage]] = {
    Stage.RECEIVED: frozenset({Stage.VALIDATED, Stage.REJECTED, Stage.FAILED, Stage.CANCELED}),
    Stage.VALIDATED: frozenset(
        {
            Stage.RECEIVED,
            Stage.TRAINING,
            Stage.REJECTED,
            Stage.DUPLICATE,
            Stage.FAILED,
            Stage.CANCELED,
            Stage.DELETING,
        },
    ),
    Stage.TRAINING: frozenset({Stage.TRAINED, Stage.DELETING}),
    Stage.TRAINED: frozenset({Stage.REGISTERED, Stage.DELETING}),
    Stage.REGISTERED: frozenset({Stage.DEPLOYING, Stage.DELETING}),
    Stage.DEPLOYING: frozenset({Stage.LIVE, Stage.DELETING}),
    Stage.LIVE: frozenset({Stage.DELETING}),
    Stage.DELETING: frozenset({Stage.STOPPED, Stage.DELETED, Stage.FAILED, Stage.CANCELED}),
    Stage.STOPPED: frozenset({Stage.TRAINED, Stage.DELETED, Stage.CANCELED}),
    Stage.DELETED: frozenset(),
    Stage.REJECTED: frozenset(),
    Stage.DUPLICATE: frozenset(),
    Stage.FAILED: frozenset({Stage.TRAINING}),
    Stage.CANCELED: frozenset(),
}

_OVER = frozenset({Stage.DELETED, Stage.REJECTED, Stage.DUPLICATE, Stage.FAILED, Stage.CANCELED})

_WITH_ENDPOINT = frozenset({Stage.DEPLOYING, Stage.LIVE, Stage.DELETING})

_ON_THE_WAY = frozenset(
    {
        Stage.RECEIVED,
        Stage.VALIDATED,
        Stage.TRAINING,
        Stage.TRAINED,
        Stage.REGISTERED,
        Stage.DEPLOYING,
    },
)
