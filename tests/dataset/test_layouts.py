"""Layouts other than `messages`."""

import json

import pytest

from shared.domain.dataset import keys, layouts
from tests.dataset.checking import assistant, check_lines, good_rows, system, user
from tools import dataset_tables

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


BRIEF, GREETED = system("Be brief."), [user("Hi"), assistant("Hello")]
MEANT = {
    "messages": [BRIEF, *GREETED],
    "ShareGPT": [BRIEF, *GREETED],
    "Vertex AI": [BRIEF, *GREETED],
    "Alpaca and Dolly": [*GREETED, user("Translate.\n\nchat"), assistant("cat")],
    "prompt and completion": [BRIEF, *GREETED],
    "question and answer": [user("What is a cat?\n\nA cat is an animal."), assistant("An animal.")],
    "Cohere": [BRIEF, *GREETED, user("Who are you?"), assistant("A cat.")],
    "inputs and targets": GREETED,
    "OpenAssistant thread": GREETED,
    "OpenAssistant tree without branches": GREETED,
    "input and output": GREETED,
}


@pytest.mark.parametrize("layout", layouts.LAYOUTS, ids=lambda layout: layout.name)
def test_the_table_s_examples_mean_what_they_say(layout: layouts.Layout) -> None:
    """Each layout's example in the documentation is accepted, and becomes the messages that it means."""
    checked = check_lines([*good_rows(20), json.dumps(layout.example).encode()])
    assert checked.report.accepted, checked.report.reason
    assert json.dumps(MEANT[layout.name], sort_keys=True) in checked.conversations()
    assert layout.code is None or checked.report.counts[layout.code] == 1


@pytest.mark.parametrize("answer", ["output", "response", "completion", "answer"])
@pytest.mark.parametrize("question", ["instruction", "prompt", "question", "query", "message", "input"])
@pytest.mark.parametrize("key", [*keys.SYSTEM_KEYS, *keys.HISTORY_KEYS, *keys.CONTEXT_KEYS])
def test_what_one_layout_honours_every_layout_honours(question: str, answer: str, key: str) -> None:
    """System texts, histories and contexts, in any combination of names."""
    if key == question:
        return
    value = {"history": [["Hi", "Hello"]], "chat_history": GREETED}.get(key, "Be brief.")
    checked = check_lines([*good_rows(20), json.dumps({question: "Q", answer: "A", key: value}).encode()])
    assert checked.report.accepted, checked.report.reason
    meant = [user("Q"), assistant("A")]
    if key in keys.CONTEXT_KEYS:
        meant[0] = user("Q\n\nBe brief.")
    else:
        meant = [*(GREETED if key in keys.HISTORY_KEYS else [BRIEF]), *meant]
    assert json.dumps(meant, sort_keys=True) in checked.conversations()


PUBLIC = {
    "Anthropic": {
        "system": "Be brief.",
        "messages": [user([{"type": "text", "text": "Hi"}]), assistant("Hello")],
    },
    "Bedrock Converse": {
        "schemaVersion": "bedrock-conversation-2024",
        "system": [{"text": "Be brief."}],
        "messages": [user([{"text": "Hi"}]), assistant([{"text": "Hello"}])],
    },
    "Vertex, snake case": {
        "system_instruction": {"parts": [{"text": "Be brief."}]},
        "contents": [
            {"role": "user", "parts": [{"text": "Hi"}]},
            {"role": "model", "parts": [{"text": "Hello"}]},
        ],
    },
    "Cohere's files": {
        "messages": [
            {"role": "System", "content": "Be brief."},
            {"role": "User", "content": "Hi"},
            {"role": "Chatbot", "content": "Hello"},
        ]
    },
    "LLaMA-Factory v1": {
        "messages": [
            {"role": "system", "content": [{"type": "text", "value": "Be brief."}], "loss_weight": 0.0},
            {"role": "user", "content": [{"type": "text", "value": "Hi"}], "loss_weight": 0.0},
            {"role": "assistant", "content": [{"type": "text", "value": "Hello"}], "loss_weight": 1.0},
        ]
    },
    "OpenAI, as its API answers": {
        "messages": [
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": "Hi", "name": "Ann"},
            {
                "role": "assistant",
                "content": "Hello",
                "refusal": None,
                "audio": None,
                "function_call": None,
                "tool_calls": None,
                "annotations": [],
            },
        ],
        "tools": None,
    },
    "ShareGPT with other names": {
        "conversation": [
            {"role": "system", "text": "Be brief."},
            {"role": "human", "text": "Hi"},
            {"role": "gpt", "text": "Hello"},
        ]
    },
    "a dialogue": {
        "dialogue": [
            {"from": "system", "value": "Be brief."},
            {"from": "prompter", "value": "Hi"},
            {"from": "assistant", "value": "Hello"},
        ]
    },
    "Capybara's pairs": {
        "system": "Be brief.",
        "conversation": [{"input": "Hi", "output": "Hello"}],
    },
    "pairs of human and assistant": {
        "system": "Be brief.",
        "conversations": [{"human": "Hi", "assistant": "Hello"}],
    },
    "columns that other rows have": {
        "messages": None,
        "conversations": [
            {"from": "human", "value": "Hi", "weight": None},
            {"from": "gpt", "value": "Hello"},
        ],
        "system": "Be brief.",
        "chosen": None,
    },
}


@pytest.mark.parametrize("name", PUBLIC)
def test_public_spellings_are_accepted_and_equal(name: str) -> None:
    """Every service's own way to write the same conversation gives the same row."""
    checked = check_lines([*good_rows(20), json.dumps(PUBLIC[name]).encode()])
    assert checked.report.accepted, checked.report.reason
    assert json.dumps([BRIEF, *GREETED], sort_keys=True) in checked.conversations()


def test_the_documented_tables_are_those_of_the_code() -> None:
    """Made anew by `python -m tools.dataset_tables`."""
    text = dataset_tables.DOCUMENT.read_text()
    assert dataset_tables.BEGIN in text
    assert dataset_tables.with_tables(text) == text


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ({"conversations": "Hi"}, "E202"),
        ({"conversations": [{"input": "Hi", "output": "Hello", "mood": "x"}]}, "E215"),
        ({"conversations": [{"input": "Hi", "output": None}]}, "E206"),
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
