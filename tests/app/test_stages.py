"""The table of moves between stages."""

import pytest

from shared.domain.run.run import enter
from shared.domain.run.stages import TRANSITIONS, Stage
from tests.app.builders import NOW, PATH, a_run


def test_every_stage_is_in_the_table() -> None:
    """A stage that the table does not have would be a KeyError in production."""
    assert set(TRANSITIONS) == set(Stage)


def test_exactly_these_stages_are_terminal() -> None:
    """Terminal stages have no exits, and no other stage is without one."""
    assert {stage for stage in Stage if stage.terminal} == {
        Stage.DELETED,
        Stage.REJECTED,
        Stage.DUPLICATE,
        Stage.FAILED,
        Stage.CANCELED,
    }


BACK = {
    Stage.VALIDATED: {Stage.RECEIVED},
    Stage.STOPPED: {Stage.TRAINED},
    Stage.FAILED: {Stage.TRAINING},
}


def test_every_stage_can_be_reached_and_none_twice() -> None:
    """All stages can be reached, and no way leads back but when an upload changes, or a run is started."""
    reached: set[Stage] = set()

    def visit(stage: Stage, path: tuple[Stage, ...]) -> None:
        assert stage not in path
        reached.add(stage)
        for following in TRANSITIONS[stage] - BACK.get(stage, set()):
            visit(following, (*path, stage))

    visit(Stage.RECEIVED, ())
    assert reached == set(Stage)


def test_what_may_cost_money_ends_only_through_deleting() -> None:
    """From `training` on, every way to a terminal stage leads through `deleting`."""
    for stage in PATH[PATH.index(Stage.TRAINING) : PATH.index(Stage.DELETING)]:
        assert not any(following.terminal for following in TRANSITIONS[stage])
        assert Stage.DELETING in TRANSITIONS[stage]


def test_before_live_are_the_stages_on_the_way_there() -> None:
    """The predicate that tells "not yet" from "gone" follows the path."""
    assert {stage for stage in Stage if stage.before_live} == set(PATH[: PATH.index(Stage.LIVE)])


def test_entering_keeps_the_time_and_refuses_what_the_table_does_not_have() -> None:
    """A move is recorded with its time and is due at once; a terminal stage is never due."""
    run = enter(a_run(Stage.TRAINED, failures=3, faulty_since=NOW), Stage.REGISTERED, NOW)
    assert (run.history[-1].stage, run.history[-1].at, run.due) == (Stage.REGISTERED, NOW, NOW)
    assert (run.failures, run.faulty_since) == (0, None)
    assert enter(a_run(Stage.DELETING), Stage.DELETED, NOW).due is None
    with pytest.raises(ValueError, match="no move leads from live to training"):
        enter(a_run(Stage.LIVE), Stage.TRAINING, NOW)
