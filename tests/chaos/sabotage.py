"""Ways to break the app on purpose, so that the harness has something to find.

A worker picks the one whose name is in the file that `SABOTAGE` points to.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from shared.domain.run.index import IndexEntry
from shared.domain.run.run import Run
from shared.domain.run.slot_kind import SlotKind
from shared.ports import Services, SlotHolders


class _Instead:
    """A port with some of its methods replaced."""

    def __init__(self, port: Any, **methods: Callable[..., Any]) -> None:
        self._port = port
        self._methods = methods

    def __getattr__(self, name: str) -> Any:
        return self._methods.get(name) or getattr(self._port, name)


def _submits_under_a_new_name(services: Services) -> Services:
    real = services.training

    def submit(run: Run, plan: Any, **given: Any) -> None:
        # As if the job's name were drawn anew in each attempt.
        drawn = f"{run.run_id[:-10]}{os.urandom(5).hex()}"
        real.submit(msgspec.structs.replace(run, run_id=drawn), plan, **given)
        real.submit(run, plan, **given)

    return replace(services, training=_Instead(real, submit=submit))


def _believes_a_delete_without_looking(services: Services) -> Services:
    gone: set[str] = set()

    def endpoint(name: str, run_id: str, **given: Any) -> Any:
        return None if name in gone else services.endpoints.endpoint(name, run_id, **given)

    lying = _Instead(services.endpoints, delete=gone.add, endpoint=endpoint)
    return replace(services, endpoints=lying)


def _forgets_when_to_look_again(services: Services) -> Services:
    def entries(**given: Any) -> list[IndexEntry]:
        return [entry._replace(due=None) for entry in services.runs.entries(**given)]

    return replace(services, runs=_Instead(services.runs, entries=entries))


def _saves_over_what_callers_wrote(services: Services) -> Services:
    def overwrite(run: Run, _etag: str) -> str | None:
        return services.runs.replace(run, services.runs.load(run.run_id).etag)

    return replace(services, runs=_Instead(services.runs, replace=overwrite))


def forgets_slot_holders(services: Services) -> Services:
    """Decide by the index alone."""

    def holders(kind: SlotKind) -> SlotHolders:
        return services.slots.holders(kind)._replace(runs=frozenset())

    return replace(services, slots=_Instead(services.slots, holders=holders))


SABOTAGES = {
    "nothing": lambda services: services,
    "new name": _submits_under_a_new_name,
    "no look": _believes_a_delete_without_looking,
    "no due": _forgets_when_to_look_again,
    "lost update": _saves_over_what_callers_wrote,
}


def chosen(services: Services) -> Services:
    """The services, broken as the file says."""
    return SABOTAGES[Path(os.environ["SABOTAGE"]).read_text()](services)
