"""Fixtures that every test package may use."""

from collections.abc import Iterator

import pytest

from local.azurite import Azurite


@pytest.fixture(scope="session")
def azurite() -> Iterator[Azurite]:
    """A real storage emulator, one for the whole session: tests keep apart by container and queue names."""
    with Azurite() as running:
        yield running
