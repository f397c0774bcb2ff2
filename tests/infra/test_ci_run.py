"""`.ci/run` runs every step as on a machine that has nothing, fails when one does, and leaves nothing."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.infra.bicep_file import CHECKOUT

MAKE = """#!/bin/sh
echo "$1 $HOME $XDG_CACHE_HOME $UV_CACHE_DIR $npm_config_cache $PYENV_ROOT" >> "$STEPS"
[ -z "$(ls -A "$HOME")" ] || exit 9
[ -z "$PYTHONPATH$PYTEST_ADDOPTS$AZURE_CLIENT_ID$FINETUNE_URL" ] || exit 8
[ "$1" != test ] || echo "===== 1 failed, 2 passed in 3.00s ====="
[ "$1" != "$FAILING" ]
"""
PYTHON = """#!/bin/sh
[ "$*" = "-m tools.interpreters" ] && echo "Python 3.11: here"
"""


def _ci(folder: Path, failing: str) -> subprocess.CompletedProcess[str]:
    for path, body in (("bin/make", MAKE), ("checkout/.venv/bin/python", PYTHON)):
        program = folder / path
        program.parent.mkdir(parents=True)
        program.write_text(body)
        program.chmod(0o755)
    (folder / "checkout" / ".ci").mkdir()
    (folder / "home").mkdir()
    shutil.copy(CHECKOUT / ".ci" / "run", folder / "checkout" / ".ci" / "run")
    environment = {
        "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
        "HOME": str(folder / "home"),
        "STEPS": str(folder / "steps"),
        "FAILING": failing,
        "PYTHONPATH": "/elsewhere",
        "PYTEST_ADDOPTS": "-k nothing",
        "AZURE_CLIENT_ID": "somebody",
        "FINETUNE_URL": "https://elsewhere.example",
    }
    command = ["bash", str(folder / "checkout" / ".ci" / "run")]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_steps_run_on_a_bare_machine(tmp_path: Path) -> None:
    """Home and caches are new, empty and gone afterwards; pyenv's Pythons stay; pytest has the last word."""
    done = _ci(tmp_path, failing="")
    assert done.returncode == 0, done.stderr
    steps = [line.split() for line in (tmp_path / "steps").read_text().splitlines()]
    assert [step[0] for step in steps] == ["setup", "check", "test", "demo", "chaos"]
    (folders,) = {tuple(step[1:5]) for step in steps}
    assert len({Path(folder).parent for folder in folders}) == 1
    assert len(set(folders)) == 4
    assert not Path(folders[0]).parent.exists()
    assert {step[5] for step in steps} == {str(tmp_path / "home" / ".pyenv")}
    assert done.stdout.splitlines()[-2:] == ["Python 3.11: here", "===== 1 failed, 2 passed in 3.00s ====="]


@pytest.mark.parametrize("step", ["setup", "check", "test", "demo", "chaos"])
def test_a_failing_step_fails_it(tmp_path: Path, step: str) -> None:
    """Nothing comes after the step that failed, but the tests' summary if there is one."""
    done = _ci(tmp_path, failing=step)
    assert done.returncode != 0
    assert (tmp_path / "steps").read_text().splitlines()[-1].startswith(step)
    if step in {"test", "demo", "chaos"}:
        assert done.stdout.splitlines()[-1] == "===== 1 failed, 2 passed in 3.00s ====="
