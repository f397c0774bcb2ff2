"""What axe-core says of a page."""

from __future__ import annotations

from playwright.sync_api import Page

from tests.dashboard.conftest import ROOT

AXE = (ROOT / "node_modules" / "axe-core" / "axe.min.js").read_text()


def complaints(page: Page) -> list[str]:
    """What axe-core finds: rule, and the elements that break it."""
    page.evaluate(AXE)  # by the debugger's door: the page's policy lets no other script in
    found = page.evaluate("() => axe.run(document)")
    return [f"{one['id']}: {[node['target'] for node in one['nodes']]}" for one in found["violations"]]
