"""Others' text on a terminal: shown, and never obeyed."""

from __future__ import annotations

import io
import json

import pytest
from rich.markup import escape
from rich.table import Table

from finetune.cli.safe_console import SafeConsole, shown_json

pytestmark = pytest.mark.unit

MALFORMED = {
    "colour": "\x1b[31mred",
    "cursor": "\x1b[2A\x1b[2Kall is well",
    "title": "\x1b]0;root shell\x07",
    "link": "\x1b]8;;https://evil.example\x1b\\click\x1b]8;;\x1b\\",
    "clipboard": "\x1b]52;c;cm0gLXJmIC8=\x07",
    "one byte CSI": "\x9b31mred",
    "one byte OSC": "\x9d0;title\x9c",
    "device string": "\x1bPq#0\x1b\\",
    "carriage return": "failed\rlive  ",
    "backspace": "failed\b\b\b\b\b\blive",
    "bidi override": "\u202egpj.exe",
    "bidi isolate": "\u2066live\u2069",
    "marks": "a\u200eb\u200fc\u061c",
    "null and delete": "a\x00b\x7fc",
}
OBEYED = {chr(code) for code in (*range(32), *range(0x7F, 0xA0))} - {"\n", "\t"}
OBEYED |= set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def printed(what: object, *, colours: bool = False) -> str:
    """What a terminal is sent."""
    file = io.StringIO()
    console = SafeConsole(file=file, force_terminal=colours, color_system="standard" if colours else None)
    console.print(what, soft_wrap=True)
    return file.getvalue()


@pytest.mark.parametrize("kind", MALFORMED)
def test_a_terminal_is_sent_nothing_that_it_obeys(kind: str) -> None:
    """In a line, in a table, in an error, and in JSON, which says the same."""
    text = MALFORMED[kind]
    table = Table(title=escape(text))
    table.add_column(escape(text))
    table.add_row(escape(text))
    for what in (escape(text), f"[bold]{escape(text)}[/]", table):
        assert not set(printed(what)) & OBEYED
    encoded = shown_json(json.dumps({"text": text}, ensure_ascii=False))
    assert not set(encoded) & OBEYED
    assert json.loads(encoded) == {"text": text}


def test_a_sequence_that_comes_in_pieces_is_none() -> None:
    """A streamed reply may be cut anywhere."""
    file = io.StringIO()
    console = SafeConsole(file=file)
    for piece in MALFORMED["title"]:
        console.print(piece, end="", markup=False)
    assert not set(file.getvalue()) & OBEYED


def test_styles_are_the_programs_own() -> None:
    """Its own colours are not lost, and other alphabets and emoji neither."""
    assert "\x1b[1m" in printed("[bold]live[/]", colours=True)
    assert printed("Żółć 東京 👩\N{ZERO WIDTH JOINER}🚀 עברית\n\tdone").startswith(
        "Żółć 東京 👩\N{ZERO WIDTH JOINER}🚀 עברית"
    )
