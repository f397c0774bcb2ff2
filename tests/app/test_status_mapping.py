"""Azure ML's words, translated: job statuses, provisioning states, and how long to wait after a fault."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.backoff import LONGEST_ASKED_SECONDS, LONGEST_SECONDS, backoff
from shared.domain.run.job_status import JobState, job_state
from shared.domain.run.observation import Provisioning, provisioning


def test_every_status_of_the_rest_api_is_known() -> None:
    """The table is total over the SDK's own enum; only the service's `Unknown` is unknown."""
    from azure.ai.ml._restclient.arm_ml_service.models import JobStatus

    states = {status.value: job_state(status.value) for status in JobStatus}
    assert [word for word, state in states.items() if state is JobState.UNKNOWN] == ["Unknown"]
    over = {word for word, state in states.items() if state.over}
    assert over == {"Completed", "Failed", "Canceled"}


@pytest.mark.parametrize("word", ["", "running", "Archived", "Completed "])
def test_a_new_status_is_unknown_and_not_over(word: str) -> None:
    """A word that nobody knows never ends a run."""
    assert job_state(word) is JobState.UNKNOWN
    assert not job_state(word).over


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("Succeeded", Provisioning.READY),
        ("succeeded", Provisioning.READY),
        ("Failed", Provisioning.FAILED),
        ("Canceled", Provisioning.FAILED),
        ("Deleting", Provisioning.DELETING),
        ("Creating", Provisioning.PENDING),
        ("Updating", Provisioning.PENDING),
        ("Scaling", Provisioning.PENDING),
        ("Unknown", Provisioning.PENDING),
        ("", Provisioning.PENDING),
        (None, Provisioning.PENDING),
    ],
)
def test_provisioning_states(word: str | None, state: Provisioning) -> None:
    """Case does not matter, and a word that nobody knows is waited for."""
    assert provisioning(word) is state


@given(
    st.integers(min_value=1, max_value=10_000),
    st.floats(min_value=0, max_value=1, exclude_max=True),
    st.none() | st.floats(min_value=0, allow_nan=False),
)
def test_a_pause_is_bounded_and_heeds_the_service(failures: int, jitter: float, asked: float | None) -> None:
    """However many faults, and whatever the header says: some seconds, and at most an hour."""
    pause = backoff(failures, jitter, asked)
    assert timedelta(seconds=2.5) <= pause <= timedelta(seconds=LONGEST_ASKED_SECONDS)
    if asked is None:
        assert pause <= timedelta(seconds=LONGEST_SECONDS)
    else:
        assert pause >= timedelta(seconds=min(asked, LONGEST_ASKED_SECONDS))


def test_pauses_grow_and_are_spread() -> None:
    """Each pause is twice the one before, and jitter takes up to half of it away."""
    assert [backoff(n, 0.999999).total_seconds() for n in (1, 2, 3)] == pytest.approx([5, 10, 20], rel=1e-3)
    assert backoff(3, 0.0) == timedelta(seconds=10)
