"""OpenAI's chat completions as the image's servers have them: their checks, answers and event streams."""

from __future__ import annotations

import json
import uuid
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from azureml_emulator.serving.container import ContainerRequest, ContainerStatusError, EventStream
from azureml_emulator.serving.generation import Generation, Served
from azureml_emulator.training.chat_model import MOST_NEW_TOKENS, Sampling


class Message(msgspec.Struct):
    """A message; only text is read."""

    role: str
    content: str


class ResponseFormat(msgspec.Struct):
    """The form of the answer."""

    type: Literal["text", "json_object"] = "text"


class ChatBody(msgspec.Struct):
    """The fields that both servers know."""

    messages: list[Message]
    model: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    stream: bool | None = None
    response_format: ResponseFormat | None = None
    tools: list[Any] | None = None
    tool_choice: Any = None


@dataclass(frozen=True, slots=True)
class ChatRules:
    """What a route does with what OpenAI's API has beyond its own fields.

    Attributes:
        refuses_extras: Unknown fields are answered by 400.
        passes_extras: Unknown fields reach vLLM; otherwise they are dropped.
        model: The name that ``model`` must have; None ignores it.
        hottest: The highest temperature.
        tools: Whether tools are accepted.
    """

    refuses_extras: bool = False
    passes_extras: bool = False
    model: str | None = None
    hottest: float = 1.0
    tools: bool = False


def answer_chat(served: Served, request: ContainerRequest, rules: ChatRules, context: int) -> Any:
    """A chat completion, or an event stream of its chunks.

    Raises:
        ContainerStatusError: 400, 404 or 422.
        TimeoutError: The request's deadline passed.
    """
    document = request.document()
    body = _checked(document, rules)
    extras = _extras(document, rules)
    most = extras.get("max_completion_tokens") or body.max_tokens or MOST_NEW_TOKENS
    stops = [body.stop] if isinstance(body.stop, str) else body.stop or []
    messages = [{"role": one.role, "content": one.content} for one in body.messages]
    top_p = 1.0 if body.top_p is None else body.top_p
    sampling = Sampling(body.temperature or 0.0, max(top_p, 1e-6), int(most), body.seed)
    generation = Generation(served, messages, sampling, request.deadline, stops)
    if generation.prompt_tokens >= context:
        raise _refusal(
            400,
            f"This model's maximum context length is {context} tokens. However, your messages resulted in "
            f"{generation.prompt_tokens} tokens. Please reduce the length of the messages.",
        )
    asked = extras.get("max_completion_tokens") or body.max_tokens
    if asked and generation.prompt_tokens + asked > context:
        raise _refusal(
            400,
            f"This model's maximum context length is {context} tokens. However, you requested "
            f"{generation.prompt_tokens + asked} tokens ({generation.prompt_tokens} in the messages, "
            f"{asked} in the completion). Please reduce the length of the messages or completion.",
        )
    answer = {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "created": int(served.state.clock.now().timestamp()),
        "model": rules.model or served.name,
    }
    as_json = body.response_format is not None and body.response_format.type == "json_object"
    if body.stream:
        with_usage = bool((extras.get("stream_options") or {}).get("include_usage"))
        return EventStream(_events(answer, generation, with_usage=with_usage))
    text = generation.text()
    message = {"role": "assistant", "content": json.dumps({"answer": text}) if as_json else text}
    choice = {"index": 0, "message": message, "finish_reason": generation.finish_reason}
    return {**answer, "object": "chat.completion", "choices": [choice], "usage": _usage(generation)}


def _checked(document: Any, rules: ChatRules) -> ChatBody:
    try:
        body = msgspec.convert(document, ChatBody)
    except msgspec.ValidationError as error:
        raise _refusal(422, str(error)) from None
    if not rules.tools and (body.tools or body.tool_choice is not None):
        raise _refusal(400, "Tools and tool_choice are not supported.")
    if rules.model is not None and body.model != rules.model:
        raise _refusal(404, f"The model `{body.model}` does not exist.")
    for name, value, least, most in (
        ("temperature", body.temperature, 0, rules.hottest),
        ("top_p", body.top_p, 0, 1),
        ("presence_penalty", body.presence_penalty, -2, 2),
        ("frequency_penalty", body.frequency_penalty, -2, 2),
        ("max_tokens", body.max_tokens, 1, float("inf")),
    ):
        if value is not None and not least <= value <= most:
            raise _refusal(422, f"{name} is {value}; it must lie between {least} and {most}")
    if not body.messages:
        raise _refusal(422, "messages must have at least one message")
    return body


def _extras(document: dict[str, Any], rules: ChatRules) -> dict[str, Any]:
    extras = {name: value for name, value in document.items() if name not in ChatBody.__struct_fields__}
    if extras and rules.refuses_extras:
        raise _refusal(400, f"Extra parameters are not supported: {', '.join(sorted(extras))}.")
    return extras if rules.passes_extras else {}


def _refusal(status: int, message: str) -> ContainerStatusError:
    return ContainerStatusError(status, message, {"detail": message})


def _usage(generation: Generation) -> dict[str, int]:
    prompt, completion = generation.prompt_tokens, generation.completion_tokens
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }


def _events(
    answer: dict[str, Any], generation: Generation, *, with_usage: bool
) -> Generator[bytes, None, None]:
    def event(delta: dict[str, str], finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        return _event({**answer, "object": "chat.completion.chunk", "choices": [choice]})

    yield event({"role": "assistant", "content": ""})
    for piece in generation.pieces():
        yield event({"content": piece})
    yield event({}, generation.finish_reason)
    if with_usage:
        usage = {"choices": [], "usage": _usage(generation)}
        yield _event({**answer, "object": "chat.completion.chunk", **usage})
    yield b"data: [DONE]\n\n"


def _event(document: dict[str, Any]) -> bytes:
    return b"data: " + msgspec.json.encode(document) + b"\n\n"
