"""The report's two forms, and the documents that describe it."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest

from shared.domain.dataset import Code, DatasetReport, ValidationRules, report_html
from shared.domain.dataset.codes import LABELS
from tests.dataset.checking import assistant, check_lines, good_rows, row, user

DOCS = Path(__file__).parents[2] / "docs"
ATTACK = "</pre><script>alert('x')</script>"


class Page(HTMLParser):
    """Collects a page's tags and what they refer to."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag."""
        self.tags.append(tag)
        if tag != "meta":
            self.open.append(tag)
        self.links += [str(value) for name, value in attrs if name in ("src", "href")]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag that has no content."""
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Hold the end tag against the open one."""
        assert self.open.pop() == tag


def parsed(page: str) -> Page:
    """Parse a page; its tags must be closed in order."""
    parser = Page()
    parser.feed(page)
    assert parser.open == []
    return parser


def test_the_page_is_self_contained_and_well_formed() -> None:
    """No scripts, no references to anything outside, every tag closed."""
    page = parsed(
        report_html(check_lines([*good_rows(60), b"{}", row(user("a"), assistant("b"), id=1)]).report)
    )
    assert page.links == []
    assert "script" not in page.tags
    assert page.tags.count("svg") == 3


def test_nothing_of_the_dataset_reaches_the_page_unescaped() -> None:
    """Names, keys and excerpts may hold markup; the page shows it as text."""
    lines = [
        *good_rows(20),
        row(user(ATTACK), **{ATTACK: 1}),
        json.dumps({ATTACK: 1}).encode(),
        ATTACK.encode(),
    ]
    checked = check_lines(lines)
    text = report_html(msgspec.structs.replace(checked.report, reason=ATTACK))
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    parsed(text)


def test_the_verdict_comes_first() -> None:
    """The page opens with the verdict and its reason."""
    for lines, word in ((good_rows(60), "Accepted"), ([b"{}"], "Rejected")):
        text = report_html(check_lines(lines).report)
        assert text.index(f"<h1>{word}</h1>") < text.index("<section")


@pytest.mark.parametrize(("words", "marked"), [(3_000, 0), (4_300, 1), (12_000, 1)])
def test_the_bars_of_truncated_rows_are_marked(words: int, marked: int) -> None:
    """Bars that reach over the window are, and none if no row does."""
    line = row(user("Tell me all."), assistant("word " * words))
    checked = check_lines([*good_rows(40), line])
    assert checked.report.tokens.truncated_rows == marked
    assert report_html(checked.report).count('class="bar marked"') == marked


def test_only_an_accepted_dataset_has_a_copy() -> None:
    """The page of a rejected one does not say that its rows are kept."""
    kept = "Every row of the copy below"
    assert f"{kept}." in report_html(check_lines(good_rows(40)).report)
    doubtful = row(user("5, " * 3_000), assistant("Many."))
    assert f"{kept}, though it may drop those under W106 (1)" in report_html(
        check_lines([*good_rows(40), doubtful]).report
    )
    rejected = report_html(check_lines([*good_rows(40), b"{}"]).report)
    assert kept not in rejected
    assert "There is no copy" in rejected


def test_a_truncated_row_is_shown() -> None:
    """A warning about a row comes with the beginning of its line, as a fault does."""
    line = row(user("Tell me all."), assistant("word " * 9_000))
    issues = check_lines([*good_rows(40), line]).report.issues
    assert [(issue.code, issue.excerpt) for issue in issues] == [("W102", line[:200].decode())]


def test_the_schema_in_the_documentation_is_the_report_s_own() -> None:
    """`docs/report.schema.json` is what the types say; made anew by `python -m tools.report_schema`."""
    documented = json.loads((DOCS / "report.schema.json").read_text())
    assert documented == json.loads(msgspec.json.encode(msgspec.json.schema(DatasetReport)))


def test_every_code_is_documented_and_no_other() -> None:
    """`docs/dataset-rules.md` has one row for each code, with the code's own label."""
    text = (DOCS / "dataset-rules.md").read_text()
    documented = dict(re.findall(r"^\| `([EWR]\d{3})` \| ([^|]+?) \|", text, flags=re.MULTILINE))
    assert documented == {code.value: label for code, label in LABELS.items()}
    assert LABELS.keys() == set(Code)


def test_every_setting_is_documented_with_its_default() -> None:
    """The table of rules in the documentation has each rule and its default."""
    text = (DOCS / "dataset-rules.md").read_text()
    documented = dict(re.findall(r"^\| `([a-z_]+)` \| `([^`]+)` \|", text, flags=re.MULTILINE))
    assert documented == {field.name: str(field.default) for field in msgspec.structs.fields(ValidationRules)}


@pytest.mark.parametrize("name", ["E", "W", "R"])
def test_a_code_s_letter_says_what_becomes_of_the_row(name: str) -> None:
    """Errors, warnings and repairs are told apart by the first letter."""
    codes = [code for code in Code if code[0] == name]
    assert codes
    assert all(code.is_error is (name == "E") and code.is_repair is (name == "R") for code in codes)
