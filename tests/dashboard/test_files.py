"""The files of the page, as the handler serves them."""

from __future__ import annotations

import re

import pytest

from handlers.http.dashboard import FOLDER, show_dashboard
from shared.domain.errors import RequestError

ADDRESS = "https://app.example/api/dashboard"
SCRIPTS = sorted(FOLDER.glob("*.js"))


def serve(name: str | None = None, *, url: str = ADDRESS, if_none_match: str | None = None):
    """Ask for a file."""
    return show_dashboard(name, url=url, if_none_match=if_none_match)


def test_the_page_allows_nothing_but_its_own_files() -> None:
    """Its policy has no inline script or style, no other host, no framing; text never becomes markup."""
    policy = serve().headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    assert "frame-ancestors 'none'" in policy
    assert "require-trusted-types-for 'script'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy


@pytest.mark.parametrize(
    "name", ["../host.json", "..", "%2e%2e/host.json", "app.py", "/etc/passwd", "app.js/"]
)
def test_a_name_that_is_no_file_of_the_page_leads_nowhere(name: str) -> None:
    """Files are found by name in what was read, never by path on disk."""
    with pytest.raises(RequestError) as refused:
        serve(name)
    assert refused.value.status == 404


def test_a_known_version_is_not_sent_again() -> None:
    """The ETag is of the content, so that a new deployment is seen and an old one costs nothing."""
    first = serve("app.js")
    again = serve("app.js", if_none_match=first.headers["ETag"])
    assert (first.status, again.status, again.body) == (200, 304, b"")
    assert serve("app.js", if_none_match='"other"').status == 200


def test_an_address_with_a_slash_at_its_end_leads_to_the_page() -> None:
    """The page names its files relative to itself."""
    moved = serve("", url=f"{ADDRESS}/?a=b")
    assert (moved.status, moved.headers["Location"]) == (308, "../dashboard")


def test_every_file_that_is_named_is_there() -> None:
    """A wrong import would only show in a browser."""
    page = serve().body.decode()
    assert "style=" not in page
    for name in re.findall(r'(?:href|src)="dashboard/([^"]+)"', page):
        assert serve(name).status == 200
    for script in SCRIPTS:
        for name in re.findall(r'from "\./([^"]+)"', script.read_text()):
            assert serve(name).status == 200


def test_scripts_make_no_markup_from_text() -> None:
    """Not every browser enforces Trusted Types, so that the sources are held to it, too."""
    forbidden = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|localStorage"
    found = []
    for script in SCRIPTS:
        text = script.read_text().replace("http://www.w3.org/2000/svg", "")
        found += [(script.name, word) for word in re.findall(forbidden + r"|https?://\w", text)]
    assert len(SCRIPTS) > 5
    assert found == []
