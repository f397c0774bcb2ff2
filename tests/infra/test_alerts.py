"""Alerts fire on messages that the app really logs, and each is explained to whoever it wakes."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.infra.bicep_file import CHECKOUT, INFRA, BicepFile, properties, string

ALERTS = BicepFile(INFRA / "modules" / "alerts.bicep")
RULES = {
    string(rule["name"]): string(rule["query"])
    for node in ALERTS.variables["rules"].named_children
    if (rule := properties(node))
}


def _modules() -> list[Path]:
    return [path for folder in ("handlers", "shared") for path in (CHECKOUT / folder).rglob("*.py")]


@cache
def _log_calls() -> dict[str, ast.Call]:
    trees = [ast.parse(path.read_text()) for path in sorted(_modules())]
    calls = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return {
        str(call.args[0].value): call
        for call in calls
        if ast.unparse(call.func).startswith("_log.") and isinstance(call.args[0], ast.Constant)
    }


@pytest.mark.parametrize("name", sorted(RULES))
def test_messages_are_the_apps(name: str) -> None:
    """Each message that a query looks for is a log call's first argument, or the host's own.

    Fields follow it in the text, hence `startswith`. What is logged with an exception is exported as an
    exception, which Azure Monitor keeps in a table of its own.
    """
    query = RULES[name]
    wanted = re.findall(r'(?:Message|Text) startswith "([^"]+)"', query)
    hosts = re.findall(r'Message has "([^"]+)"', query)
    assert wanted or hosts
    assert " == " not in re.sub(r"tostring\(Properties\.\w+\) == ", "", query)
    calls = _log_calls()
    for message in wanted:
        call = calls[message]
        excepting = ast.unparse(call.func) == "_log.exception" or any(
            keyword.arg == "exc_info" for keyword in call.keywords
        )
        assert not excepting or query.startswith("union AppTraces, AppExceptions |"), message
    assert set(hosts) <= {"Moving message to queue", "webjobs-blobtrigger-poison"}


@pytest.mark.parametrize("name", [*sorted(RULES), "events-dead-lettered"])
def test_each_alert_is_explained(name: str) -> None:
    """docs/operate.md has a heading that the alert's description links to."""
    page = (CHECKOUT / "docs" / "operate.md").read_text()
    assert re.search(rf"^### {re.escape(name)}$", page, re.MULTILINE)
