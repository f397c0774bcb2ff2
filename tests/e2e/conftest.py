"""The real process tree: Azurite, the Azure ML emulator, the function host and the watcher."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from local.stack import Stack


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One stack for end-to-end tests to share: they keep apart by the names of their datasets."""
    with Stack(folder=tmp_path_factory.mktemp("stack"), host="local", pace="instant") as running:
        yield running


@pytest.fixture
def api(stack: Stack) -> Iterator[httpx.Client]:
    """The app's HTTP API, with its key."""
    with stack.client() as client:
        yield client
