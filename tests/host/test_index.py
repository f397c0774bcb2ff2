"""The app as Microsoft's worker indexes it, on the Python that runs the tests and with no settings at all."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from emulators.functions.indexing import enabled_functions
from emulators.functions.messages import Message

ROOT = Path(__file__).parents[2]


def index(folder: Path) -> subprocess.CompletedProcess[str]:
    """The functions of a folder, listed in a fresh interpreter."""
    return subprocess.run(
        [sys.executable, "-m", "emulators.functions.index", str(folder)],
        cwd=ROOT,
        env={},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_the_worker_takes_every_function_of_the_app() -> None:
    """Each function that `function_app.py` declares, with the bindings that the worker tells its host."""
    functions = json.loads(index(ROOT).stdout)
    declared = re.findall(r'function_name\("(\w+)"\)', (ROOT / "function_app.py").read_text())
    assert [function["name"] for function in functions] == sorted(declared)
    bindings = {function["name"]: function["bindings"] for function in functions}
    (upload,) = bindings["dataset_uploaded"]
    assert (upload["source"], upload["properties"]) == ("EventGrid", {"SupportsDeferredBinding": True})


def test_one_output_that_the_worker_does_not_know_fails_the_whole_app(tmp_path: Path) -> None:
    """With a single `Out[list[str]]` the worker refuses all functions, and says which one it met first."""
    for name in ("handlers", "shared", "dashboard", "host.json"):
        (tmp_path / name).symlink_to(ROOT / name)
    source = (ROOT / "function_app.py").read_text()
    (tmp_path / "function_app.py").write_text(source.replace("func.Out[List[str]]", "func.Out[list[str]]", 1))
    refused = index(tmp_path)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "FunctionLoadError: cannot load the" in refused.stderr
    assert "has invalid non-type annotation azure.functions._abc.Out[list[str]]" in refused.stderr


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
