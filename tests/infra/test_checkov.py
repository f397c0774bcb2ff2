"""Checkov finds no insecure setting in the Bicep files, and really reads all of them."""

import json
import os
import subprocess

import pytest

from tests.infra.bicep_file import CHECKOUT, INFRA

CHECKOV = CHECKOUT / ".venv" / "checkov" / "bin" / "checkov"


@pytest.fixture(scope="module")
def report() -> dict:
    """What Checkov says of infra/, offline."""
    assert CHECKOV.is_file(), "Checkov is missing: run `make setup`"
    done = subprocess.run(
        [
            *(str(CHECKOV), "--directory", str(INFRA), "--config-file", str(INFRA / ".checkov.yaml")),
            *("--skip-download", "--output", "json"),
        ],
        cwd=CHECKOUT,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        check=False,
    )
    return json.loads(done.stdout)


def test_every_file_was_read(report: dict) -> None:
    """No file was too new for Checkov's parser, and resources were found."""
    assert report["summary"]["parsing_errors"] == 0
    assert report["summary"]["resource_count"] >= 50


def test_checks_ran(report: dict) -> None:
    """A run without a check would prove nothing."""
    assert report["summary"]["passed"] >= 20


def test_no_check_failed(report: dict) -> None:
    """What remains is skipped by name, with its reason, in infra/.checkov.yaml."""
    failed = report["results"].get("failed_checks", [])
    assert [(check["check_id"], check["check_name"], check["resource"]) for check in failed] == []
