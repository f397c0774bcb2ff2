"""The local commands of README and tutorial, run as printed, in a folder that has only what Git has."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from local.next_steps import next_steps
from local.settings import ROOT
from local.stack import Stack
from tests.e2e.runs import sample

MARKED = re.compile(r"<!-- commands: .*?<!-- end of commands -->", re.DOTALL)
BLOCK = re.compile(r"^```console\n(.*?)^```", re.DOTALL | re.MULTILINE)
SECONDS = 300


def commands(page: str) -> list[str]:
    """The commands of a page's marked parts, in order; each begins with a dollar sign."""
    parts = MARKED.findall((ROOT / page).read_text())
    assert parts, page
    blocks = [block for part in parts for block in BLOCK.findall(part)]
    return [
        command.strip() for block in blocks for command in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]
    ]


@pytest.fixture
def checkout(tmp_path: Path, stack: Stack) -> Path:
    """A clone beside a running `make dev`, whose `make setup` has been done."""
    folder = tmp_path / "finetune-on-upload"
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in filter(None, files.decode().split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((ROOT / name).read_bytes())
            (folder / name).chmod((ROOT / name).stat().st_mode)
    for made in (".venv", "node_modules"):
        (folder / made).symlink_to(ROOT / made)
    (folder / ".local").symlink_to(stack.folder)
    # Other tests have trained on the sample: the same rows again would be a duplicate.
    (folder / "local/samples/ultrachat-sample.jsonl").write_bytes(sample("as printed"))
    return folder


@pytest.mark.parametrize("page", ["README.md", "docs/tutorial.md"])
def test_commands_run_as_printed(page: str, checkout: Path, stack: Stack) -> None:
    """Nothing is left out but `make`, of which there has to be such a target; the stack runs already."""
    script = ["set -eu"]
    for command in commands(page):
        if command.startswith("make "):
            script.append(command.replace("make ", "make --dry-run ", 1).partition("#")[0] + " >/dev/null")
        else:
            script += [*exported(stack, command), command]
    done = subprocess.run(
        ["bash", "-c", "\n".join(script)],
        cwd=checkout,
        # The clone's own modules, and nothing else of this process.
        env={"PATH": os.environ["PATH"], "HOME": str(checkout), "PYTHONPATH": str(checkout)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert '"stage":"live"' in done.stdout
    assert '"reply":' in done.stdout


def exported(stack: Stack, command: str) -> list[str]:
    """The line that `make dev` prints to be pasted, before the first command that needs it."""
    if "$FINETUNE_URL" not in command:
        return []
    return [line.strip() for line in next_steps(stack).splitlines() if "export FINETUNE_URL=" in line]


def test_what_make_dev_prints_runs(checkout: Path, stack: Stack) -> None:
    """Its curl lines, with the line that gives them their variables."""
    lines = [line.strip() for line in next_steps(stack).splitlines()]
    printed = [line for line in lines if line.startswith(("export ", "curl ", "bin/finetune --help"))]
    assert len(printed) == 4
    done = subprocess.run(
        ["bash", "-ec", "\n".join(printed)], cwd=checkout, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert '"runs":' in done.stdout
    assert '"object":"list"' in done.stdout
