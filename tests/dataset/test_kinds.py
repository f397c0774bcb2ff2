"""Data that would train what nobody meant: refused by name, once, unless the uploader asks for a way out."""

import json
from typing import Any

import pytest

from shared.domain.dataset import RowPolicy, Split, ValidationRules
from shared.domain.dataset.keys import HARMLESS_MESSAGE_KEYS, HARMLESS_ROW_KEYS
from tests.dataset.checking import Checked, assistant, check_lines, good_rows, system, user

HI, HELLO = user("Hi"), assistant("Hello")
CHAT = {"messages": [HI, HELLO]}
DROP = ValidationRules(row_policy=RowPolicy.DROP, min_evaluation_rows=1)


def _beside(row: dict[str, Any], rules: ValidationRules | None = None, times: int = 1) -> Checked:
    """Check a row among good ones."""
    return check_lines([*good_rows(30), *[json.dumps(row).encode()] * times], rules)


def _with(**keys: Any) -> dict[str, Any]:
    return {**CHAT, **keys}


def _answer(**keys: Any) -> dict[str, Any]:
    return {"messages": [HI, {**HELLO, **keys}]}


def _reply(text: str, **keys: Any) -> dict[str, Any]:
    return {"message_id": "2", "role": "assistant", "text": text, "replies": [], **keys}


def _tree(*replies: dict[str, Any]) -> dict[str, Any]:
    """A tree of OpenAssistant."""
    prompt = {"message_id": "1", "role": "prompter", "text": "Hi", "replies": list(replies)}
    return {"message_tree_id": "1", "tree_state": "ready_for_export", "prompt": prompt}


REFUSED: dict[str, tuple[str, list[dict[str, Any]]]] = {
    "preference data": (
        "E401",
        [
            {"prompt": "Hi", "chosen": "Hello", "rejected": "Go away"},
            {"chosen": [HI, HELLO], "rejected": [HI, assistant("Go away")]},
            {"chosen": "Hello", "rejected": "No"},
            _with(chosen="Hello", rejected="No"),
            _with(rejected=[HELLO]),
            {"prompt": "Hi", "completion": "Go away", "label": False},
            {"prompt": "Hi", "completion": "Hello", "label": True},
            _with(label=0),
            _with(score_chosen=9.5, score_rejected=1.0),
            {"prompt": "Hi", "response_a": "Hello", "response_b": "No", "winner": "model_a"},
            {"question": "Hi", "response_j": "Hello", "response_k": "No"},
            {"prompt": "Hi", "responses": ["Hello", "No"], "ranking": [1, 2]},
            {"instruction": "Hi", "completions": [{"response": "Hello", "overall_score": 9}]},
            {
                "input": {"messages": [HI]},
                "preferred_output": [HELLO],
                "non_preferred_output": [assistant("No")],
            },
            {"conversations": [HI], "chosen": HELLO, "rejected": assistant("No")},
            {"conversation_a": [HI, HELLO], "conversation_b": [HI, HELLO]},
            {"prompt": "Hi", "good_response": "Hello", "bad_response": "No"},
            {"prompt": "Hi", "win": "Hello", "lose": "No"},
            {"prompt": "Hi", "y_w": "Hello", "y_l": "No"},
            {"query": "Hi", "positive": "Hello", "negative": "No"},
            {"history": "Hi", "human_ref_A": "Hello", "human_ref_B": "No"},
            _with(kto_tag=False),
            {"chosen": "\n\nHuman: Hi\n\nAssistant: Hello", "rejected": "\n\nHuman: Hi\n\nAssistant: No"},
            {"instruction": "Hi", "output_1": "Hello", "output_2": "No", "preference": 1},
            {"prompt": "Hi", "completion": "Hello", "is_chosen": True, "chosen_rank": 1},
            {"input": "Hi", "generations": ["Hello", "No"], "rating": [5, 1]},
            {"info": {"post": "Hi"}, "summaries": [{"text": "a"}, {"text": "b"}], "choice": 0},
            {"instruction": "Hi", "completion": "x", "correct_answers": ["Hello"]},
            {"history": ["Hi"], "candidates": ["Hello", "No"]},
        ],
    ),
    "images, sound and video": (
        "E402",
        [
            _with(images=["a.png"]),
            _with(image="a.png"),
            _with(image_url="https://example.com/a.png"),
            _with(audio={"path": "a.wav"}),
            _with(audios=["a.wav"]),
            _with(videos=["a.mp4"]),
            {
                "conversations": [
                    {"from": "human", "value": "<image>\nWhat?"},
                    {"from": "gpt", "value": "A cat"},
                ]
            },
            {"messages": [user("What is it?\n<image>"), HELLO]},
            {"messages": [user("What is it? <image>"), HELLO]},
            {"messages": [user("<image>What is it?"), HELLO]},
            {"messages": [user("Picture 1: <img>a.jpg</img>\nWhat is it?"), HELLO]},
            {"messages": [user("Look: ![x](data:image/png;base64,AAAA)"), HELLO]},
            {"messages": [user("<audio>What does she say?"), HELLO]},
            {"messages": [user([{"type": "image_url", "image_url": {"url": "a"}}]), HELLO]},
            {
                "messages": [
                    user([{"type": "text", "text": "a"}, {"type": "input_audio", "input_audio": {}}]),
                    HELLO,
                ]
            },
            {"messages": [user([{"type": "image"}, {"type": "text", "text": "a"}]), HELLO]},
            {"messages": [user([{"image": {"format": "png"}}, {"text": "a"}]), HELLO]},
            {"messages": [{**HI, "images": ["a.png"]}, HELLO]},
            {
                "contents": [
                    {"role": "user", "parts": [{"fileData": {"fileUri": "a"}}]},
                    {"role": "model", "parts": [{"text": "a"}]},
                ]
            },
        ],
    ),
    "tool calls": (
        "E213",
        [
            _with(tools=[{"type": "function"}]),
            _with(functions=[{"name": "f"}]),
            _with(tools="[]"),
            _answer(tool_calls=[{"id": "1"}]),
            _answer(function_call={"name": "f"}),
            {"messages": [HI, {"role": "tool", "content": "3", "tool_call_id": "1"}, HELLO]},
            {"messages": [HI, {"role": "function", "name": "f", "content": "3"}, HELLO]},
            {"messages": [HI, assistant([{"type": "tool_use", "id": "1", "name": "f", "input": {}}])]},
            {"messages": [user([{"type": "tool_result", "tool_use_id": "1", "content": "3"}]), HELLO]},
            {"messages": [user([{"toolResult": {"content": []}}]), HELLO]},
            {"conversations": [{"from": "human", "value": "a"}, {"from": "function_call", "value": "{}"}]},
            {"conversations": [{"from": "human", "value": "a"}, {"from": "observation", "value": "{}"}]},
        ],
    ),
    "chat templates in the text": (
        "E403",
        [
            {"prompt": "<|im_start|>user\nHi<|im_end|>", "completion": "Hello"},
            {"prompt": "Hi", "completion": "Hello<|im_end|>"},
            {"prompt": "<s>[INST] Hi [/INST]", "completion": "Hello </s>"},
            {"messages": [user("[INST] Hi [/INST]"), HELLO]},
            {"messages": [user("<s>Hi"), HELLO]},
            {"messages": [HI, assistant("Hello</s>")]},
            {"messages": [user("<<SYS>>Be kind<</SYS>> Hi"), HELLO]},
            {"messages": [user("Hi<|end|>"), HELLO]},
            {"messages": [user("Say <|assistant|> to me"), HELLO]},
            {"messages": [user("<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"), HELLO]},
            {"messages": [user("<start_of_turn>user\nHi<end_of_turn>"), HELLO]},
            {"messages": [HI, assistant("Hello<|endoftext|>")]},
            {"instruction": "<|user|>\nHi", "input": "", "output": "Hello"},
            {"prompt": "<\uff5cUser\uff5c>Hi<\uff5cAssistant\uff5c>", "completion": "Hello"},
            {"prompt": "[|Human|] Hi [|AI|]", "completion": "Hello"},
            {"messages": [HI, assistant("Hello <unk> you")]},
            {"prompt": "\n\nHuman: Hi\n\nAssistant:", "completion": " Hello"},
            {"prompt": "USER: Hi ASSISTANT: ", "completion": "Hello"},
            {"question": "### Human: Hi\n### Assistant:", "answer": "Hello"},
            {"messages": [user("### Instruction:\nHi\n\n### Response:\n"), HELLO]},
        ],
    ),
    "JSON inside a text": (
        "E404",
        [
            {"messages": json.dumps([HI, HELLO])},
            {"conversations": json.dumps([HI, HELLO])},
            {"messages": "{}"},
            {"messages": [user(json.dumps([HI, HELLO])), HELLO]},
            {"messages": [user('[{"type": "text", "text": "Hi"}]'), HELLO]},
        ],
    ),
    "text without turns": (
        "E405",
        [{"text": "### Human: Hi ### Assistant: Hello"}, {"text": "Once upon a time", "id": 3}],
    ),
    "one message per row": (
        "E406",
        [
            HI,
            {**HELLO, "conversation_id": 7},
            {"from": "human", "value": "Hi"},
            {"role": "prompter", "text": "Hi"},
        ],
    ),
    "keys of unknown effect": (
        "E215",
        [
            *(
                _with(**{key: "x"})
                for key in ("lang", "system_hint", "reasoning_content", "thinking", "persona")
            ),
            *(
                _with(**{key: "x"})
                for key in ("context", "history", "instruction", "text", "completion", "mask")
            ),
            _with(prompt="Be a pirate."),
            _with(lang=0),
            _with(exclude=False),
            _answer(reasoning_content="Hm."),
            _answer(thinking="Hm."),
            _answer(refusal="No."),
            _answer(mask=1),
            _answer(prefix=True),
            {"prompt": "Hi", "completion": "Hello", "persona": "pirate"},
            _tree(_reply("Hello", deleted=True)),
            {**_tree(_reply("Hello")), "persona": "pirate"},
            {"instruction": "Hi", "output": "Hello", "response": "No"},
            {
                "conversations": [
                    {"from": "human", "value": "a", "emotion": "x"},
                    {"from": "gpt", "value": "b"},
                ]
            },
        ],
    ),
    "answers not to be learned": (
        "E216",
        [
            _answer(weight=0),
            _answer(weight=0.5),
            _answer(loss_mask=0),
            _with(loss_mask=[0, 1]),
            _answer(loss=False),
            _answer(train=False),
            _answer(loss_weight=0.0),
            _answer(trainable="no"),
            _with(weight=0),
            _with(train=False),
            {"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b", "weight": 0}]},
            _tree(_reply("Hello", review_result=False)),
        ],
    ),
    "two layouts": (
        "E217",
        [
            _with(conversations=[HI, HELLO]),
            _with(prompt="Hi", completion="Hello"),
            _with(system="a", system_prompt="b"),
            {"instruction": "a", "question": "b", "answer": "c"},
            {"instruction": "a", "input": "b", "context": "c", "output": "d"},
            _tree(_reply("Hello"), _reply("Hi")),
            {**CHAT, "thread_id": "1", "thread": [HI, HELLO]},
            {"question": "Hi", "answer": ["Hello", "Hey"]},
            {"prompt": ["Hi", "Ho"], "completion": "Hello"},
            {"messages": [user(["Hi", "Ho"]), HELLO]},
            {"messages": [{**HI, "value": "Hi"}, HELLO]},
            {"messages": [{**HI, "from": "human"}, HELLO]},
        ],
    ),
}
CASES = [(code, row) for code, rows in REFUSED.values() for row in rows]


@pytest.mark.parametrize(("code", "row"), CASES)
def test_what_would_train_something_else_is_refused(code: str, row: dict[str, Any]) -> None:
    """Under the code that names it; the row is not in the snapshot; a refused kind rejects under `drop`."""
    checked = _beside(row)
    assert [line for line, _ in checked.found(code)] == [31], checked.report.counts
    assert checked.report.rows_kept == 30
    assert not checked.report.accepted
    kind = code == "E213" or code.startswith("E4")
    assert _beside(row, DROP).report.accepted is not kind


@pytest.mark.parametrize("row", [rows[0] for code, rows in REFUSED.values() if code.startswith("E4")])
def test_a_refused_kind_is_listed_once_and_counted(row: dict[str, Any]) -> None:
    """Not row by row; the reason names it, how many rows have it, and the first of them."""
    report = _beside(row, times=25).report
    (issue,) = (issue for issue in report.issues if issue.code.is_refused_kind)
    assert report.counts[issue.code] == 25
    assert f"({issue.code}) in 25 of 55 rows, the first in math.jsonl line 31" in report.reason


@pytest.mark.parametrize("empty", [None, "", [], {}])
@pytest.mark.parametrize(
    "key", ["prompt", "tools", "images", "chosen", "lang", "weight", "reasoning_content"]
)
def test_a_key_without_a_value_means_nothing(key: str, empty: Any) -> None:
    """Tables put a null wherever another row has something."""
    for row in (
        _with(**{key: empty}),
        _answer(**{key: empty}),
        {"question": "a", "completion": "b", key: empty},
    ):
        checked = _beside(row)
        assert checked.report.accepted, checked.report.reason
        assert checked.report.rows_kept == 31


def test_harmless_keys_are_left_out_and_named() -> None:
    """Of rows and messages; the report says which, and of how many rows."""
    checked = _beside(_with(**dict.fromkeys(sorted(HARMLESS_ROW_KEYS), "x")), times=2)
    assert checked.report.accepted
    assert checked.report.left_out_keys == dict.fromkeys(HARMLESS_ROW_KEYS, 2)
    checked = _beside(_answer(**dict.fromkeys(HARMLESS_MESSAGE_KEYS, "x")))
    assert checked.report.left_out_keys == dict.fromkeys(HARMLESS_MESSAGE_KEYS, 1)


@pytest.mark.parametrize(
    "row",
    [
        _with(lang="de"),
        _with(images=["a"]),
        _with(weight=0),
        _answer(thinking="Hm."),
        _answer(tool_calls=[1]),
    ],
)
def test_the_uploader_may_allow_keys(row: dict[str, Any]) -> None:
    """What is allowed is left out like what is harmless."""
    keys = ("lang", "images", "weight", "thinking", "tool_calls")
    checked = _beside(row, ValidationRules(ignore_keys=keys))
    assert checked.report.accepted, checked.report.reason
    assert json.dumps([HI, HELLO], sort_keys=True) in checked.conversations()
    assert set(checked.report.left_out_keys) <= set(keys)


CHOSEN = [
    {"prompt": "Hi", "chosen": "Hello", "rejected": "Go away"},
    {"chosen": [HI, HELLO], "rejected": [HI, assistant("Go away")], "score_chosen": 9, "score_rejected": 1},
    {"prompt": "Hi", "chosen": [HI, HELLO], "rejected": [HI, assistant("No")]},
    {"prompt": "Hi", "chosen": [HELLO], "rejected": [assistant("No")]},
    {"prompt": [HI], "chosen": [HELLO], "rejected": [assistant("No")]},
    {"conversations": [HI], "chosen": HELLO, "rejected": assistant("No")},
    {"input": {"messages": [HI]}, "preferred_output": [HELLO], "non_preferred_output": [assistant("No")]},
    {"prompt": "Hi", "completion": "Hello", "label": True},
    {"prompt": "Hi", "completion": "Hello", "label": "True"},
    {"prompt": "Hi", "completion": "Hello", "label": 1},
    {"messages": [HI, HELLO], "kto_tag": True},
]


@pytest.mark.parametrize("row", CHOSEN)
def test_the_chosen_answers_may_be_used(row: dict[str, Any]) -> None:
    """And then only those; what is marked as bad is left out and no fault."""
    rules = ValidationRules(preference="use_chosen", min_evaluation_rows=1)
    checked = _beside(row, rules)
    assert checked.report.accepted, checked.report.reason
    assert json.dumps([HI, HELLO], sort_keys=True) in checked.conversations()
    for label in (False, "False", 0):
        bad = _beside({"prompt": "Hi", "completion": "Go away", "label": label}, rules)
        assert bad.report.accepted
        assert bad.report.counts == {"W108": 1}
    assert "E401" in _beside({"prompt": "Hi", "completion": "x", "label": "maybe"}, rules).report.counts
    unclear = _beside({"prompt": "Hi", "response_a": "x", "response_b": "y"}, rules)
    assert unclear.report.counts == {"E401": 1}


@pytest.mark.parametrize(("option", "kind"), [("vision", "images, sound and video"), ("tools", "tool calls")])
def test_rows_of_a_kind_may_be_left_out(option: str, kind: str) -> None:
    """Each of them, under the strict policy too, and no other row."""
    lines = [json.dumps(row).encode() for row in REFUSED[kind][1]]
    checked = check_lines(
        [*good_rows(30), *lines], ValidationRules(min_evaluation_rows=1, **{option: "drop_rows"})
    )
    assert checked.report.accepted, checked.report.reason
    assert checked.report.counts == {"W108": len(lines)}
    assert checked.report.rows_kept == 30
    assert f"{len(lines)} rows were left out as asked" in checked.report.reason


def test_marks_of_templates_may_be_stripped() -> None:
    """With the roles that go with them; what the speakers said stays."""
    rules = ValidationRules(pretemplated="strip")
    for row in REFUSED["chat templates in the text"][1]:
        checked = _beside(row, rules)
        assert checked.report.accepted, checked.report.reason
        texts = "".join(checked.conversations())
        assert not any(mark in texts for mark in ("<|", "|>", "[INST]", "<s>", "</s>", "_of_turn>", "SYS>>"))
    checked = _beside({"prompt": "### Instruction:\nHi\n\n### Response:\n", "completion": "Hello"}, rules)
    assert json.dumps([HI, HELLO], sort_keys=True) in checked.conversations()
    several = {"prompt": "\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: Bye\n\nAssistant:", "completion": "Bye"}
    assert "E403" in _beside(several, rules).report.counts
    checked = _beside({"prompt": "<|im_start|>user\nHi<|im_end|>\n", "completion": "Hello<|im_end|>"}, rules)
    assert json.dumps([HI, HELLO], sort_keys=True) in checked.conversations()


def test_a_conversation_may_be_cut_before_a_masked_answer() -> None:
    """What is left ends with an answer that is to be learned; if there is none, the row stays faulty."""
    rules = ValidationRules(mask="split")
    masked = {**assistant("Not this"), "weight": 0}
    checked = _beside({"messages": [system("s"), HI, HELLO, user("And?"), masked, user("So?"), HELLO]}, rules)
    assert checked.report.accepted, checked.report.reason
    assert json.dumps([system("s"), HI, HELLO], sort_keys=True) in checked.conversations()
    assert checked.report.counts["R113"] == 1
    assert "E216" in _beside({"messages": [HI, masked, user("So?"), HELLO]}, rules).report.counts


@pytest.mark.parametrize("answer", ["N/A", "None", "nan", "[object Object]", " null ", "undefined", "#N/A"])
def test_a_placeholder_for_an_answer_draws_a_warning(answer: str) -> None:
    """The row is kept: it may be what was meant."""
    for row in ({"messages": [HI, assistant(answer)]}, {"prompt": "Hi", "completion": answer}):
        checked = _beside(row)
        assert checked.report.counts["W107"] == 1
        assert checked.report.rows_kept == 31
    assert "W107" not in _beside({"messages": [HI, assistant("None of them.")]}).report.counts
    assert set(checked.report.splits) == set(Split)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"Prompt": "Hi", " completion": "Hello"}, 'write "prompt", "completion", in lower case'),
        ({"Messages": [HI, HELLO]}, 'write "messages", in lower case'),
        ({"question": "Hi", "answers": {"text": ["Hello"]}}, 'beside "question" there is no answer'),
        ({"prompt": "Hi", "outputs": "Hello"}, "call it output or response or completion or answer"),
        ({"title": "Hi", "body": "Hello"}, 'the row has "title", "body", but no "messages"'),
    ],
)
def test_a_row_without_a_conversation_says_what_it_lacks(row: dict[str, Any], words: str) -> None:
    """Names in capitals, and questions whose answer has another name."""
    ((_, message),) = _beside(row).found("E201")
    assert words in message
