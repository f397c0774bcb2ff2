"""Rows of tool calls, written as text where the uploader asks for that: matched, or refused with a reason."""

import json
from typing import Any

import pytest

from shared.domain.dataset import ValidationRules
from tests.dataset.checking import Checked, assistant, check_lines, good_rows, system, user

AS_TEXT = ValidationRules(tools="as_text", min_evaluation_rows=1)
SUM = {
    "name": "sum",
    "parameters": {"type": "object", "properties": {"a": {"type": "integer", "minimum": 1}}},
}
TOOLS = [{"type": "function", "function": SUM}]
BLOCK = (
    '<tools>\n{"name": "sum", "parameters": {"type": "object", "properties": {"a": {"type": "integer",'
    ' "minimum": 1}}}}\n</tools>\nTo call functions, answer with <tool_call>\n{"name": …, "arguments": …}\n'
    "</tool_call> for each; the results come between <tool_response> and </tool_response>."
)
CALL = '<tool_call>\n{"name": "sum", "arguments": {"a": 1}}\n</tool_call>'
RESULT = "<tool_response>\n3\n</tool_response>"
WRITTEN = [system(BLOCK), user("Q"), assistant(CALL), user(RESULT), assistant("A")]


def call(id_: str = "c1", name: str = "sum", arguments: Any = '{"a": 1}') -> dict[str, Any]:
    """A call as OpenAI has it."""
    return {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}


def calling(*calls: Any, content: Any = None, **keys: Any) -> dict[str, Any]:
    """An assistant's turn that calls."""
    return {"role": "assistant", "content": content, "tool_calls": list(calls), **keys}


def result(id_: str | None = "c1", content: Any = "3", **keys: Any) -> dict[str, Any]:
    """The result of a call."""
    return {"role": "tool", "content": content, **({"tool_call_id": id_} if id_ else {}), **keys}


def openai(*turns: Any, **keys: Any) -> dict[str, Any]:
    """A row of OpenAI's format."""
    return {"messages": [user("Q"), *turns], "tools": TOOLS, **keys}


def check(row: dict[str, Any], rules: ValidationRules = AS_TEXT) -> Checked:
    """Check a row among good ones."""
    return check_lines([*good_rows(30), json.dumps(row).encode()], rules)


OPENAI = openai(calling(call()), result(), assistant("A"))
DIALECTS = {
    "OpenAI": OPENAI,
    "arguments as an object": openai(calling(call(arguments={"a": 1})), result(), assistant("A")),
    "one call, its result without an id": openai(calling(call()), result(None), assistant("A")),
    "no parallel calls": {**OPENAI, "parallel_tool_calls": False, "tool_choice": "auto"},
    "result in parts": openai(
        calling(call(), content=""),
        result(content=[{"type": "text", "text": "3"}], name="sum"),
        assistant("A"),
    ),
    "result as a number": openai(calling(call()), result(content=3), assistant("A")),
    "tools in a text": {**OPENAI, "tools": json.dumps(TOOLS)},
    "functions, as OpenAI had them before": {
        "functions": [SUM],
        "messages": [
            user("Q"),
            {"role": "assistant", "content": None, "function_call": {"name": "sum", "arguments": '{"a": 1}'}},
            {"role": "function", "name": "sum", "content": "3"},
            assistant("A"),
        ],
    },
    "Anthropic": {
        "tools": [{"name": "sum", "input_schema": SUM["parameters"]}],
        "messages": [
            user("Q"),
            assistant([{"type": "tool_use", "id": "c1", "name": "sum", "input": {"a": 1}}]),
            user([{"type": "tool_result", "tool_use_id": "c1", "content": "3"}]),
            assistant("A"),
        ],
    },
    "ShareGPT, as LLaMA-Factory has it": {
        "tools": json.dumps([SUM]),
        "conversations": [
            {"from": "human", "value": "Q"},
            {"from": "function_call", "value": '{"name": "sum", "arguments": {"a": 1}}'},
            {"from": "observation", "value": "3"},
            {"from": "gpt", "value": "A"},
        ],
    },
}


@pytest.mark.parametrize("row", DIALECTS.values(), ids=DIALECTS)
def test_every_dialect_becomes_the_same_text(row: dict[str, Any]) -> None:
    """Functions in the system text, calls in answers, results in turns of the user; no key is lost unsaid."""
    checked = check(row)
    assert checked.report.accepted, checked.report.issues
    assert json.dumps(WRITTEN, sort_keys=True) in [
        json.dumps(json.loads(one), sort_keys=True) for one in checked.conversations()
    ]
    assert checked.report.counts["R115"] == 1
    assert checked.report.left_out_keys == {}
    assert "E213" in check(row, ValidationRules()).report.counts


def test_results_follow_the_order_of_their_calls() -> None:
    """A text has no ids, so that the order has to say which is whose; words beside calls and systems stay."""
    later = (user("And?"), assistant("B"))
    calls = calling(call("c1"), call("c2", arguments='{"a": 2}'), content="Let me see.")
    for keys, turns in ({}, [system("Be brief.")]), ({"system": "Be brief."}, []):
        row = openai(calls, result("c2", "4"), result("c1", "3"), assistant("A"), *later, **keys)
        checked = check({**row, "messages": [*turns, *row["messages"]]})
        (conversation,) = (json.loads(one) for one in checked.conversations() if "tool_call" in one)
        texts = [turn["content"] for turn in conversation]
        assert texts[0] == f"Be brief.\n\n{BLOCK}"
        assert texts[2].startswith(f"Let me see.\n{CALL}\n<tool_call>")
        assert texts[3] == "<tool_response>\n3\n</tool_response>\n<tool_response>\n4\n</tool_response>"
        assert texts[-1] == "B"


def test_a_call_may_be_the_last_answer_and_tools_may_go_uncalled() -> None:
    """Both teach something: which function to call, and when not to."""
    for row in (openai(calling(call(), call("c2"))), openai(assistant("No need."))):
        assert check(row).report.counts == {"R115": 1}


MISMATCHES = {
    "answers no call": (openai(result(), assistant("A")), "no call before it waits for"),
    "another id": (openai(calling(call()), result("c9"), assistant("A")), "'c9'"),
    "answered twice": (openai(calling(call()), result(), result(), assistant("A")), "no call before"),
    "no id among several": (openai(calling(call(), call("c2")), result(None), result(None)), "no id"),
    "no result": (openai(calling(call()), assistant("A")), "before the result of the call of 'sum'"),
    "half of the results": (
        openai(calling(call(), call("c2")), result(), assistant("A")),
        "before the result",
    ),
    "half of the results, last": (openai(calling(call(), call("c2")), result()), "has no result"),
    "user before the result": (openai(calling(call()), user("Well?"), result()), "before the result"),
    "one id twice": (openai(calling(call(), call())), "two calls with the id 'c1'"),
    "another function": (openai(calling(call(name="product"))), "calls 'product'; the row declares sum"),
    "none declared": ({"messages": [user("Q"), calling(call())]}, "the row declares none"),
    "no name": (openai(calling({"id": "c1", "function": {"arguments": "{}"}})), "without a name"),
    "no function": (openai(calling({"id": "c1"})), 'has no "function"'),
    "arguments not JSON": (openai(calling(call(arguments="{a: 1}"))), "arguments of 'sum', is not JSON"),
    "arguments a list": (openai(calling(call(arguments="[1]"))), "not a JSON object"),
    "no arguments": (openai(calling(call(arguments=None))), "not a JSON object"),
    "the user calls": (openai({**calling(call()), "role": "user"}), "is not the assistant's"),
    "declared twice": (openai(calling(call()), functions=[SUM]), "keep one"),
    "one function twice": (openai(calling(call()), tools=TOOLS * 2), "declares 'sum' twice"),
    "tools not JSON": (openai(calling(call()), tools="sum"), '"tools" is not JSON'),
    "a tool without a name": (openai(calling(call()), tools=[{"type": "function"}]), "not a function"),
    "turns in another key": ({"tools": TOOLS, "prompt": "Q", "completion": "A"}, "not its turns"),
}


@pytest.mark.parametrize(("row", "words"), MISMATCHES.values(), ids=MISMATCHES)
def test_calls_that_do_not_match_are_faults_of_their_row(row: dict[str, Any], words: str) -> None:
    """Ids, names, arguments and order: named with the message's number."""
    checked = check(row)
    assert checked.report.rows_kept == 30
    assert [line for line, _ in checked.found("E219")] == [31], checked.report.counts
    (issue,) = (issue for issue in checked.report.issues if issue.code == "E219")
    assert words in issue.message


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ({**OPENAI, "tool_choice": {"type": "function"}}, "E213"),
        ({**OPENAI, "lang": "de"}, "E215"),
        (openai(calling(call()), result(lang="de"), assistant("A")), "E215"),
        (openai(calling(call(), weight=0), result(), assistant("A")), "E216"),
        (openai(calling(call()), result(), user("Well?"), assistant("A")), "E210"),
        ({"contents": [{"role": "user", "parts": [{"functionCall": {"name": "f"}}]}]}, "E213"),
    ],
)
def test_what_the_text_does_not_say_is_still_refused(row: dict[str, Any], code: str) -> None:
    """Other keys, masks, order, and formats that are not known."""
    checked = check(row)
    assert code in checked.report.counts, checked.report.counts
    assert checked.report.rows_kept == 30
