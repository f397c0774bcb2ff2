"""`make conformance`: runs the real trainer on every case and on what validation makes of it.

Prints what differs from `outcomes.json`, and fails if anything does; `--record` writes the file anew. Takes a
few minutes and 2 GB, most of them PyTorch's. The trainer's packages are Microsoft's and proprietary: they are
installed from their registry, under the terms of your agreement with Azure, and nothing of them is kept here.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.conformance.cases import WINDOW, Case, cases
from bench.conformance.snapshots import snapshot_of

HERE = Path(__file__).parent
OUTCOMES = HERE / "outcomes.json"
REQUIREMENTS = HERE / "requirements.txt"
_ENVIRONMENT = HERE.parents[1] / ".venv" / "conformance"
_PYTHON = _ENVIRONMENT / "bin" / "python"
_NPM = ("gpt-tokenizer@4.0.0", "llama-tokenizer-js@1.2.2")
# Asks for PyTorch while it is built, and would compile its CUDA kernels.
_DEEPSPEED = "deepspeed==0.17.4"
# The image pins 4.7.0 since 2026-05; before, it had this one.
_OLDER_DATASETS = ("datasets==4.0.0", "dill==0.3.8", "multiprocess==0.70.16", "fsspec==2025.3.0")
RUNS = {
    "phi3, datasets 4.7.0": ("phi3", ""),
    "phi3, datasets 4.0.0": ("phi3", "older"),
    "phi4, datasets 4.7.0": ("phi4", ""),
}
"""Model and environment of each run."""

LEARNED = "learned.txt"
"""A file in the folder of a case of which the record has what is learned of it."""

TOOL_RUNS = {
    "phi4-mini, datasets 4.7.0": ("phi4-mini", ""),
    "hermes, datasets 4.7.0": ("hermes", ""),
    "hermes, datasets 4.0.0": ("hermes", "older"),
}
"""Further runs of the cases with tool calls, by models whose templates take tools in one way or another."""

Outcomes = dict[str, dict[str, Any]]
"""By case and run."""


def main() -> int:
    """Do as the module says."""
    parser = argparse.ArgumentParser(prog="make conformance", description=__doc__.split("\n")[0])
    parser.add_argument("--record", action="store_true", help="write the outcomes, with date and versions")
    asked = parser.parse_args()
    _make_environment()
    found, learned = _run_all()
    nothing: dict[str, Any] = {"outcomes": {}, "learned": {}}
    recorded = json.loads(OUTCOMES.read_text()) if OUTCOMES.exists() else nothing
    different = [
        *_differences(recorded["outcomes"], found),
        *_differences(recorded.get("learned", {}), learned),
    ]
    if asked.record:
        document = {
            "recorded": f"{datetime.now(UTC):%Y-%m-%d}",
            "packages": _packages(),
            "outcomes": found,
            "learned": learned,
        }
        OUTCOMES.write_text(json.dumps(document, indent=1) + "\n")
        print(f"{len(found)} outcomes recorded, {len(different)} of them new")
        return 0
    print("\n".join(different) or f"{len(found)} outcomes are as recorded on {recorded['recorded']}")
    return 1 if different else 0


def _run_all() -> tuple[Outcomes, Outcomes]:
    """What became of each case and snapshot, and what of those with tool calls was learned."""
    found: Outcomes = {}
    learned: Outcomes = {}
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        names = _write_cases(folder / "cases")
        _run_trainer(folder, "--make-models", str(_ENVIRONMENT))
        for run, (model, older) in (RUNS | TOOL_RUNS).items():
            only = () if run in RUNS else ("--with", LEARNED)
            print(f"{run} …", flush=True)
            outcomes = json.loads(_run_trainer(folder, model, *only, older=older))
            for number, outcome in outcomes.items():
                name, text = names[int(number)], outcome.pop("learned", None)
                if text is not None or run in TOOL_RUNS:
                    learned.setdefault(name, {})[run] = text or outcome["fails"]
                if run in RUNS:
                    found.setdefault(name, {})[run] = outcome
    return found, learned


def _make_environment() -> None:
    ready = _ENVIRONMENT / ".ready"
    wanted = REQUIREMENTS.read_text() + "\n".join((_DEEPSPEED, *_OLDER_DATASETS, *_NPM))
    if ready.exists() and ready.read_text() == wanted:
        return
    print(f"Installing the trainer into {_ENVIRONMENT} …", flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(_ENVIRONMENT)], check=True)
    pip = [str(_PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    environment = {**os.environ, "DS_BUILD_OPS": "0"}
    for arguments in (
        ["--requirement", str(REQUIREMENTS)],
        ["--no-build-isolation", _DEEPSPEED],
        ["--no-deps", "--target", str(_ENVIRONMENT / "older"), *_OLDER_DATASETS],
    ):
        subprocess.run([*pip, *arguments], check=True, env=environment, stderr=subprocess.PIPE)
    subprocess.run(["npm", "install", "--silent", "--prefix", str(_ENVIRONMENT), *_NPM], check=True)
    ready.write_text(wanted)


def _write_cases(folder: Path) -> list[str]:
    """Write each case and each different snapshot; returns their names in order."""
    written: list[Case] = list(cases())
    seen = {str(case.files) for case in written}
    for case in list(written):
        snapshot = snapshot_of(case)
        if snapshot.report.accepted and str(snapshot.files) not in seen:
            seen.add(str(snapshot.files))
            written.append(Case(f"snapshot of {case.name}", snapshot.files))
    for number, case in enumerate(written):
        place = folder / f"{number:04}"
        place.mkdir(parents=True)
        (place / "window.txt").write_text(str(WINDOW))
        if "tool calls: " in case.name:
            (place / LEARNED).touch()
        for split, data in case.files.items():
            (place / f"{split}.jsonl").write_bytes(data)
    return [case.name for case in written]


def _run_trainer(folder: Path, *arguments: str, older: str = "") -> str:
    """Run `trainer.py` in the trainer's environment; returns its last line."""
    with TemporaryDirectory() as home:
        environment = {
            **os.environ,
            "HF_HOME": home,
            "HF_HUB_OFFLINE": "1",
            "PYTHONPATH": str(_ENVIRONMENT / older) if older else "",
            "TOKENIZERS_PARALLELISM": "false",
        }
        command = [str(_PYTHON), str(HERE / "trainer.py"), str(folder), *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"the trainer could not be run:\n{done.stderr[-2_000:]}")
    return done.stdout.splitlines()[-1] if done.stdout else ""


def _differences(recorded: Outcomes, found: Outcomes) -> list[str]:
    lines = []
    for name in sorted(recorded.keys() | found.keys()):
        before, now = recorded.get(name), found.get(name)
        if before != now:
            lines.append(f"{name}: recorded {before}, found {now}")
    return lines


def _packages() -> list[str]:
    lines = REQUIREMENTS.read_text().splitlines()
    return [line for line in lines if "==" in line] + [_DEEPSPEED, _OLDER_DATASETS[0]]


if __name__ == "__main__":
    sys.exit(main())
