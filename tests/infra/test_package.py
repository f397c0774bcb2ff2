"""The deployment package: what is in it, how large it is, and that it runs on its own."""

import hashlib
import json
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from pathlib import Path

import httpx
import pytest

from local.azurite import Azurite
from tests.infra.bicep_file import CHECKOUT
from tools.interpreters import RUNNING, SUPPORTED, interpreters
from tools.package import SHIPPED, cold_import_seconds, unpacked_bytes, write_zip
from tools.vendor import SITE_PACKAGES, PackagingError, vendor

UNPACKED_LIMIT = 380_000_000
"""340 MB on Python 3.11 when this was written, a third of it bytecode."""

COLD_IMPORT_LIMIT = 3.0
"""Processor seconds, since the machine may be busy; 0.4 when this was written, and Azure gives an app 30."""


@pytest.fixture(scope="session")
def package(package_for: Callable[[str], Path]) -> Path:
    """The package's content for the Python that runs the tests."""
    return package_for(RUNNING)


def test_only_runtime_files_are_shipped(package: Path) -> None:
    """The app's modules, host.json, the lock file and the vendored packages: nothing else."""
    found = {path.name for path in package.iterdir()} - {"__pycache__"}
    assert found == {*SHIPPED, SITE_PACKAGES.parts[0]}
    own = [path for name in ("handlers", "shared") for path in (package / name).rglob("*") if path.is_file()]
    assert {path.suffix for path in own} == {".py", ".pyc"}


def test_only_runtime_requirements_are_shipped(package: Path) -> None:
    """Tests, the local stack and the upload tool need packages that Azure does not get."""
    vendored = {path.name.split("-")[0].lower() for path in (package / SITE_PACKAGES).glob("*.dist-info")}
    assert {"azure_functions", "azure_ai_ml", "msgspec"} <= vendored
    assert vendored.isdisjoint({"datasets", "pytest", "pandas", "trustme", "croniter", "rich", "ruff"})


@pytest.mark.parametrize("python", interpreters())
def test_modules_are_compiled(python: str, package_for: Callable[[str], Path]) -> None:
    """Each module has bytecode of the package's Python, which needs no check against its source."""
    package = package_for(python)
    packages = package / SITE_PACKAGES
    for source in [
        package / "function_app.py",
        *(package / "shared").rglob("*.py"),
        *(packages / "azure" / "functions").rglob("*.py"),
    ]:
        (compiled,) = (source.parent / "__pycache__").glob(f"{source.stem}.*.pyc")
        assert f".cpython-{python.replace('.', '')}." in compiled.name
        assert int.from_bytes(compiled.read_bytes()[4:8], "little") == 0b01, source


def test_another_python_is_needed_for_its_package(tmp_path: Path) -> None:
    """Without the interpreter there is no package, and no silent one without bytecode either."""
    nowhere = {"PATH": str(tmp_path), "PYENV_ROOT": str(tmp_path), "UV_PYTHON_INSTALL_DIR": str(tmp_path)}
    python = next(version for version in SUPPORTED if version != RUNNING)
    output = tmp_path / "package.zip"
    done = subprocess.run(
        [sys.executable, "-m", "tools.package", "--python", python, "--output", str(output)],
        cwd=CHECKOUT,
        env={**nowhere, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert f"Python {python} is not on this machine" in done.stderr
    assert "--without-bytecode" in done.stderr
    assert not output.exists()


def test_what_was_cut_off_does_not_spoil_the_next_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requirements that could not be had leave nothing behind, and come whole once they can."""
    wheel = _wheel(tmp_path / "tiny-1.0-py3-none-any.whl")
    requirements = tmp_path / "requirements.txt"
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    requirements.write_text(f"tiny @ {wheel.as_uri()} --hash=sha256:{digest}\n")
    monkeypatch.setattr("tools.vendor.REQUIREMENTS", requirements)
    monkeypatch.setattr("tools.vendor.VENDORED", tmp_path / "packages")
    away = wheel.rename(tmp_path / "away")
    with pytest.raises(PackagingError, match="tiny"):
        vendor(RUNNING, Path(sys.executable))
    assert [path for path in (tmp_path / "packages").iterdir() if path.is_dir()] == []
    away.rename(wheel)
    first = vendor(RUNNING, Path(sys.executable))
    assert {path.name for path in first.iterdir()} >= {"tiny.py", "__pycache__"}
    wheel.unlink()
    assert vendor(RUNNING, Path(sys.executable)) == first


def test_size_is_bounded(package: Path) -> None:
    """A dependency that doubles the package is noticed."""
    size = unpacked_bytes(package)
    print(f"package: {size / 1e6:.0f} MB unpacked")  # noqa: T201 - shown by pytest -s
    assert size < UNPACKED_LIMIT


def test_cold_import_is_bounded(package: Path) -> None:
    """The app imports from the package alone, fast enough for a cold start."""
    best = min(cold_import_seconds(package, Path(sys.executable), "process_time") for _ in range(3))
    print(f"package: {best:.2f} s cold import")  # noqa: T201 - shown by pytest -s
    assert best < COLD_IMPORT_LIMIT


def test_same_content_gives_the_same_zip(tmp_path: Path) -> None:
    """Zips carry no times and no order of their own, so that a release can be checked by making it again."""
    content = tmp_path / "content"
    content.mkdir()
    for name in ("b.py", "a.py"):
        (content / name).write_text(name)
    write_zip(content, tmp_path / "first.zip")
    os.utime(content / "a.py", (1, 1))
    write_zip(content, tmp_path / "second.zip")
    assert (tmp_path / "first.zip").read_bytes() == (tmp_path / "second.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "first.zip") as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {"a.py": b"a.py", "b.py": b"b.py"}


def test_funcignore_leaves_what_is_shipped() -> None:
    """`azd deploy`, which obeys .funcignore, ships the same top-level files as `make package`."""
    patterns = [
        line
        for line in (CHECKOUT / ".funcignore").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=CHECKOUT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    top = {path.split("/")[0] for path in tracked}
    left = {name for name in top if not any(fnmatch(name, pattern) for pattern in patterns)}
    assert left == set(SHIPPED)


@pytest.fixture
def served(package: Path, azurite: Azurite, tmp_path: Path) -> Iterator[str]:
    """The address of the local function host, serving the unpacked package."""
    ready = tmp_path / "ready.json"
    environment = {
        **_example_settings(),
        "PATH": os.environ["PATH"],
        "AzureWebJobsStorage": azurite.connection_string,
        "TrainingStorage": azurite.connection_string,
        # Nothing is due and nothing is reconciled while the test looks.
        "ADVANCE_SCHEDULE": "0 0 0 1 1 *",
        "RECONCILE_SCHEDULE": "0 0 0 1 1 *",
    }
    command = [sys.executable, "-m", "emulators.functions", "--app", str(package), "--port", "0"]
    host = subprocess.Popen(
        [*command, "--ready-file", str(ready)],
        cwd=CHECKOUT,
        env={**environment, "FUNCTIONS_EMULATOR_KEY": "test"},
    )
    try:
        yield _address(ready, host)
    finally:
        host.terminate()
        host.wait(timeout=10)


def test_the_local_host_serves_the_package(served: str, package: Path) -> None:
    """A function host starts from the package and answers for a configured app."""
    answer = httpx.get(f"{served}/api/health", timeout=30)
    assert (answer.status_code, answer.json()["status"]) == (200, "ok")
    assert httpx.get(f"{served}/api/runs", timeout=30).status_code == 401


def _address(ready: Path, host: subprocess.Popen[bytes]) -> str:
    deadline = time.monotonic() + 60
    while not ready.is_file():
        assert host.poll() is None, "the host ended"
        assert time.monotonic() < deadline, "the host did not start"
        time.sleep(0.05)
    return str(json.loads(ready.read_text())["url"])


def _wheel(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tiny.py", "ANSWER = 42\n")
        archive.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        archive.writestr(
            "tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("tiny-1.0.dist-info/RECORD", "")
    return path


def _example_settings() -> dict[str, str]:
    example = json.loads((CHECKOUT / "local.settings.json.example").read_text())
    return dict(example["Values"])
