"""Requests of `/score`, in Azure ML's form or the short one, whatever server is behind the endpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

import msgspec
from msgspec import Meta

from shared.domain.errors import RequestError
from shared.domain.serving.chat import Chat, Reply, UnsupportedParameterError

Kind = TypeVar("Kind", bound=msgspec.Struct)

MOST_CONVERSATIONS = 16
"""Conversations of one request: the server answers them one by one within the request's time."""


class Message(msgspec.Struct, frozen=True):
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: Annotated[str, Meta(min_length=1)]


Conversation = Annotated[list[Message], Meta(min_length=1)]


class ScoreParameters(msgspec.Struct, frozen=True, kw_only=True):
    """How replies are generated, in Hugging Face's names and OpenAI's."""

    max_new_tokens: Annotated[int, Meta(ge=1)] | None = None
    max_gen_len: Annotated[int, Meta(ge=1)] | None = None
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    do_sample: bool | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    presence_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None


class ScoreMessages(ScoreParameters, frozen=True, kw_only=True):
    """The short form: a conversation, and generation parameters beside it."""

    messages: Conversation
    stream: Annotated[
        bool | None, Meta(description="Server-sent events in OpenAI's form instead of one answer.")
    ] = None


class ScoreInput(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation or a list of them, and how to answer."""

    input_string: Annotated[list[Any], Meta(min_length=1, description="A conversation, or a list of them.")]
    parameters: Annotated[dict[str, Any], Meta(description="Generation parameters.")] = {}


class ScorePayload(msgspec.Struct, frozen=True, kw_only=True):
    """Azure ML's own form. Its servers ignore `params`, so that it must be empty."""

    input_data: ScoreInput
    params: Annotated[dict[str, Any], Meta(max_length=0)] | None = None


class ScoreRequest(NamedTuple):
    """What a caller asks.

    Attributes:
        chats: One for each conversation.
        short: Whether the request has the short form, and so has the answer.
        stream: Whether server-sent events are asked for, which the short form alone has.
    """

    chats: tuple[Chat, ...]
    short: bool
    stream: bool = False

    def answer(self, replies: Sequence[Reply]) -> Any:
        """The body of the answer: Azure ML's `[{"0": text}, …]`, or what is known of the one reply."""
        if not self.short:
            return [{"0": reply.text} for reply in replies]
        (reply,) = replies
        usage = {} if reply.usage is None else {"usage": dict(reply.usage)}
        return {"output": reply.text, "finish_reason": reply.finish_reason, **usage}


def read_score_request(body: Mapping[str, Any]) -> ScoreRequest:
    """Read either form.

    Raises:
        RequestError: 400, naming what is missing, wrong or not supported.
    """
    if "input_data" in body:
        return _read_payload(body)
    if "messages" not in body:
        raise _malformed("the body must have either messages or input_data")
    own = {name: body[name] for name in ("messages", "stream") if name in body}
    parameters = {name: value for name, value in body.items() if name not in own}
    asked = _convert(own, ScoreMessages)
    chat = _chat(asked.messages, _parameters(parameters))
    return ScoreRequest((chat,), short=True, stream=bool(asked.stream))


def _read_payload(body: Mapping[str, Any]) -> ScoreRequest:
    for name in body:
        if name not in ScorePayload.__struct_fields__:
            raise UnsupportedParameterError(name, "Azure ML's payload has input_data and params")
    try:
        asked = msgspec.convert(body, ScorePayload).input_data
    except msgspec.ValidationError as fault:
        message = "input_data must be an object whose input_string is a list of messages"
        raise _malformed(f"{message}: {fault}") from fault
    for name in body["input_data"]:
        if name not in ScoreInput.__struct_fields__:
            raise UnsupportedParameterError(f"input_data.{name}", "it has input_string and parameters")
    several = isinstance(asked.input_string[0], list)
    conversations = asked.input_string if several else [asked.input_string]
    if len(conversations) > MOST_CONVERSATIONS:
        raise _malformed(f"input_string has {len(conversations)} conversations; {MOST_CONVERSATIONS} at most")
    read = _parameters(asked.parameters)
    chats = (_chat(_conversation(one), read) for one in conversations)
    return ScoreRequest(tuple(chats), short=False)


def _conversation(given: Any) -> list[Message]:
    try:
        return msgspec.convert(given, Conversation)
    except msgspec.ValidationError as fault:
        message = (
            "input_string must be a conversation, which is a list of messages, or a list of conversations"
        )
        raise _malformed(f"{message}: {fault}") from fault


def _parameters(given: Mapping[str, Any]) -> ScoreParameters:
    for name in given:
        if name not in ScoreParameters.__struct_fields__:
            known = ", ".join(sorted(ScoreParameters.__struct_fields__))
            raise UnsupportedParameterError(name, f"the parameters are {known}")
    read = _convert(given, ScoreParameters)
    if read.do_sample and read.temperature == 0:
        raise _malformed("temperature: must be above 0 where do_sample is true")
    return read


def _chat(messages: Sequence[Message], given: ScoreParameters) -> Chat:
    temperature = given.temperature
    if given.do_sample is False:
        temperature = 0.0
    elif given.do_sample and temperature is None and given.top_p is None:
        temperature = 1.0
    stop = (given.stop,) if isinstance(given.stop, str) else tuple(given.stop or ())
    return Chat(
        messages=tuple({"role": one.role, "content": one.content} for one in messages),
        max_tokens=given.max_new_tokens or given.max_gen_len or given.max_tokens,
        temperature=temperature,
        top_p=given.top_p,
        stop=tuple(text for text in stop if text),
        seed=given.seed,
        presence_penalty=given.presence_penalty,
        frequency_penalty=given.frequency_penalty,
    )


def _convert(given: Mapping[str, Any], kind: type[Kind]) -> Kind:
    try:
        return msgspec.convert(given, kind)
    except msgspec.ValidationError as fault:
        raise _malformed(str(fault)) from fault


def _malformed(message: str) -> RequestError:
    return RequestError(400, message, code="MalformedRequest")
