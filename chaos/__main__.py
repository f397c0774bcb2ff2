"""`python -m chaos`: kill, repeat, spoil and race everything, and print one table of what came of it."""

from __future__ import annotations

import argparse
import os
import random
import resource
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import islice

from azureml_emulator import INSTANT

from chaos.crashes import MAIN, crashes, record
from chaos.drift import drift
from chaos.faults import refusals, service_faults, transients
from chaos.greed import greed
from chaos.guards import guards
from chaos.harness import Case, Harness, Verdict
from chaos.isolation import isolation
from chaos.races import duplicates, races
from chaos.schedules import schedules
from chaos.table import RUNS, Table
from chaos.uploads import uploads
from chaos.wrong_workspace import wrong_workspace

BATCH = 60
"""Cases between two moments at which nothing is under way."""

PARTS = (
    "crashes",
    "races",
    "duplicates",
    "faults",
    "service_faults",
    "refusals",
    "isolation",
    "uploads",
    "wrong_workspace",
    "drift",
    "greed",
    "guards",
    "schedules",
)

BRISK = replace(
    INSTANT, name="brisk", compute=0.05, endpoint=0.05, deployment=0.05, endpoint_delete=0.05, job_queue=0.05
)
"""Everything takes a moment, so that runs wait and are looked at again."""


def main() -> int:
    """Try everything, and say with the exit code whether all of it came out well."""
    arguments = _arguments()
    seed = random.randrange(10**9) if arguments.seed is None else arguments.seed
    print(f"seed {seed}", flush=True)
    began = time.monotonic()
    table = Table()
    with Harness(arguments.alter) as harness:
        calls = record(harness, MAIN).calls
        _say(f"a run makes {len(calls)} calls in {len({stage for stage, _ in calls})} stages")
        parts: dict[str, Callable[[], Iterator[Case]]] = {
            "crashes": lambda: crashes(harness, calls, arguments.every),
            "races": lambda: races(harness, calls, arguments.every),
            "duplicates": lambda: duplicates(harness),
            "faults": lambda: transients(harness),
            "service_faults": lambda: service_faults(harness),
            "refusals": lambda: refusals(harness),
            "isolation": lambda: isolation(harness),
            "uploads": lambda: uploads(harness, arguments.every),
            "wrong_workspace": lambda: wrong_workspace(harness),
            "drift": lambda: drift(harness),
            "greed": lambda: greed(harness, arguments.alter),
            "guards": lambda: guards(arguments.alter),
            "schedules": lambda: schedules(harness, seed, arguments.schedules),
        }
        for name in arguments.only or PARTS:
            # Calls are numbered in the scenarios that were recorded, which must not wait.
            harness.set_pace(INSTANT if name in {"crashes", "races", "uploads"} else BRISK)
            _try_all(harness, parts[name](), table, arguments.lanes)
            _say(f"{name}: {time.monotonic() - began:.0f} s")
    print(table.render())
    used = sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    print(
        f"longest invocation {table.longest:.1f} s; {time.monotonic() - began:.0f} s in all, "
        f"{used:.0f} s of processor time; seed {seed}"
    )
    for note in table.notes:
        print(f"! {note}")
    for fault in sorted(set(table.idle)):
        print(f"! {fault}: {table.idle.count(fault)} of its cases never met the fault")
    return 0 if table.clean else 1


def _try_all(harness: Harness, cases: Iterator[Case], table: Table, lanes: int) -> None:
    lock = threading.Lock()
    begun = table.total[RUNS]

    def attempt(case: Case) -> None:
        try:
            verdict = case.run()
        except Exception as fault:  # a case that cannot be carried out is a run nobody can vouch for
            verdict = Verdict(0, 1, 0, 0, 0, 1, f"{type(fault).__name__}: {fault}")
        with lock:
            table.add(case.fault, verdict)
            if verdict.note:
                _say(f"{case.fault}: {verdict.note}")
            if (tried := table.total[RUNS] - begun) % 50 == 0:
                _say(f"  {tried} runs, now: {case.fault}")

    with ThreadPoolExecutor(lanes) as pool:
        while batch := list(islice(cases, BATCH)):
            for case in batch:
                table.expect(case.fault)
            list(pool.map(attempt, batch))
            harness.renew()


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    add = parser.add_argument
    add("--seed", type=int, help="of the randomised schedules, to have the same ones again")
    add("--schedules", type=int, default=100, help="how many of them (%(default)s)")
    add("--every", type=int, default=1, help="crash and race at each so-many-th call alone (%(default)s)")
    add("--lanes", type=int, default=3 * (os.cpu_count() or 1), help="runs at a time (%(default)s)")
    add("--only", nargs="+", choices=PARTS, help="some parts alone")
    add("--alter", metavar="MODULE:FUNCTION", help="changes the app's services, to see whether it shows")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
