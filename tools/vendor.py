"""The app's pinned requirements as Azure needs them, for each Python: installed once per lock file.

They are kept under `.venv/packages`. There is one way to get them, with or without uv's cache: a folder gets
its final name only when it is complete, and a second process waits for the first.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from filelock import FileLock

CHECKOUT = Path(__file__).parent.parent
REQUIREMENTS = CHECKOUT / "requirements.txt"
VENDORED = CHECKOUT / ".venv" / "packages"

SITE_PACKAGES = Path(".python_packages", "lib", "site-packages")
"""Where the Functions worker looks for an app's packages.

Source: "Azure Functions Python developer guide", deploying local packages.
"""

AZURE_PLATFORM = "x86_64-manylinux_2_28"
"""Flex Consumption runs Linux on x86-64."""


class PackagingError(Exception):
    """The package could not be made; the message says why."""


def vendor(python: str, interpreter: Path | None) -> Path:
    """The folder of the requirements for a version of Python; it must not be changed.

    Args:
        python: Version of the function app's interpreter, e.g. `3.12`.
        interpreter: That interpreter, which compiles them; None for no bytecode.

    Raises:
        PackagingError: If a requirement has no wheel for it, or none can be had.
    """
    made_of = REQUIREMENTS.read_bytes() + Path(__file__).read_bytes()
    folder = (
        VENDORED
        / f"{python}-{hashlib.sha256(made_of).hexdigest()[:12]}{'' if interpreter else '-without-bytecode'}"
    )
    VENDORED.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(f"{folder.suffix}.lock")):
        if not folder.is_dir():
            with tempfile.TemporaryDirectory(prefix="unfinished-", dir=VENDORED) as scratch:
                unfinished = Path(scratch) / "packages"
                _install(unfinished, python)
                if interpreter:
                    compile_modules(unfinished, interpreter, shown_under=SITE_PACKAGES)
                unfinished.rename(folder)
    return folder


def compile_modules(folder: Path, interpreter: Path, *, shown_under: Path = Path()) -> None:
    """Compile every module of a folder for an interpreter, by that interpreter.

    Args:
        folder: Where the modules are.
        interpreter: Which one will run them.
        shown_under: What tracebacks say before a module's path in that folder.

    Raises:
        PackagingError: If a module does not compile.
    """
    # Unchecked: times of files do not survive the zip, and what is deployed is never edited.
    run(
        [
            *(str(interpreter), "-I", "-m", "compileall", "-q", "-j", "0"),
            *(
                "--invalidation-mode",
                "unchecked-hash",
                "-s",
                str(folder),
                "-p",
                str(shown_under),
                str(folder),
            ),
        ],
        cwd=folder,
    )


def run(command: list[str], *, cwd: Path) -> str:
    """Run a command to its end.

    Returns:
        What it wrote to standard output.

    Raises:
        PackagingError: With what it complained of, if it failed.
    """
    done = subprocess.run(  # noqa: S603 - commands of this package's modules
        command,
        cwd=cwd,
        env={**os.environ, "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise PackagingError((done.stderr or done.stdout).strip())
    return done.stdout


def _install(target: Path, python: str) -> None:
    run(
        [
            *(sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-build", "--require-hashes"),
            *("--target", str(target), "--python", sys.executable, "--link-mode", "copy"),
            *("--python-version", python, "--python-platform", AZURE_PLATFORM),
            *("--requirement", str(REQUIREMENTS)),
        ],
        cwd=CHECKOUT,
    )
    # Console scripts name this machine's interpreter, and nothing in Azure calls them.
    shutil.rmtree(target / "bin", ignore_errors=True)
    (target / ".lock").unlink(missing_ok=True)
