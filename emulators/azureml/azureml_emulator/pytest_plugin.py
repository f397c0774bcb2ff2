"""The pytest fixture ``azureml_emulator``: a fresh emulator, with its environment set in this process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # pytest loads this file in every project that has the package installed
    from azureml_emulator import Emulator


@pytest.fixture(scope="session")
def azureml_emulator_session() -> Iterator[Emulator]:
    """One emulator for all tests of the session, at the pace ``instant``."""
    from azureml_emulator import Emulator

    with Emulator(pace="instant") as emulator:
        yield emulator


@pytest.fixture
def azureml_emulator(azureml_emulator_session: Emulator, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    """The session's emulator after a reset, with its environment set for this test."""
    azureml_emulator_session.reset()
    azureml_emulator_session.set_pace("instant")
    for name, value in azureml_emulator_session.environment.items():
        monkeypatch.setenv(name, value)
    return azureml_emulator_session
