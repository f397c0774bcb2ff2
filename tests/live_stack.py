"""The real process tree with a model that is live, as the tests of the API share it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from local.stack import Stack
from tests.e2e.runs import SAMPLES, follow, run_of, upload
from tests.notifications.receiver import Receiver

DATASET = "bakery"
SECRET = "whsec_c2lnbmVkIGJ5IHRoZSBhcHA="
PRICES = '{"Standard_NC24ads_A100_v4": 4.5}'


@dataclass(frozen=True)
class LiveStack:
    """A stack, the run of the dataset that is live in it, and who is told of its stages."""

    stack: Stack
    run_id: str
    notifications: Receiver


@contextmanager
def live_stack_in(folder: Path) -> Iterator[LiveStack]:
    """Start everything, upload a dataset and wait until it is live."""
    with Receiver() as receiver:
        settings = {"WEBHOOK_URL": receiver.url, "WEBHOOK_SECRET": SECRET, "PRICES_PER_HOUR": PRICES}
        with Stack(folder=folder, host="local", settings=settings) as stack, stack.client() as api:
            upload(stack, f"{DATASET}.jsonl", (SAMPLES / "ultrachat-sample.jsonl").read_bytes())
            run_id = run_of(api, DATASET)
            follow(api, run_id, "live")
            yield LiveStack(stack, run_id, receiver)
