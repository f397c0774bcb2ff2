"""What Azure installs is pinned, hashed, and no more than the app imports."""

import ast
import re
import sys
from importlib.metadata import packages_distributions

import pytest
from packaging.requirements import Requirement

from tests.infra.bicep_file import CHECKOUT
from tools.interpreters import SUPPORTED

LOCKS = ("requirements.txt", "requirements-dev.txt", "requirements-checkov.txt", "requirements-docs.txt")


def _entries(lock: str) -> list[str]:
    joined = re.sub(r"\\\n\s*", " ", (CHECKOUT / lock).read_text())
    return [line for line in joined.splitlines() if line and not line.lstrip().startswith("#")]


def _requirements(lock: str) -> list[Requirement]:
    return [Requirement(entry.split(" --hash=")[0].strip()) for entry in _entries(lock)]


@pytest.mark.parametrize("lock", LOCKS)
def test_every_requirement_is_pinned_and_hashed(lock: str) -> None:
    """Each line of a lock file is one version with hashes."""
    entries = _entries(lock)
    assert len(entries) > 20
    assert [entry[:60] for entry in entries if "--hash=sha256:" not in entry] == []
    for requirement in _requirements(lock):
        assert [specifier.operator for specifier in requirement.specifier] == ["=="], requirement


def test_azure_functions_is_pinned_per_interpreter() -> None:
    """Its publisher splits it by interpreter: 1.x below Python 3.13, 2.x from there."""
    found = {
        version: [
            next(iter(requirement.specifier)).version
            for requirement in _requirements("requirements.txt")
            if requirement.name == "azure-functions"
            and (
                requirement.marker is None
                or requirement.marker.evaluate({"python_full_version": f"{version}.0"})
            )
        ]
        for version in SUPPORTED
    }
    assert {version: [pin.split(".")[0] for pin in pins] for version, pins in found.items()} == {
        version: ["1"] if version in {"3.11", "3.12"} else ["2"] for version in SUPPORTED
    }


def test_runtime_and_development_agree() -> None:
    """Tests run with the very versions that are deployed."""
    runtime = {str(requirement) for requirement in _requirements("requirements.txt")}
    assert runtime <= {str(requirement) for requirement in _requirements("requirements-dev.txt")}


def test_the_app_imports_only_what_it_requires() -> None:
    """Every third-party module that deployed code imports comes from a line of requirements.in."""
    listed = {
        Requirement(line.split("#")[0].strip()).name
        for line in (CHECKOUT / "requirements.in").read_text().splitlines()
        if line.split("#")[0].strip()
    }
    owners = packages_distributions()
    imported = set()
    files = [CHECKOUT / "function_app.py", *CHECKOUT.glob("handlers/*.py"), *CHECKOUT.glob("shared/**/*.py")]
    for node in (node for path in files for node in ast.walk(ast.parse(path.read_text()))):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            imported.add(node.module)
    own = {"handlers", "shared", *sys.stdlib_module_names}
    foreign = {module for module in imported if module.split(".")[0] not in own}
    # azure-core is what every Azure SDK of the list is made of, and is pinned through them.
    missing = {
        module
        for module in foreign
        if not (set(owners.get(module.split(".")[0], ())) & listed) and not module.startswith("azure.core")
    }
    assert missing == set()
