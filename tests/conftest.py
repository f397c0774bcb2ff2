"""Fixtures that every test package may use, and how tests are marked and spread over processes."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadFileScheduling

from local.azurite import Azurite
from tests.live_stack import LiveStack, live_stack_in

# A busy machine is slow at making examples, too; what a test says of the app does not depend on it.
settings.register_profile(
    "ci",
    max_examples=50,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("explore", settings.get_profile("ci"), max_examples=2_000, derandomize=False)
settings.load_profile("ci")

FOLDER = Path(__file__).parent
EMULATOR = FOLDER.parent / "emulators"

KINDS = {
    "app": "unit",
    "app/test_adapters.py": "integration",
    "app/test_contract_azure_ml.py": "integration",
    "app/test_contract_coordination.py": "integration",
    "app/test_contract_files.py": "integration",
    "app/test_contract_runs.py": "integration",
    "app/test_races.py": "integration",
    "app/test_rest_bodies.py": "integration",
    "cli": "unit",
    "chaos": "chaos",
    "chaos/test_docs.py": "unit",
    "dashboard": "browser",
    "dashboard/test_files.py": "unit",
    "dashboard/test_terminal.py": "e2e",
    "dataset": "unit",
    "e2e": "e2e",
    "evaluation": "unit",
    "flow": "integration",
    "host": "integration",
    "infra": "unit",
    "local": "unit",
    "infra/test_functions.py": "integration",
    "infra/test_hooks.py": "integration",
    "infra/test_package.py": "integration",
    "notifications": "unit",
    "notifications/test_over_the_wire.py": "integration",
    "notifications/test_slow_receiver.py": "integration",
    "openai": "unit",
    "openai/test_clients.py": "e2e",
    "openapi": "unit",
    "openapi/test_running_api.py": "e2e",
}
"""What the tests of a folder are, and those of a file where it differs."""

STARTING = {"live_stack": "e2e", "azurite": "integration"}
"""Fixtures that start programs: a test that uses one is no unit test, wherever it is."""

ORDER = ("dashboard", "e2e", "openapi", "notifications", "openai", "host", "infra", "emulator", "flow")
"""Folders whose files take long: they go first, so that no process is left with one of them at the end."""

ONE_WORKER = ("tests/dashboard/", "tests/e2e/")
"""Tests that change what the whole stack does, or that count its runs: one after the other."""

OWN_STACKS = "tests/e2e/test_stack.py"


def pytest_sessionstart() -> None:
    """A folder without a kind, or a kind for what is not there, would run tests under the wrong marker."""
    folders = {file.relative_to(FOLDER).parts[0] for file in FOLDER.glob("*/**/test_*.py")}
    gone = {name for name in KINDS if not (FOLDER / name).exists()}
    if wrong := sorted((folders - KINDS.keys()) | gone):
        raise pytest.UsageError(f"tests/conftest.py: KINDS has to say what the tests in these are: {wrong}")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Import nothing but the unit tests where nothing else is to run: what others import takes seconds."""
    if config.getoption("markexpr") != "unit":
        return None
    if not collection_path.is_relative_to(FOLDER):
        return True if collection_path.is_relative_to(EMULATOR) else None
    name = collection_path.relative_to(FOLDER).as_posix()
    folder = name.partition("/")[0]
    kinds = {KINDS.get(name)} - {None} or {KINDS.get(folder)} - {None}
    if collection_path.is_dir():
        kinds |= {kind for file, kind in KINDS.items() if file.startswith(f"{name}/")}
    return True if kinds and "unit" not in kinds else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test with what it is, and put the slow folders first."""
    for item in items:
        item.add_marker(kind_of(item))
    items.sort(key=lambda item: ORDER.index(name) if (name := folder_of(item)) in ORDER else len(ORDER))


def folder_of(item: pytest.Item) -> str:
    """The folder below `tests/` that a test is in; `emulator` for the Azure ML emulator's own tests."""
    return item.path.relative_to(FOLDER).parts[0] if item.path.is_relative_to(FOLDER) else "emulator"


def kind_of(item: pytest.Item) -> str:
    """The marker of a test."""
    if not item.path.is_relative_to(FOLDER):
        return "integration"
    file = item.path.relative_to(FOLDER)
    kind = KINDS.get(file.as_posix()) or KINDS[file.parts[0]]
    if kind != "unit":
        return kind
    used = getattr(item, "fixturenames", ())
    return next((starting for name, starting in STARTING.items() if name in used), kind)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling | None:
    """With `--dist loadfile`: each file goes to one worker, and those of `ONE_WORKER` to the same one."""
    return _Files(config, log) if config.getvalue("dist") == "loadfile" else None


class _Files(LoadFileScheduling):  # type: ignore[misc]
    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        together = file.startswith(ONE_WORKER) and file != OWN_STACKS
        return "one stack" if together else file


@pytest.fixture(autouse=True)
def own_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """No run of one test waits for its turn to validate in another one of the same process."""
    validation = sys.modules.get("shared.workflow.steps.validate_dataset")
    if validation is not None:
        monkeypatch.setattr(validation, "TURNS", type(validation.TURNS)())


@pytest.fixture(scope="session")
def azurite() -> Iterator[Azurite]:
    """A real storage emulator, one for each process: tests keep apart by container and queue names."""
    with Azurite() as running:
        yield running


@pytest.fixture(scope="session")
def live_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveStack]:
    """Everything running, with a model that is live, for tests that leave it so; one for all processes."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # which the workers of a run have in common
    with live_stack_in(folder / "live") as running:
        yield running
