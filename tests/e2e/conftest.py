"""The real process tree: Azurite, the Azure ML emulator, the function host and the watcher."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from local.stack import Stack
from tests.live_stack import LiveStack


@pytest.fixture
def stack(live_stack: LiveStack) -> Stack:
    """The shared stack: tests keep apart by the names of their datasets."""
    return live_stack.stack


@pytest.fixture
def api(stack: Stack) -> Iterator[httpx.Client]:
    """The app's HTTP API, with its key."""
    with stack.client() as client:
        yield client
