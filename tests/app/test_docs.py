"""Documentation that is held to the code."""

import ast
import json
import re
from itertools import pairwise
from pathlib import Path

import pytest

from handlers.events.advance_message import MAX_DELIVERIES
from handlers.http.errors import STATUSES
from handlers.http.routes import ROUTES
from shared.domain.run.stages import TRANSITIONS

ROOT = Path(__file__).parents[2]


def test_the_diagram_shows_the_table() -> None:
    """`docs/architecture.md` draws exactly the moves of the table."""
    text = (ROOT / "docs/architecture.md").read_text()
    diagram = text.partition("stateDiagram-v2")[2].partition("```")[0]
    drawn = {(start, end) for start, end in re.findall(r"^\s*(\w+) --> (\w+)", diagram, re.MULTILINE)}
    assert drawn == {(stage.value, end.value) for stage, ends in TRANSITIONS.items() for end in ends}


def test_the_host_gives_up_when_the_app_suspends() -> None:
    """The delivery at which a run is suspended is the last one before the poison queue."""
    host = json.loads((ROOT / "host.json").read_text())
    assert host["extensions"]["queues"]["maxDequeueCount"] == MAX_DELIVERIES
    assert host["extensions"]["http"]["routePrefix"] == ""


def test_the_api_page_names_every_status() -> None:
    """Each status that an error can have is explained to callers."""
    text = (ROOT / "docs/api.md").read_text().partition("Errors are `application/problem+json`")[2]
    paragraph = text.partition("\n\n")[0]
    for status in {*STATUSES.values(), 400, 404, 409, 410, 413, 422, 429, 504}:
        assert str(status) in paragraph, status


def test_a_table_has_every_route() -> None:
    """The documented methods and paths are those of the table of routes, and no other."""
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    rows = [re.findall(r"^\| `([A-Z]+) (/\S*)` \|", page.read_text(), re.MULTILINE) for page in pages]
    written = [(method, _unnamed(path)) for table in rows for method, path in table]
    declared = {(route.method, _unnamed(f"/{route.template}")) for route in ROUTES}
    assert sorted(written) == sorted(declared)


def _unnamed(path: str) -> str:
    return re.sub(r"\{\w+\}", "{}", re.sub(r"/\{\w+(:[^}]+)?\?\}", "", path)) or "/"


WALKS = (ROOT / "docs/architecture.md").read_text().split("<!-- walk -->\n")[1:]
STEP = re.compile(r"^\d+\. `([\w/]+\.py):([\w.]+)`", re.MULTILINE)


@pytest.mark.parametrize("walk", WALKS, ids=["upload", "chat", "teardown"])
def test_each_step_of_a_walk_calls_the_next(walk: str) -> None:
    """A walk has at most ten steps; each names a function, whose code names the function of the next step."""
    steps = STEP.findall(walk.partition("\n\n")[0])
    assert len(steps) == len(re.findall(r"^\d+\. ", walk, re.MULTILINE)) in range(3, 11)
    for (path, function), (next_path, called) in pairwise(steps):
        if next_path != "function_app.py":  # a queue is between
            assert called.rpartition(".")[2] in _names_in(path, function), f"{path}:{function}"
    _names_in(*steps[-1])


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`([\w/]+\.py:[\w.]+)`", "".join(WALKS)))))
def test_functions_named_in_walks_exist(name: str) -> None:
    """Every `file.py:function` is defined."""
    path, _, function = name.partition(":")
    assert _names_in(path, function)


def _names_in(path: str, function: str) -> set[str]:
    """What a function names; of a constant of its module and of the table of routes, what those name."""
    found: ast.AST = ast.parse((ROOT / path).read_text())
    constants = {
        node.target.id: node.value
        for node in ast.walk(found)
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value
    }
    for part in function.split("."):
        found = next(
            node
            for node in ast.walk(found)
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.name == part
        )
    names = _identifiers(found)
    for constant in names & constants.keys():
        names |= _identifiers(constants[constant])
    if "handle" in names:
        for file in (ROOT / "handlers/http/routes").glob("*.py"):
            names |= _identifiers(ast.parse(file.read_text()))
    return names


def _identifiers(code: ast.AST) -> set[str]:
    nodes = list(ast.walk(code))
    attributes = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    return attributes | {node.id for node in nodes if isinstance(node, ast.Name)}
