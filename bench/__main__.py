"""Runs the benchmarks and writes `bench/results.json`: `python -m bench [--only NAME]`, see `--help`."""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.chat_cpu import measure_chat_cpu
from bench.cold_import import measure_cold_import
from bench.cold_start import measure_cold_start
from bench.emulator import measure_emulator
from bench.load import Load, measure_load
from bench.readiness import measure_readiness
from bench.scale import measure_scale
from bench.scoring import measure_scoring
from bench.slow_webhooks import measure_slow_webhooks
from bench.telemetry import measure_telemetry
from bench.validation import measure_memory, measure_speed
from bench.validation_copy import measure_copy
from bench.validation_rows import measure_rows
from bench.validation_verdict import measure_verdict
from bench.waiting import measure_waiting

RESULTS = Path(__file__).parent / "results.json"
BENCHMARKS: dict[str, Callable[[int], dict[str, Any]]] = {
    "validation_speed": measure_speed,
    "validation_memory": measure_memory,
    "validation_copy": measure_copy,
    "validation_rows": lambda _megabytes: measure_rows(),
    "validation_verdict": lambda _megabytes: measure_verdict(),
    "cold_import": measure_cold_import,
    "cold_start": measure_cold_start,
    "chat_cpu": measure_chat_cpu,
    "scale": measure_scale,
    "scoring": measure_scoring,
    "slow_webhooks": measure_slow_webhooks,
    "telemetry": measure_telemetry,
    "load": lambda _megabytes: measure_load(),
    "waiting": measure_waiting,
    "readiness": measure_readiness,
    "emulator": measure_emulator,
}


def main() -> None:
    """Run what was asked for; the results of the others stay as they were."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--megabytes", type=int, default=1_000, help="size of the dataset (default: %(default)s)"
    )
    parser.add_argument(
        "--only",
        choices=(*BENCHMARKS, "validation"),
        action="append",
        help="may be repeated; `validation` is all that begin so",
    )
    parser.add_argument(
        "--minutes", type=float, default=Load.minutes, help="of the load (default: %(default)s)"
    )
    options = parser.parse_args()
    benchmarks = BENCHMARKS | {"load": lambda _megabytes: measure_load(Load(minutes=options.minutes))}
    results: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    results["machine"] = {
        "python": platform.python_version(),
        "system": platform.platform(),
        "cores": os.cpu_count(),
    }
    asked = options.only or BENCHMARKS
    for name in (
        one for one in BENCHMARKS if one in asked or ("validation" in asked and "validation_" in one)
    ):
        load = os.getloadavg()[0]  # a busy machine makes all of them slower, and not all alike
        results[name] = {"load_average_before": round(load, 1), **benchmarks[name](options.megabytes)}
        print(name, json.dumps(results[name], indent=2))
        RESULTS.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
