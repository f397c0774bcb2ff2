"""`make package`: the deployment package, `dist/finetune-on-upload.zip`.

Only what Azure runs goes in: the app's modules, and its pinned requirements (`tools/vendor.py`). Bytecode
goes in, too: Azure mounts packages read-only, so that without it every cold start would compile every module
anew. It is that of one Python, and only that Python can make it.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from tools.interpreters import DEFAULT, SUPPORTED, find_interpreter, interpreters
from tools.vendor import CHECKOUT, SITE_PACKAGES, PackagingError, compile_modules, run, vendor

PACKAGE = CHECKOUT / "dist" / "finetune-on-upload.zip"

SHIPPED = ("dashboard", "function_app.py", "handlers", "host.json", "requirements.txt", "shared")
"""Top-level names of the checkout that Azure runs. `.funcignore` names all others."""

_EPOCH = (1980, 1, 1, 0, 0, 0)


def stage(folder: Path, python: str, interpreter: Path | None) -> None:
    """Lay out the package's content in an empty folder.

    Args:
        folder: Where to.
        python: Version of the interpreter that will run it, e.g. `3.12`.
        interpreter: That interpreter, which compiles the modules; None for no bytecode.

    Raises:
        PackagingError: If a requirement cannot be had for that version.
    """
    folder.mkdir(parents=True, exist_ok=True)
    copy_app(folder)
    if interpreter:
        compile_modules(folder, interpreter)
    shutil.copytree(vendor(python, interpreter), folder / SITE_PACKAGES, copy_function=_link)


def copy_app(folder: Path) -> None:
    """Copy the app's own files, and nothing that it needs besides."""
    for name in SHIPPED:
        source = CHECKOUT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, folder / name)


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


def cold_import_seconds(
    folder: Path, interpreter: Path, clock: Literal["perf_counter", "process_time"] = "perf_counter"
) -> float:
    """Seconds that a new interpreter takes to import the app, with nothing else on its path.

    Args:
        folder: The package's content.
        interpreter: Which one.
        clock: Of `time`: what passes on the wall, or what the process works.

    Raises:
        PackagingError: If the app cannot be imported so.
    """
    program = (
        "import sys, time\n"
        f"sys.path[:0] = {[str(folder), str(folder / SITE_PACKAGES)]!r}\n"
        f"start = time.{clock}()\n"
        "import function_app\n"
        f"print(time.{clock}() - start)\n"
    )
    # -I and -S: neither this checkout, nor its virtual environment, nor PYTHONPATH. -B: writes no bytecode.
    return float(run([str(interpreter), "-I", "-S", "-B", "-c", program], cwd=folder))


def main(arguments: list[str] | None = None) -> int:
    """Make the package and say what became of it.

    Returns:
        0, or 1 when it could not be made.
    """
    options = _parse(arguments)
    try:
        if options.prepare:
            for python, interpreter in interpreters().items():
                vendor(python, interpreter)
            return 0
        print(make(options.python, options.output, bytecode=not options.without_bytecode))
    except PackagingError as fault:
        print(f"no package: {fault}", file=sys.stderr)
        return 1
    return 0


def make(python: str, output: Path, *, bytecode: bool) -> str:
    """Make the zip for a version of Python.

    Returns:
        What there is to say of it.

    Raises:
        PackagingError: If it cannot be made, or cannot be imported.
    """
    interpreter = find_interpreter(python) if bytecode else None
    if bytecode and interpreter is None:
        raise PackagingError(
            f"Python {python} is not on this machine, and only it can compile a package for Python {python}. "
            f"Put python{python} on PATH (pyenv's and uv's installations are found, too), choose another "
            "with --python, or accept imports that take two to three times as long with --without-bytecode."
        )
    with tempfile.TemporaryDirectory(prefix="finetune-package-") as scratch:
        folder = Path(scratch)
        stage(folder, python, interpreter)
        runs_here = (platform.system(), platform.machine()) == ("Linux", "x86_64")
        imported = cold_import_seconds(folder, interpreter) if interpreter and runs_here else None
        write_zip(folder, output)
        unpacked = unpacked_bytes(folder)
    return "\n".join(
        [
            f"{output}: for Python {python} on Linux x86-64; deploy it where PYTHON_VERSION is {python}",
            f"{output.stat().st_size / 1e6:.0f} MB, {unpacked / 1e6:.0f} MB unpacked",
            f"compiled by {interpreter}"
            if interpreter
            else "without bytecode: cold imports take two to three times as long",
            "not tried out on this machine"
            if imported is None
            else f"cold import of the app: {imported:.2f} s",
        ]
    )


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m tools.package", description=__doc__)
    parser.add_argument(
        "--python",
        default=DEFAULT,
        choices=SUPPORTED,
        help="version of the function app's interpreter (default: that of infra/, %(default)s)",
    )
    parser.add_argument("--output", type=Path, default=PACKAGE, metavar="ZIP")
    parser.add_argument(
        "--without-bytecode", action="store_true", help="for a Python that is not on this machine"
    )
    parser.add_argument(
        "--prepare",
        action="store_true",
        help="make no package, but fetch and compile the requirements for each Python of this machine",
    )
    return parser.parse_args(arguments)


def _link(source: str, target: str) -> None:
    # 20,000 files, none of which anybody changes.
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


if __name__ == "__main__":
    sys.exit(main())
