"""What becomes of functions that Microsoft's worker has indexed; `tests/infra` has the app's own index."""

from __future__ import annotations

import json

import pytest

from emulators.functions.indexing import enabled_functions
from emulators.functions.messages import Message


def test_one_function_is_disabled_or_in_error_without_the_others(caplog: pytest.LogCaptureFixture) -> None:
    """The platform's own setting takes a function out; a `%SETTING%` that is not set is logged."""
    timer = {"type": "timerTrigger", "name": "timer", "direction": "IN"}
    schedules = {"disabled": "%SET%", "served": "0 %SET% * * * *", "in_error": "%UNSET%"}
    indexed = [
        Message(name=name, function_id=name, raw_bindings=[json.dumps({**timer, "schedule": schedule})])
        for name, schedule in schedules.items()
    ]
    functions = enabled_functions(indexed, {"AzureWebJobs.disabled.Disabled": "true", "SET": "5"})
    assert [(function.name, function.trigger.text("schedule")) for function in functions] == [
        ("served", "0 5 * * * *")
    ]
    (error,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert (error.function, "%UNSET%" in error.error) == ("in_error", True)  # type: ignore[attr-defined]
