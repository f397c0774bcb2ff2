"""Cold import of the packaged app, by Python, with and without bytecode: the table of docs/deploy.md.

Processor seconds beside seconds on the wall, since only the former mean something on a busy machine; the
least of some rounds, in which all variants take turns.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from tools.interpreters import interpreters
from tools.package import cold_import_seconds, stage

ROUNDS = 7


def measure_cold_import(_megabytes: int) -> dict[str, Any]:
    """Import each package in a new process; seconds."""
    with tempfile.TemporaryDirectory(prefix="cold-import-") as scratch:
        variants = {}
        for python, interpreter in interpreters().items():
            compiled = Path(scratch, python, "bytecode")
            stage(compiled, python, interpreter)
            plain = compiled.with_name("without_bytecode")
            shutil.copytree(compiled, plain, ignore=shutil.ignore_patterns("__pycache__"))
            variants |= {(python, folder.name): (folder, interpreter) for folder in (compiled, plain)}
        seconds: dict[tuple[str, str], list[tuple[float, float]]] = {variant: [] for variant in variants}
        for _ in range(ROUNDS):
            for variant, (folder, interpreter) in variants.items():
                wall = cold_import_seconds(folder, interpreter)
                seconds[variant].append((cold_import_seconds(folder, interpreter, "process_time"), wall))
    results: dict[str, Any] = {}
    for (python, variant), measured in seconds.items():
        processor, wall = (round(min(column), 2) for column in zip(*measured, strict=True))
        results.setdefault(python, {})[variant] = {"processor_seconds": processor, "wall_seconds": wall}
    return results
