"""What the tests of infra/ and of the package share."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from tests.infra.bicep_file import INFRA, BicepFile, all_files
from tools.interpreters import find_interpreter
from tools.package import stage


@pytest.fixture(scope="session")
def bicep_files() -> list[BicepFile]:
    """Every Bicep file."""
    return all_files()


@pytest.fixture(scope="session")
def main_bicep() -> BicepFile:
    """The file that everything is deployed from."""
    return BicepFile(INFRA / "main.bicep")


@pytest.fixture(scope="session")
def package_for(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The package's content for a version of Python: built once a test run, whichever process asks first."""
    own = tmp_path_factory.getbasetemp()
    root = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own

    def build(python: str) -> Path:
        folder = root / f"package-{python}"
        with FileLock(root / f"package-{python}.lock"):
            if not folder.is_dir():
                unfinished = root / f"unfinished-{python}"
                stage(unfinished, python, find_interpreter(python))
                unfinished.rename(folder)
        return folder

    return build
