"""Uploads whose events are lost, uploads that are replaced before training, and two apps in one workspace."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from itertools import chain, repeat
from typing import NamedTuple

from chaos.crashes import kills_of
from chaos.harness import Case, Harness, Verdict
from chaos.host import Host
from chaos.wire import FaultKind, Injection
from chaos.worker import Invocation
from chaos.world import ROWS
from shared.domain.dataset.rules import Split
from shared.domain.run.stages import Stage

ENDED = frozenset({Stage.STOPPED})

MORE_ROWS = ROWS["train"] + 3
"""Of the newer version of an upload: what its run was trained on tells which version that was."""

FIRST_CALLS = 40
"""Calls of the newer version's run at which its worker is killed: up to its training, about."""

A_DAY = timedelta(days=1)

_HELD = Injection(FaultKind.STATUS, path="/subscriptions/", stage=Stage.VALIDATED, status=429, retry_after=30)
"""Keeps a run from training until the next tick."""


def uploads(harness: Harness, every: int = 1) -> Iterator[Case]:
    """Every kill of the worker that finds a lost upload, and of both workers that a replaced one concerns.

    Args:
        harness: Where they are tried.
        every: Try each so-many-th call alone.
    """
    calls = _found_by_timer(harness)
    for number in range(0, len(calls), every):
        for kill in kills_of(calls[number]):
            yield Case("event of an upload lost", partial(_lost, harness, Injection(kill, call=number)))
    replaced = _replaced(harness)
    if replaced.verdict.note:
        raise RuntimeError(f"an upload replaced, with nobody in its way: {replaced.verdict.note}")
    for number in range(replaced.since, len(replaced.older), every):
        for kill in kills_of(replaced.older[number]):
            injection = Injection(kill, call=number)
            yield Case("uploaded again before training", partial(_replaced_killed, harness, injection, None))
    for number, call in enumerate(replaced.newer[:FIRST_CALLS:every]):
        for kill in kills_of(call):
            injection = Injection(kill, call=number * every)
            yield Case("uploaded again before training", partial(_replaced_killed, harness, None, injection))
    yield Case("another installation in the workspace", partial(_beside, harness))


def _found_by_timer(harness: Harness) -> list[tuple[str, str]]:
    """The calls of the worker that opens the run of a lost upload."""
    host = harness.host()
    host.deliver("reconcile_uploads")
    calls = host.calls
    harness.assess(host, host.carry(), ENDED)
    return calls


def _lost(harness: Harness, injection: Injection) -> Verdict:
    host = harness.host(iter([[injection]]))
    return harness.assess(host, host.carry(opened_by="reconcile_uploads"), ENDED)


class _Replaced(NamedTuple):
    """What came of an upload that was replaced before its training.

    Attributes:
        verdict: Of both runs.
        older: Calls of the first version's run.
        newer: Calls of the newer version's run.
        since: The number of the first of `older` that comes after the newer version.
    """

    verdict: Verdict
    older: list[tuple[str, str]]
    newer: list[tuple[str, str]]
    since: int


def _replaced_killed(harness: Harness, older: Injection | None, newer: Injection | None) -> Verdict:
    return _replaced(harness, older, newer).verdict


def _replaced(harness: Harness, older: Injection | None = None, newer: Injection | None = None) -> _Replaced:
    """Upload again while the first version waits: it ends unpaid, and the newer one is trained, once."""
    plan = [_HELD] if older is None else [older, _HELD]
    first = harness.host(chain([plan], repeat([_HELD])))
    second: Host | None = None
    since = 0

    def upload_again(stage: Stage) -> None:
        nonlocal second, since
        if stage is Stage.VALIDATED:
            since = len(first.calls)
            upload = harness.world.upload_again(first.upload, MORE_ROWS)
            second = harness.host(iter([[newer]] if newer else []), upload=upload)
            second.deliver("dataset_uploaded", upload.path)

    end = first.carry(upload_again)
    met = first.deaths
    if second is None:
        return _Replaced(harness.assess(first, end, frozenset(), injected=met), first.calls, [], since)
    newer_end = second.carry()
    record = harness.world.record(second.upload.run_id)
    newest = record.report is not None and record.report.rows[Split.TRAIN] == MORE_ROWS
    unpaid = not harness.world.record(first.upload.run_id).billable
    verdict = harness.assess(second, newer_end, ENDED, injected=met + second.deaths, holds=newest)
    before = harness.assess(first, end, frozenset({Stage.CANCELED}), injected=0, holds=unpaid)
    return _Replaced(_both(verdict, before), first.calls, second.calls, since)


def _both(one: Verdict, other: Verdict) -> Verdict:
    return Verdict(
        injected=one.injected + other.injected,
        runs=2,
        expected=one.expected + other.expected,
        duplicates=max(one.duplicates, other.duplicates),
        leaked=max(one.leaked, other.leaked),
        lost=one.lost + other.lost,
        note="; beside it: ".join(filter(None, (one.note, other.note))),
        longest=max(one.longest, other.longest),
    )


def _beside(harness: Harness) -> Verdict:
    """An app with a storage account of its own shares the workspace; both reconcile in every stage."""
    other = harness.world.beside()
    theirs = other.environment()
    theirs["DATASTORE_NAME"] = "theirs"
    ours = harness.host(warm=True)
    guest = Host(other, harness.fleet, other.upload(), environment=theirs)
    met = 0
    ended: list[Stage | None] = []

    def reconcile_beside(stage: Stage) -> None:
        nonlocal met
        _reconcile(harness, ours, theirs)
        met += 1
        if stage is Stage.LIVE:
            ended.append(guest.carry(lambda _stage: _reconcile(harness, guest, {})))

    end = ours.carry(reconcile_beside)
    verdict = harness.assess(ours, end, ENDED, injected=met)
    return _both(verdict, harness.assess(guest, next(iter(ended), None), ENDED))


def _reconcile(harness: Harness, host: Host, environment: dict[str, str]) -> None:
    """A day after the host's present, when everything of an unknown run would be long past its time."""
    worker = harness.fleet.spawn(**environment)
    try:
        worker.run(Invocation("reconcile_resources", host.now + A_DAY, injections=[]))
    finally:
        worker.close()
