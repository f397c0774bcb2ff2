"""Pages about the deployment say what the files say."""

import json
import re
from pathlib import Path

import pytest

from tests.infra.bicep_file import CHECKOUT, INFRA
from tools.docs_site import on_page_markdown

PAGES = sorted([*CHECKOUT.glob("*.md"), *CHECKOUT.glob("docs/**/*.md")])


def test_deploy_page_lists_the_variables() -> None:
    """docs/deploy.md has each variable of main.parameters.json once, with its default."""
    used = dict(re.findall(r"\$\{([A-Z_]+)(?:=([^}]*))?\}", (INFRA / "main.parameters.json").read_text()))
    table = (CHECKOUT / "docs" / "deploy.md").read_text().split("<!-- variables:")[1].split("\n\n")[0]
    listed = dict(re.findall(r"^\| `([A-Z_]+)` \| (\S+) \|", table, re.MULTILINE))
    assert set(listed) == set(used)
    for name, default in used.items():
        shown = listed[name]
        assert shown == (f"`{default}`" if default else shown), name
        assert default or shown.startswith("*"), name


def test_decisions_are_listed() -> None:
    """The list of decisions has every page, by its title."""
    folder = CHECKOUT / "docs" / "decisions"
    listed = re.findall(r"^\d+\. \[(.+)\]\((.+)\)$", (folder / "README.md").read_text(), re.MULTILINE)
    titles = [
        (page.read_text().splitlines()[0].removeprefix("# "), page.name)
        for page in sorted(folder.glob("0*.md"))
    ]
    assert listed == titles


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Each relative link names a file of the checkout, and each fragment a heading in it."""
    for target in re.findall(r"\]\(((?!https?:|mailto:)[^)\s]+)\)", page.read_text()):
        path, _, fragment = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), target
        if fragment:
            headings = re.findall(r"^#+ (.+)$", linked.read_text(), re.MULTILINE)
            anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert fragment in anchors, target


AZURES = {"systemDatastoresAuthMode", "nextLink", "discoveryUrl"}
"""Names of Azure's own that the pages speak of."""


def test_parameters_named_on_pages_exist() -> None:
    """A parameter that docs/deploy.md or docs/security.md tells people to set is one."""
    declared = set(re.findall(r"^param (\w+)", (INFRA / "main.bicep").read_text(), re.MULTILINE))
    overrides = json.dumps(sorted(declared))
    for page in ("deploy.md", "security.md"):
        named = re.findall(r"`([a-z]+(?:[A-Z][a-z]+)+)`", (CHECKOUT / "docs" / page).read_text())
        assert [name for name in named if name not in declared | AZURES] == [], overrides


def test_the_sites_commands_are_copied_without_prompts() -> None:
    """And no other block is touched."""
    page = "```console\n$ a --b \\\n    c\n$ d\n```\n\n```json\n$ {}\n```\n"
    assert on_page_markdown(page) == "```sh\na --b \\\n    c\nd\n```\n\n```json\n$ {}\n```\n"
