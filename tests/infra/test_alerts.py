"""Alerts fire on messages that the app really logs, and each is explained to whoever it wakes."""

import re

import pytest

from tests.infra.bicep_file import CHECKOUT, INFRA, BicepFile, properties, string

ALERTS = BicepFile(INFRA / "modules" / "alerts.bicep")
RULES = {
    string(rule["name"]): string(rule["query"])
    for node in ALERTS.variables["rules"].named_children
    if (rule := properties(node))
}
CODE = "\n".join(
    path.read_text()
    for folder in ("handlers", "shared")
    for path in sorted((CHECKOUT / folder).rglob("*.py"))
)


@pytest.mark.parametrize("name", sorted(RULES))
def test_messages_are_the_apps(name: str) -> None:
    """Each message that a query looks for is a log call's first argument, or the host's own."""
    wanted = re.findall(r'Message (?:==|startswith) "([^"]+)"', RULES[name])
    hosts = re.findall(r'Message has "([^"]+)"', RULES[name])
    assert wanted or hosts
    for message in wanted:
        assert re.search(rf'_log\.\w+\(\s*"{re.escape(message)}"', CODE), message
    assert set(hosts) <= {"Moving message to queue", "webjobs-blobtrigger-poison"}


@pytest.mark.parametrize("name", [*sorted(RULES), "events-dead-lettered"])
def test_each_alert_is_explained(name: str) -> None:
    """docs/operate.md has a heading that the alert's description links to."""
    page = (CHECKOUT / "docs" / "operate.md").read_text()
    assert re.search(rf"^### {re.escape(name)}$", page, re.MULTILINE)
