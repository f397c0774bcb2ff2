"""Dataset validation beside its peers: speed on one core, memory, and the time of a copy through storage."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench.validation_data import make_dataset

MEGABYTE = 1_000_000
DATA = Path(__file__).parent / "data"
_PANDAS_MEGABYTES = 200  # more would not fit into the memory of a small machine
_ROUNDS = 3

# Ratios that validation has to reach: its speed over the peer's.
TARGETS = {
    "bare_decoding": 0.45,
    "pandas_read_json": 10.0,
    "datasets_load": 2.5,
    "cookbook_checks": 1.0,
    "validation_without_secrets": 0.85,
}


def measure_speed(megabytes: int) -> dict[str, Any]:
    """CPU time of each contender on the same rows: the best of three rounds, taken in turns.

    Args:
        megabytes: Size of the dataset.
    """
    sizes = dict.fromkeys(("validation", *TARGETS), megabytes)
    sizes["pandas_read_json"] = min(megabytes, _PANDAS_MEGABYTES)
    files = {size: DATA / f"ultrachat-{size}.jsonl" for size in set(sizes.values())}
    for size, path in files.items():
        make_dataset(path, size * MEGABYTE)
    best: dict[str, float] = {}
    for _ in range(_ROUNDS):
        for name, size in sizes.items():
            seconds = _run(name, files[size])["seconds"]
            speed = files[size].stat().st_size / MEGABYTE / seconds
            best[name] = max(best.get(name, 0.0), speed)
    return {
        "megabytes": megabytes,
        "pandas_megabytes": sizes["pandas_read_json"],
        "megabytes_per_cpu_second": {name: round(speed, 1) for name, speed in best.items()},
        "validation_over": {
            name: _ratio(best["validation"] / best[name], target) for name, target in TARGETS.items()
        },
    }


def measure_memory(megabytes: int) -> dict[str, Any]:
    """Peak memory of validation over the idle process, at a tenth of the size and at the whole.

    Args:
        megabytes: The larger size.
    """
    idle = _run("idle", DATA)["peak_bytes"]
    peaks, rows = [], []
    for size in (megabytes // 10, megabytes):
        path = DATA / f"ultrachat-{size}.jsonl"
        rows.append(make_dataset(path, size * MEGABYTE))
        peaks.append(_run("validation_from_disk", path)["peak_bytes"] - idle)
    growth = (peaks[1] - peaks[0]) / (rows[1] - rows[0])
    return {
        "megabytes": [megabytes // 10, megabytes],
        "rows": rows,
        "peak_mebibytes_over_idle": [round(peak / (1 << 20), 1) for peak in peaks],
        "peak_under_96_mebibytes": peaks[1] < 96 << 20,
        "growth_bytes_per_row": round(growth, 1),
        "growth_at_most_32_bytes_per_row": growth <= 32,
    }


def _run(name: str, path: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.validation_contenders", name, str(path)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    result: dict[str, float] = json.loads(answer.stdout.splitlines()[-1])
    return result


def _ratio(value: float, target: float) -> dict[str, Any]:
    return {"ratio": round(value, 3), "target": target, "met": value >= target}
