"""The layouts of datasets, as one table.

A layout is recognised by the keys of a row that have a value. What one layout honours (a system text, a
context, a history, aliases of roles) every layout honours; `row_plan` says what becomes of a row.
"""

from typing import Any, NamedTuple

from .codes import Code


class Layout(NamedTuple):
    """One way to write a conversation.

    Attributes:
        name: What people call it.
        code: The repair that a row of this layout counts as; None if it is the trainer's own.
        turns: Keys of a list of turns, of which a row has one; or
        question: keys of the last question, of which a row has one, and
        answer: keys of its answer.
        beside: A key that such a row has besides.
        harmless: Keys of a row that have no effect in this layout.
        source: Who documents it.
        example: A row.
    """

    name: str
    code: Code | None
    source: str
    example: dict[str, Any]
    turns: tuple[str, ...] = ()
    question: tuple[str, ...] = ()
    answer: tuple[str, ...] = ()
    beside: str | None = None
    harmless: tuple[str, ...] = ()


_ANSWER = ("output", "response", "completion", "answer")

LAYOUTS = (
    Layout(
        "messages",
        None,
        "OpenAI, Azure OpenAI, Mistral; Anthropic and Bedrock Converse with a `system` of the row",
        {
            "system": [{"text": "Be brief."}],
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
                {"role": "assistant", "content": "Hello"},
            ],
        },
        turns=("messages",),
    ),
    Layout(
        "ShareGPT",
        Code.SHAREGPT,
        "LLaMA-Factory, data/README.md",
        {
            "system": "Be brief.",
            "conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}],
        },
        turns=("conversations", "conversation", "dialogue", "dialog"),
    ),
    Layout(
        "Vertex AI",
        Code.VERTEX,
        "Vertex AI supervised tuning of Gemini",
        {
            "systemInstruction": {"role": "system", "parts": [{"text": "Be brief."}]},
            "contents": [
                {"role": "user", "parts": [{"text": "Hi"}]},
                {"role": "model", "parts": [{"text": "Hello"}]},
            ],
        },
        turns=("contents",),
    ),
    Layout(
        "Alpaca and Dolly",
        Code.ALPACA,
        "LLaMA-Factory, data/README.md; databricks-dolly-15k",
        {"instruction": "Translate.", "input": "chat", "output": "cat", "history": [["Hi", "Hello"]]},
        question=("instruction",),
        answer=_ANSWER,
    ),
    Layout(
        "prompt and completion",
        Code.PROMPT_COMPLETION,
        "OpenAI's legacy fine-tuning; TRL's prompt-completion type, also with lists of messages",
        {"system": "Be brief.", "prompt": "Hi", "completion": "Hello"},
        question=("prompt",),
        answer=_ANSWER,
    ),
    Layout(
        "question and answer",
        Code.QUESTION_ANSWER,
        "common on the Hugging Face Hub",
        {"context": "A cat is an animal.", "question": "What is a cat?", "answer": "An animal."},
        question=("question", "query"),
        answer=_ANSWER,
    ),
    Layout(
        "Cohere",
        Code.COHERE,
        "Cohere's chat API: preamble, chat_history, message",
        {
            "preamble": "Be brief.",
            "chat_history": [
                {"role": "USER", "message": "Hi"},
                {"role": "CHATBOT", "message": "Hello"},
            ],
            "message": "Who are you?",
            "response": "A cat.",
        },
        question=("message",),
        answer=(*_ANSWER, "text"),
    ),
    Layout(
        "OpenAssistant thread",
        Code.OASST,
        "LAION-AI/Open-Assistant, oasst-data",
        {
            "thread_id": "2",
            "thread": [
                {"message_id": "1", "role": "prompter", "text": "Hi", "lang": "en"},
                {"message_id": "2", "role": "assistant", "text": "Hello", "lang": "en"},
            ],
        },
        turns=("thread",),
        beside="thread_id",
        harmless=("thread_id",),
    ),
    Layout(
        "OpenAssistant tree without branches",
        Code.OASST,
        "LAION-AI/Open-Assistant, oasst-data",
        {
            "message_tree_id": "1",
            "tree_state": "ready_for_export",
            "prompt": {
                "message_id": "1",
                "role": "prompter",
                "text": "Hi",
                "replies": [{"message_id": "2", "role": "assistant", "text": "Hello", "replies": []}],
            },
        },
        turns=("prompt",),
        beside="message_tree_id",
        harmless=("message_tree_id", "tree_state"),
    ),
    Layout(
        "inputs and targets",
        Code.QUESTION_ANSWER,
        "FLAN and Aya; T5 has input_text and target_text, Vertex AI for PaLM input_text and output_text",
        {"inputs": "Hi", "targets": "Hello"},
        question=("inputs", "input_text"),
        answer=("targets", "target_text", "output_text"),
    ),
    Layout(
        "input and output",
        Code.QUESTION_ANSWER,
        "common on the Hugging Face Hub",
        {"input": "Hi", "output": "Hello"},
        question=("input",),
        answer=_ANSWER,
    ),
)
