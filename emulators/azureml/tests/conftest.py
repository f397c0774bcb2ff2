"""An emulator of its own for each test, and plain REST calls to it; one shared emulator for the SDK."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import live_results
import pytest
from azureml_emulator import Emulator
from azureml_emulator.core.switches import Switches
from emulator_rest import Rest

_succeeded: set[str] = set()

EVERY_MODEL_STARTS = Switches(score_script="legacy")
"""For tests of anything else than how a model is served."""


@pytest.fixture(scope="session")
def listening() -> Iterator[Emulator]:
    """One emulator that listens for the whole session."""
    with Emulator(pace="instant", strict=True, switches=EVERY_MODEL_STARTS) as running:
        yield running


@pytest.fixture
def emulator(listening: Emulator) -> Emulator:
    """An emulator at the instant pace, as good as new."""
    listening.reset()
    listening.set_pace("instant")
    return listening


@pytest.fixture
def rest(emulator: Emulator) -> Iterator[Rest]:
    """Plain calls to this test's emulator."""
    client = Rest(emulator)
    yield client
    client.http.close()


@pytest.fixture
def rest_of() -> Iterator[Callable[[Emulator], Rest]]:
    """Plain calls to an emulator that the test started itself."""
    made: list[Rest] = []

    def make(emulator: Emulator) -> Rest:
        made.append(Rest(emulator))
        return made[-1]

    yield make
    for client in made:
        client.http.close()


@pytest.fixture(scope="module")
def sdk_emulator() -> Iterator[Emulator]:
    """One emulator for the module, whose environment this process has meanwhile."""
    with (
        Emulator(pace="instant", strict=True, switches=EVERY_MODEL_STARTS) as emulator,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in emulator.environment.items():
            patch.setenv(name, value)
        yield emulator


@pytest.fixture(scope="module")
def client(sdk_emulator: Emulator) -> Any:
    """A workspace client with a plain DefaultAzureCredential."""
    from azure.ai.ml import MLClient
    from azure.identity import DefaultAzureCredential

    settings = sdk_emulator.settings
    return MLClient(
        DefaultAzureCredential(), settings.subscription, settings.resource_group, settings.workspace
    )


@pytest.fixture(scope="module")
def registry(sdk_emulator: Emulator) -> Any:
    """A client of the public registry."""
    from azure.ai.ml import MLClient
    from azure.identity import DefaultAzureCredential

    return MLClient(DefaultAzureCredential(), registry_name="azureml")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Notes the conformance tests that succeed on a real workspace."""
    if report.when == "call" and report.passed:
        _succeeded.add(report.nodeid)
    given = dict(report.user_properties)
    if report.when == "teardown" and report.nodeid in _succeeded and "operations" in given:
        name = report.nodeid.rpartition("::")[2]
        live_results.note_success(name, given["operations"], azure=given["azure"])
