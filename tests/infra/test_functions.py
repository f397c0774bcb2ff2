"""Microsoft's worker indexes and invokes the package that is deployed, on each Python of this machine.

`python -m tools.interpreters` lists them, and `.ci/run` prints that. The worker is `azure-functions-runtime`.
"""

import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from shared.config import Settings
from tests.infra.bicep_file import CHECKOUT, INFRA
from tools.interpreters import DEFAULT, RUNNING, SUPPORTED, interpreters
from tools.package import copy_app
from tools.vendor import SITE_PACKAGES

INTERPRETERS = interpreters()

EXPECTED = json.loads((Path(__file__).parent / "functions.json").read_text())
"""Each function's bindings. Whoever means to change one changes it there, too."""

on_each_python = pytest.mark.parametrize("python", INTERPRETERS)


def test_the_running_python_is_judged() -> None:
    """Whatever else a machine lacks, the Python that runs the tests is one of those."""
    assert RUNNING in INTERPRETERS


def test_infra_offers_these_pythons() -> None:
    """The template lets people choose what packages can be made for, and has the same default."""
    template = (INFRA / "main.bicep").read_text()
    allowed, default = re.findall(r"@allowed\(\[(.+)\]\)\nparam pythonVersion string = '([\d.]+)'", template)[
        0
    ]
    assert re.findall(r"[\d.]+", allowed) == [*SUPPORTED]
    assert default == DEFAULT
    parameters = json.loads((INFRA / "main.parameters.json").read_text())["parameters"]
    assert parameters["pythonVersion"]["value"] == f"${{PYTHON_VERSION={DEFAULT}}}"


@on_each_python
def test_functions_are_indexed(python: str, package_for: Callable[[str], Path]) -> None:
    """With no setting at all, each function is there with its bindings, and no other."""
    done = _run(python, "tests/infra/index_package.py", package_for(python))
    assert done.returncode == 0, done.stderr
    indexed = {function["name"]: _in_order(function["bindings"]) for function in json.loads(done.stdout)}
    assert indexed == {name: _in_order(bindings) for name, bindings in EXPECTED.items()}


@on_each_python
def test_a_binding_that_the_worker_refuses_is_noticed(
    python: str, package_for: Callable[[str], Path], tmp_path: Path
) -> None:
    """One `Out[list[str]]` takes every function away; this is how that looks here."""
    copy_app(tmp_path)
    (tmp_path / SITE_PACKAGES).parent.mkdir(parents=True)
    (tmp_path / SITE_PACKAGES).symlink_to(package_for(python) / SITE_PACKAGES)
    module = tmp_path / "function_app.py"
    spoiled = module.read_text().replace("func.Out[List[str]]", "func.Out[list[str]]", 1)
    assert spoiled != module.read_text()
    module.write_text(spoiled)
    done = _run(python, "tests/infra/index_package.py", tmp_path)
    assert done.returncode == 1
    assert "invalid non-type annotation" in done.stderr
    assert done.stdout == ""


@on_each_python
def test_an_unconfigured_app_says_so(python: str, package_for: Callable[[str], Path]) -> None:
    """With every setting missing, health answers 503, and each timer's error names all that are required."""
    timers = [name for name, bindings in EXPECTED.items() if bindings[0]["type"] == "timerTrigger"]
    assert timers
    done = _run(python, "tests/infra/invoke_unconfigured.py", package_for(python), "health", *timers)
    assert done.returncode == 0, done.stderr
    outcomes = json.loads(done.stdout)
    assert outcomes.pop("health") == 503
    assert sorted(outcomes) == sorted(timers)
    required = {field.name.upper() for field in msgspec.structs.fields(Settings) if field.required}
    for timer, message in outcomes.items():
        named = set(re.findall(r"\b[A-Z][A-Za-z_]{5,}\b", message))
        assert {*required, "TrainingStorage"} <= named, (timer, message)


def test_each_function_is_waited_for_after_a_deployment() -> None:
    """The hooks' list of functions is complete."""
    assert (INFRA / "hooks" / "functions.txt").read_text().split() == sorted(EXPECTED)


def _run(python: str, program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    # -I, -S and an empty environment: no packages but those of the folder, and no settings. Worker.start puts
    # the folder first on the path and takes this checkout from it. -B: the package stays as it is.
    start = (
        "import runpy, sys\n"
        f"sys.path.append({str(CHECKOUT)!r})\n"
        f"sys.argv = {[program, *map(str, arguments)]!r}\n"
        f"runpy.run_path({str(CHECKOUT / program)!r}, run_name='__main__')\n"
    )
    return subprocess.run(
        [INTERPRETERS[python], "-I", "-S", "-B", "-c", start],
        cwd=os.sep,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )


def _in_order(bindings: list[dict[str, object]]) -> list[dict[str, object]]:
    return sorted(bindings, key=lambda binding: (str(binding["direction"]), str(binding["name"])))
