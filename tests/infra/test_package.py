"""The deployment package: what is in it, how large it is, and that it runs on its own."""

import json
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import httpx
import pytest

from local.azurite import Azurite
from tests.infra.bicep_file import CHECKOUT
from tools.package import (
    SHIPPED,
    SITE_PACKAGES,
    PackagingError,
    cold_import_seconds,
    stage,
    unpacked_bytes,
    write_zip,
)

UNPACKED_LIMIT = 260_000_000
"""217 MB when this was written: 125 MB of packages, the rest their bytecode."""

COLD_IMPORT_LIMIT = 3.0
"""Seconds; 0.5 when this was written, and Azure gives an app 30 to start."""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package's content, unpacked from its zip."""
    made = tmp_path_factory.mktemp("made")
    try:
        stage(made, offline=True)
    except PackagingError:
        # uv's cache was cleared since setup, which filled it.
        stage(made)
    archive = tmp_path_factory.mktemp("zip") / "package.zip"
    write_zip(made, archive)
    unpacked = tmp_path_factory.mktemp("unpacked")
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(unpacked)
    return unpacked


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
    assert vendored.isdisjoint({"datasets", "pytest", "numpy", "trustme", "croniter", "rich", "ruff"})


def test_modules_are_compiled(package: Path) -> None:
    """Each of the app's modules has bytecode that needs no check against its source."""
    for source in [package / "function_app.py", *(package / "shared").rglob("*.py")]:
        (compiled,) = (source.parent / "__pycache__").glob(f"{source.stem}.*.pyc")
        assert int.from_bytes(compiled.read_bytes()[4:8], "little") == 0b01, source


def test_size_is_bounded(package: Path) -> None:
    """A dependency that doubles the package is noticed."""
    size = unpacked_bytes(package)
    print(f"package: {size / 1e6:.0f} MB unpacked")  # noqa: T201 - shown by pytest -s
    assert size < UNPACKED_LIMIT


def test_cold_import_is_bounded(package: Path) -> None:
    """The app imports from the package alone, fast enough for a cold start."""
    best = min(cold_import_seconds(package) for _ in range(3))
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
        # Nothing is due and nothing is swept while the test looks.
        "ADVANCE_SCHEDULE": "0 0 0 1 1 *",
        "SWEEP_SCHEDULE": "0 0 0 1 1 *",
    }
    command = [sys.executable, "-m", "emulators.functions", "--app", str(package), "--port", "0"]
    host = subprocess.Popen(
        [*command, "--key", "test", "--ready-file", str(ready)], cwd=CHECKOUT, env=environment
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


def _example_settings() -> dict[str, str]:
    example = json.loads((CHECKOUT / "local.settings.json.example").read_text())
    return dict(example["Values"])
