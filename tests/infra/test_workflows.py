"""The workflows run what the Makefile offers, on every Python that is supported, with pinned actions."""

import re

import pytest
import yaml

from tests.infra.bicep_file import CHECKOUT, INFRA

WORKFLOWS = sorted((CHECKOUT / ".github" / "workflows").glob("*.yml"))
TEXTS = {path.name: path.read_text() for path in WORKFLOWS}


def _jobs(name: str) -> dict:
    return yaml.safe_load(TEXTS[name])["jobs"]


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_actions_are_pinned(name: str) -> None:
    """Each action is named by commit, with its version beside it, so that nobody can swap it."""
    for use in re.findall(r"uses: (.+)", TEXTS[name]):
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", use), use


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_rights_are_small(name: str) -> None:
    """A workflow may read by default; no job may run for ever."""
    workflow = yaml.safe_load(TEXTS[name])
    assert workflow["permissions"]["contents"] == "read"
    assert all(job["timeout-minutes"] <= 60 for job in workflow["jobs"].values())


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_no_untrusted_text_in_shell(name: str) -> None:
    """Values from outside reach shells through the environment, never by being pasted into a script."""
    for job in _jobs(name).values():
        scripts = [step["run"] for step in job["steps"] if "run" in step]
        assert [script for script in scripts if "${{" in script] == []


def test_commands_exist() -> None:
    """Each `make` of a workflow is a target."""
    targets = set(re.findall(r"^([a-z]+):", (CHECKOUT / "Makefile").read_text(), re.MULTILINE))
    used = {
        target
        for text in TEXTS.values()
        for line in re.findall(r"run: make (.+)", text)
        for target in line.split()
    }
    assert used <= targets
    assert {"check", "test", "demo", "package"} <= used


def test_supported_pythons_are_tested() -> None:
    """CI tests every version that the template lets people choose."""
    allowed = re.findall(r"@allowed\(\[(.+)\]\)\nparam pythonVersion", (INFRA / "main.bicep").read_text())
    assert _jobs("ci.yml")["test"]["strategy"]["matrix"]["python"] == re.findall(r"[\d.]+", allowed[0])


def test_every_entry_template_is_compiled() -> None:
    """The compiler sees each file that is deployed by name; modules come along."""
    entries = {f"infra/{path.name}" for path in INFRA.glob("*.bicep")}
    assert set(re.findall(r"az bicep build --file (\S+)", TEXTS["ci.yml"])) == entries


def test_release_is_for_the_default_python() -> None:
    """The published package runs on the version that infra/ sets when nothing is chosen."""
    default = re.findall(r"param pythonVersion string = '([\d.]+)'", (INFRA / "main.bicep").read_text())
    used = re.findall(r'python-version: "([\d.]+)"', TEXTS["release.yml"])
    assert used == default
