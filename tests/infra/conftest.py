"""What the tests of infra/ read."""

import pytest

from tests.infra.bicep_file import INFRA, BicepFile, all_files


@pytest.fixture(scope="session")
def bicep_files() -> list[BicepFile]:
    """Every Bicep file."""
    return all_files()


@pytest.fixture(scope="session")
def main_bicep() -> BicepFile:
    """The file that everything is deployed from."""
    return BicepFile(INFRA / "main.bicep")
