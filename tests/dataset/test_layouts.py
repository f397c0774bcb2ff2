"""Layouts other than `messages`."""

import json

import pytest

from tests.dataset.checking import assistant, check_lines, good_rows, system, user

LAYOUTS = {
    "ShareGPT": (
        {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}], "id": "1"},
        [user("Hi"), assistant("Hello")],
        {"R105": 1, "R201": 1},
    ),
    "ShareGPT with a system text": (
        {
            "system": "Be kind.",
            "conversations": [{"from": "user", "value": "Hi"}, {"from": "assistant", "value": "Hello"}],
        },
        [system("Be kind."), user("Hi"), assistant("Hello")],
        {"R201": 1},
    ),
    "Alpaca": (
        {"instruction": "Translate.", "input": "chat", "output": "cat"},
        [user("Translate.\n\nchat"), assistant("cat")],
        {"R202": 1},
    ),
    "Alpaca without input": (
        {"instruction": "Say hi.", "input": "", "output": "hi", "history": []},
        [user("Say hi."), assistant("hi")],
        {"R202": 1},
    ),
    "Alpaca with a history": (
        {
            "system": "Be kind.",
            "history": [["Who are you?", "A cat."], ["Really?", "Yes."]],
            "instruction": "Prove it.",
            "input": None,
            "output": "Miaow.",
        },
        [
            system("Be kind."),
            *(user("Who are you?"), assistant("A cat.")),
            *(user("Really?"), assistant("Yes.")),
            *(user("Prove it."), assistant("Miaow.")),
        ],
        {"R202": 1},
    ),
    "prompt and completion with a system text": (
        {"system": "Be rude.", "prompt": "Hi", "completion": "Go away."},
        [system("Be rude."), user("Hi"), assistant("Go away.")],
        {"R203": 1},
    ),
    "prompt and completion of messages with a system text": (
        {"system": "Be rude.", "prompt": [user("Hi")], "completion": [assistant("Go away.")]},
        [system("Be rude."), user("Hi"), assistant("Go away.")],
        {"R203": 1},
    ),
    "prompt and completion": (
        {"prompt": "Hi", "completion": "Hello"},
        [user("Hi"), assistant("Hello")],
        {"R203": 1},
    ),
    "prompt and completion of messages": (
        {"prompt": [user("Hi")], "completion": [assistant("Hello")]},
        [user("Hi"), assistant("Hello")],
        {"R203": 1},
    ),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_known_layout_becomes_messages(name: str) -> None:
    """Rows of other layouts are converted, and the report says so."""
    line, messages, counts = LAYOUTS[name]
    checked = check_lines([*good_rows(20), json.dumps(line).encode()])
    assert checked.report.counts == counts
    assert json.dumps(messages, sort_keys=True) in checked.conversations()


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ({"conversations": "Hi"}, "E202"),
        ({"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt"}]}, "E205"),
        ({"conversations": [{"from": "human", "value": "Hi"}, {"from": "robot", "value": "Hi"}]}, "E207"),
        ({"conversations": [{"from": 1, "value": "Hi"}, {"from": "gpt", "value": "Hi"}]}, "E206"),
        (
            {"conversations": [{"from": "human", "value": "Hi"}, {"from": "function_call", "value": "f"}]},
            "E213",
        ),
        (
            {"conversations": [{"from": "human", "value": "Hi"}, {"from": "observation", "value": "3"}]},
            "E213",
        ),
        ({"instruction": "Hi", "input": 3, "output": "Hello"}, "E206"),
        ({"instruction": "Hi", "input": ["context"], "output": "Hello"}, "E206"),
        ({"instruction": "Hi", "output": "Hello", "history": [["Who?", "Me."], ["Why?"]]}, "E204"),
        ({"instruction": "Hi", "output": "Hello", "history": [["Who?", None]]}, "E206"),
        ({"instruction": "Hi", "output": "Hello", "history": "Who? Me."}, "E204"),
        ({"system": 3, "prompt": "Hi", "completion": "Hello"}, "E206"),
        ({"instruction": "Hi", "output": ""}, "E212"),
        ({"prompt": "Hi", "completion": None}, "E206"),
        ({"prompt": "Hi"}, "E201"),
    ],
)
def test_a_converted_row_is_held_to_the_same_rules(line: dict[str, object], code: str) -> None:
    """A layout is no way around the rules."""
    checked = check_lines([*good_rows(20), json.dumps(line).encode()])
    assert [number for number, _ in checked.found(code)] == [21]
    assert checked.report.rows_kept == 20


def test_a_turn_key_given_twice_is_found_in_other_layouts_too() -> None:
    """Conversion does not hide a key that is given twice."""
    line = (
        b'{"conversations": [{"from": "human", "value": "a", "value": "b"}, {"from": "gpt", "value": "c"}]}'
    )
    assert check_lines([*good_rows(20), line]).found("E106")


def test_only_keys_that_are_there_are_named() -> None:
    """What a row was read from are keys of that row."""
    line = b'{"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "c"}]}'
    assert check_lines([*good_rows(20), line]).found("R201") == [(21, 'read from "conversations"')]
