"""`make package`: the deployment package, `dist/finetune-on-upload.zip`.

Only what Azure runs goes in: the app's modules, and its pinned requirements under
`.python_packages/lib/site-packages`, where the Functions worker for Python looks for them
(source: "Azure Functions Python developer guide", deploying local packages). Compiled bytecode goes in too:
Azure mounts packages read-only, so that without it every cold start would compile every module anew.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

CHECKOUT = Path(__file__).parent.parent
PACKAGE = CHECKOUT / "dist" / "finetune-on-upload.zip"

SHIPPED = ("dashboard", "function_app.py", "handlers", "host.json", "requirements.txt", "shared")
"""Top-level names of the checkout that Azure runs. `.funcignore` names all others."""

SITE_PACKAGES = Path(".python_packages", "lib", "site-packages")

AZURE_PLATFORM = "x86_64-manylinux_2_28"
"""Flex Consumption runs Linux on x86-64."""

RUNNING = f"{sys.version_info.major}.{sys.version_info.minor}"

_EPOCH = (1980, 1, 1, 0, 0, 0)


class PackagingError(Exception):
    """The package could not be made; the message says why."""


def stage(folder: Path, *, python: str = RUNNING, offline: bool = False) -> None:
    """Lay out the package's content in an empty folder.

    Args:
        folder: Where to.
        python: Version of the interpreter that will run it, e.g. `3.12`.
        offline: Take requirements from uv's cache only.

    Raises:
        PackagingError: If a requirement cannot be had for that interpreter.
    """
    for name in SHIPPED:
        source = CHECKOUT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, folder / name)
    _vendor(folder / SITE_PACKAGES, python, offline=offline)
    if python == RUNNING:
        _compile(folder)


def write_zip(folder: Path, package: Path) -> None:
    """Zip a folder; the same content gives the same bytes."""
    package.parent.mkdir(parents=True, exist_ok=True)
    unfinished = package.with_suffix(".part")
    with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in _files(folder):
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, path.read_bytes())
    unfinished.replace(package)


def unpacked_bytes(folder: Path) -> int:
    """Bytes of all files together."""
    return sum(path.stat().st_size for path in _files(folder))


def cold_import_seconds(folder: Path) -> float:
    """Seconds that a new interpreter takes to import the app, with nothing else on its path.

    Raises:
        PackagingError: If the app cannot be imported so.
    """
    program = (
        "import sys, time\n"
        f"sys.path[:0] = {[str(folder), str(folder / SITE_PACKAGES)]!r}\n"
        "start = time.perf_counter()\n"
        "import function_app\n"
        "print(time.perf_counter() - start)\n"
    )
    # -I and -S: neither this checkout, nor its virtual environment, nor PYTHONPATH.
    answer = _run([sys.executable, "-I", "-S", "-B", "-c", program], cwd=folder)
    return float(answer)


def main(arguments: list[str] | None = None) -> int:
    """Make the package and say what became of it.

    Returns:
        0, or 1 when it could not be made.
    """
    parser = argparse.ArgumentParser("python -m tools.package", description=__doc__)
    parser.add_argument(
        "--python",
        default=RUNNING,
        metavar="X.Y",
        help="version of the function app's interpreter (default: the running one, %(default)s)",
    )
    parser.add_argument("--output", type=Path, default=PACKAGE, metavar="ZIP")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="finetune-package-") as scratch:
        folder = Path(scratch)
        try:
            stage(folder, python=options.python)
            imported = cold_import_seconds(folder) if options.python == RUNNING else None
        except PackagingError as fault:
            print(f"no package: {fault}", file=sys.stderr)
            return 1
        write_zip(folder, options.output)
        unpacked = unpacked_bytes(folder)
    print(f"{options.output}: for Python {options.python} on Linux x86-64")
    print(f"{options.output.stat().st_size / 1e6:.0f} MB, {unpacked / 1e6:.0f} MB unpacked")
    if imported is None:
        print(f"no bytecode and not tried out, since this is Python {RUNNING}: cold starts will be slower")
    else:
        print(f"cold import of the app: {imported:.2f} s")
    return 0


def _vendor(target: Path, python: str, *, offline: bool) -> None:
    # A package for this very machine takes what setup has cached; any other needs Azure's wheels.
    here = python == RUNNING and (platform.system(), platform.machine()) == ("Linux", "x86_64")
    foreign = ["--python-version", python, "--python-platform", AZURE_PLATFORM]
    _run(
        [
            *(sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-build", "--require-hashes"),
            *("--target", str(target), "--python", sys.executable, "--link-mode", "copy"),
            *([] if here else foreign),
            *(["--offline"] if offline else []),
            *("--requirement", str(CHECKOUT / "requirements.txt")),
        ],
        cwd=CHECKOUT,
    )
    # Console scripts name this machine's interpreter, and nothing in Azure calls them.
    shutil.rmtree(target / "bin", ignore_errors=True)
    for lock in target.glob(".lock"):
        lock.unlink()


def _compile(folder: Path) -> None:
    # Unchecked: times of files do not survive the zip, and what is deployed is never edited.
    compiling = [
        "-m",
        "compileall",
        "-q",
        "-j",
        "0",
        "--invalidation-mode",
        "unchecked-hash",
        "-s",
        str(folder),
    ]
    _run([sys.executable, *compiling, str(folder)], cwd=folder)


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def _run(command: list[str], *, cwd: Path) -> str:
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    done = subprocess.run(  # noqa: S603 - commands of this module
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise PackagingError((done.stderr or done.stdout).strip())
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
