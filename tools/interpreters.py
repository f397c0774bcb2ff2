"""The Pythons that the app may run on, and where this machine has them: `python -m tools.interpreters`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SUPPORTED = ("3.11", "3.12", "3.13", "3.14")
"""What `infra/main.bicep` lets people choose: the versions of Flex Consumption from 3.11."""

DEFAULT = "3.13"
"""What it deploys unless told otherwise; docs/deploy.md has the measurements."""

RUNNING = f"{sys.version_info.major}.{sys.version_info.minor}"


def find_interpreter(version: str) -> Path | None:
    """This machine's interpreter of a version such as `3.12`, or None.

    The running one comes first, then pyenv's, then what `uv python find` knows: PATH and what uv installed.
    """
    if version == RUNNING:
        return Path(sys.executable)
    found = subprocess.run(  # noqa: S603 - our own arguments
        [
            *(sys.executable, "-m", "uv", "python", "find", "--system"),
            *("--no-project", "--no-config", "--no-python-downloads", version),
        ],
        env={**os.environ, "PATH": os.pathsep.join([*_pyenv_folders(version), os.environ["PATH"]])},
        capture_output=True,
        text=True,
        check=False,
    )
    return Path(found.stdout.strip()) if found.returncode == 0 else None


def interpreters() -> dict[str, Path]:
    """The interpreters of this machine that the app may run on, by version: tests run the package on each."""
    found = {version: find_interpreter(version) for version in SUPPORTED}
    return {version: path for version, path in found.items() if path is not None}


def main() -> None:
    """Say on which Pythons this machine runs the package, and on which it cannot."""
    found = interpreters()
    for version in SUPPORTED:
        print(f"Python {version}: {found.get(version, 'not on this machine, so not tried')}")


def _pyenv_folders(version: str) -> list[str]:
    # pyenv's own commands on PATH refuse every version that is not switched on, so look where it installs.
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    return [str(folder) for folder in sorted(root.glob(f"versions/{version}.*/bin"), reverse=True)]


if __name__ == "__main__":
    main()
