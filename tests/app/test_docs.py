"""Documentation that is held to the code."""

import json
import re
from pathlib import Path

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
    assert host["extensions"]["http"]["routePrefix"] == "api"


def test_the_api_page_names_every_status() -> None:
    """Each status that an error can have is explained to callers."""
    text = (ROOT / "docs/api.md").read_text().partition("Errors are `application/problem+json`")[2]
    paragraph = text.partition("\n\n")[0]
    for status in {*STATUSES.values(), 400, 404, 409, 410, 413, 422, 429, 504}:
        assert str(status) in paragraph, status


def test_a_table_has_every_route() -> None:
    """The documented methods and paths are those of the table of routes, and no other."""
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    rows = [re.findall(r"^\| `([A-Z]+) (/api/\S+)` \|", page.read_text(), re.MULTILINE) for page in pages]
    written = [(method, _unnamed(path)) for table in rows for method, path in table]
    declared = {(route.method, _unnamed(f"/api/{route.path}")) for route in ROUTES}
    assert sorted(written) == sorted(declared)


def _unnamed(path: str) -> str:
    return re.sub(r"\{\w+\}", "{}", re.sub(r"/\{\w+\?\}", "", path))
