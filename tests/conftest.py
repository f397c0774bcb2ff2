"""Fixtures that every test package may use."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from local.azurite import Azurite
from tests.live_stack import LiveStack, live_stack_in

# A busy machine is slow at making examples, too; what a test says of the app does not depend on it.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


SLOW = ("e2e", "dashboard", "openapi", "openai", "notifications", "infra", "chaos", "host")
"""Packages whose files take long: they go first, so that no process is left with one of them at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the slow packages first."""
    items.sort(key=lambda item: SLOW.index(name) if (name := item.path.parent.name) in SLOW else len(SLOW))


@pytest.fixture(scope="session")
def azurite() -> Iterator[Azurite]:
    """A real storage emulator, one for the whole session: tests keep apart by container and queue names."""
    with Azurite() as running:
        yield running


@pytest.fixture(scope="session")
def live_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveStack]:
    """Everything running, with a model that is live, for tests that leave it so."""
    with live_stack_in(tmp_path_factory.mktemp("live")) as running:
        yield running
