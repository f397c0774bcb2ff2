"""Parse OpenAI's requests for chat completions.

Each parameter is passed on, accepted because it changes nothing, or refused by name: here, or in `dialects`
if the endpoint's server does not support it. No parameter that would change the reply is ignored.

Source: OpenAI's API reference, "Create chat completion" and "Errors".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import Meta

from shared.domain.errors import FinetuneError
from shared.domain.fields import convert_fields
from shared.domain.serving.chat import Chat

MOST_STOPS = 4


class OpenAIRequestError(FinetuneError):
    """A chat completion request that cannot be honoured.

    Attributes:
        param: The parameter at fault, or None if it is the body as a whole.
    """

    def __init__(self, message: str, *, param: str | None, code: str) -> None:
        super().__init__(message, code=code)
        self.param = param


class TextPart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A piece of a message's text."""

    type: Literal["text"]
    text: str


_Empty = Annotated[list[Any], Meta(max_length=0)] | None


class ChatTurn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One message of a request; `developer` is what newer clients call the system.

    Replies may come back as clients keep them: what the fine-tuned model has no notion of is empty in them.
    """

    role: Literal["system", "developer", "user", "assistant"]
    content: str | Annotated[list[TextPart], Meta(min_length=1)]
    name: Literal[""] | None = None
    refusal: None = None
    audio: None = None
    function_call: None = None
    tool_calls: _Empty = None
    annotations: _Empty = None


class StreamOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a stream ends with, and whether its events may be padded, which these never are."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class ResponseFormat(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The form of the reply."""

    type: Literal["text", "json_object"]


class ChatCompletionRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters of a chat completion that mean something here."""

    model: Annotated[str, Meta(min_length=1, description="Endpoint name, or dataset name.")]
    messages: Annotated[list[ChatTurn], Meta(min_length=1)]
    temperature: Annotated[
        Annotated[float, Meta(ge=0, le=2)] | None,
        Meta(
            description="0 is greedy decoding. vLLM's server takes 1 at most, and gets 1 for more. "
            "Without it and `top_p`, as the model is configured."
        ),
    ] = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Meta(ge=1)] | None = None
    stop: Annotated[
        str | Annotated[list[str], Meta(max_length=MOST_STOPS)] | None,
        Meta(description="The reply ends before the first of these."),
    ] = None
    n: Annotated[Literal[1] | None, Meta(description="One reply a request.")] = None
    seed: Annotated[int | None, Meta(description="With vLLM; elsewhere only with `temperature` 0.")] = None
    presence_penalty: Annotated[
        Annotated[float, Meta(ge=-2, le=2)] | None, Meta(description="With vLLM only.")
    ] = None
    frequency_penalty: Annotated[
        Annotated[float, Meta(ge=-2, le=2)] | None, Meta(description="With vLLM only.")
    ] = None
    response_format: Annotated[
        ResponseFormat | None, Meta(description="`json_object` with vLLM only; JSON schemas are refused.")
    ] = None
    stream: Annotated[
        bool | None,
        Meta(description="`true` answers with server-sent events, as the reply is generated."),
    ] = None
    stream_options: Annotated[StreamOptions | None, Meta(description="Only with `stream`.")] = None


class Completion(NamedTuple):
    """A request, read.

    Attributes:
        model: What the request names.
        chat: What is asked of the model.
        stream: Whether server-sent events are asked for.
        include_usage: Whether the stream is to end with the usage.
    """

    model: str
    chat: Chat
    stream: bool
    include_usage: bool


HARMLESS = (
    *("user", "metadata", "service_tier", "safety_identifier", "prompt_cache_key", "verbosity"),
    *("parallel_tool_calls", "prompt_cache_options", "prompt_cache_retention"),
)
"""Parameters that change nothing in a text that a model without tools writes."""

_KNOWN = frozenset({*ChatCompletionRequest.__struct_fields__, *HARMLESS})

NEUTRAL: dict[str, tuple[Any, ...]] = {
    "logprobs": (False,),
    "top_logprobs": (0,),
    "logit_bias": ({},),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "modalities": (["text"],),
    "store": (False,),
    "audio": (),
    "moderation": (),
    "prediction": (),
    "reasoning_effort": (),
    "web_search_options": (),
}
"""Parameters that a fine-tuned model does not have, and the values that ask for nothing; null never does."""


def read_completion(body: Mapping[str, Any]) -> Completion:
    """Read a request.

    Raises:
        OpenAIRequestError: Naming the first parameter that cannot be honoured.
    """
    request = _typed(body)
    _refuse_unknown(body)
    if request.stream_options is not None and not request.stream:
        message = "stream_options: only allowed when stream is true"
        raise OpenAIRequestError(message, param="stream_options", code="invalid_value")
    stops = (request.stop,) if isinstance(request.stop, str) else tuple(request.stop or ())
    return Completion(
        model=request.model,
        chat=Chat(
            messages=tuple(_message(turn) for turn in request.messages),
            max_tokens=_max_tokens(request),
            temperature=request.temperature,
            top_p=request.top_p,
            stop=tuple(stop for stop in stops if stop),
            seed=request.seed,
            presence_penalty=request.presence_penalty,
            frequency_penalty=request.frequency_penalty,
            json_object=request.response_format is not None and request.response_format.type == "json_object",
        ),
        stream=bool(request.stream),
        include_usage=bool(request.stream_options and request.stream_options.include_usage),
    )


def _typed(body: Mapping[str, Any]) -> ChatCompletionRequest:
    for name in ("model", "messages"):
        if name not in body:
            raise OpenAIRequestError(
                f"you must provide {name}", param=name, code="missing_required_parameter"
            )
    try:
        return msgspec.convert(body, ChatCompletionRequest)
    except msgspec.ValidationError as fault:
        _, problems = convert_fields(ChatCompletionRequest, body, strict=True)
        name, message = problems[0]
        raise OpenAIRequestError(f"{name}: {message}", param=name, code="invalid_value") from fault


def _refuse_unknown(body: Mapping[str, Any]) -> None:
    for name, value in body.items():
        if name in _KNOWN:
            continue
        if name not in NEUTRAL:
            raise OpenAIRequestError(
                f"unrecognized request argument: {name}", param=name, code="unknown_parameter"
            )
        if value is not None and not any(_same(value, neutral) for neutral in NEUTRAL[name]):
            raise _unsupported(name, "fine-tuned models do not offer it; leave it out")


def _same(value: Any, other: Any) -> bool:
    """As JSON has it, where 0 is 0.0 and not false."""
    return bool(value == other) and isinstance(value, bool) is isinstance(other, bool)


def _max_tokens(request: ChatCompletionRequest) -> int | None:
    limits = {request.max_tokens, request.max_completion_tokens} - {None}
    if len(limits) > 1:
        message = "max_tokens and max_completion_tokens differ; send only one of them"
        raise OpenAIRequestError(message, param="max_tokens", code="invalid_value")
    return limits.pop() if limits else None


def _message(turn: ChatTurn) -> dict[str, str]:
    role = "system" if turn.role == "developer" else turn.role
    content = turn.content if isinstance(turn.content, str) else "".join(part.text for part in turn.content)
    return {"role": role, "content": content}


def _unsupported(name: str, why: str) -> OpenAIRequestError:
    message = f"{name} is not supported: {why}"
    return OpenAIRequestError(message, param=name, code="unsupported_parameter")
