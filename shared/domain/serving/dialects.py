"""Requests and replies in the dialects of model servers.

Sources: llm-optimized-inference 0.2.58 (the server of the image `foundation-model-inference`) and
azureml-evaluate-mlflow 0.0.91 (`ChatCompletionPredictor`, the MLflow server's model). Nothing that these
servers would drop in silence, or fail on, is sent to them: it is translated, or refused by its name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shared.domain.errors import RequestError, ScoringError
from shared.domain.serving.chat import DEFAULT_REPLY_TOKENS, Chat, Reply, UnsupportedParameterError, Upstream
from shared.domain.serving.record import Dialect, Route

HOTTEST = 1.0
"""The highest temperature of the image's OpenAI routes; a higher one is 422 there, and is sent as this."""

PASS_THROUGH = {"extra-parameters": "pass-through"}


def upstream_request(route: Route, chat: Chat, *, stream: bool = False, usage: bool = False) -> Upstream:
    """Put a request for one reply as the server behind `route` takes it.

    Args:
        route: From the run's record.
        chat: What is asked.
        stream: Whether the reply is wanted as server-sent events; only in OpenAI's dialect.
        usage: Whether the stream is to end with the count of tokens, where the server can.

    Raises:
        UnsupportedParameterError: Naming the parameter that the server cannot honour.
        RequestError: 400 for an order of messages that the server's model fails on.
    """
    match route.dialect:
        case Dialect.OPENAI:
            return _openai(route, chat, stream=stream, usage=usage)
        case Dialect.SCORE:
            return Upstream(route.path, {}, _score_body(list(chat.messages), _score_parameters(chat)))
        case Dialect.SCORE_BATCH:
            _check_turns(chat.messages)
            return Upstream(route.path, {}, _score_body([list(chat.messages)], _batch_parameters(chat)))


def read_reply(route: Route, answer: Any, chat: Chat) -> Reply:
    """Find the reply in what the server behind `route` answered.

    Raises:
        ScoringError: 502 if the answer is not one of its dialect: `{}` with status 200 is how `/score` of the
            vLLM image says that the model failed.
    """
    match route.dialect:
        case Dialect.OPENAI:
            return _read_openai(answer)
        case Dialect.SCORE:
            text = answer.get("output") if isinstance(answer, Mapping) else None
        case Dialect.SCORE_BATCH:
            text = _only_text(answer[0] if isinstance(answer, list) and answer else None)
    if not isinstance(text, str):
        raise _malformed(answer)
    # The vLLM server has cut the reply there itself.
    return Reply(end_at(text, chat.stop))


def end_at(text: str, stops: Sequence[str]) -> str:
    """Cut a reply before the first of `stops` that is in it."""
    return text[: min((at for at in map(text.find, stops) if at >= 0), default=len(text))]


def _openai(route: Route, chat: Chat, *, stream: bool, usage: bool) -> Upstream:
    body: dict[str, Any] = {"messages": list(chat.messages)}
    if chat.greedy:
        body["temperature"] = 0
    else:
        if chat.temperature is not None:
            body["temperature"] = min(chat.temperature, HOTTEST)
        if chat.top_p is not None:
            body["top_p"] = chat.top_p
    # Without it the server goes on to the end of the context, as OpenAI's own does.
    if chat.max_tokens is not None:
        body["max_tokens"] = chat.max_tokens
    if chat.stop:
        body["stop"] = list(chat.stop)
    for name in ("seed", "presence_penalty", "frequency_penalty"):
        if (value := getattr(chat, name)) is not None:
            body[name] = value
    if chat.json_object:
        body["response_format"] = {"type": "json_object"}
    if stream:
        body["stream"] = True
    if stream and usage and route.extras:
        body["stream_options"] = {"include_usage": True}
    return Upstream(route.path, PASS_THROUGH if route.extras else {}, body)


def _score_body(input_string: list[Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {"input_data": {"input_string": input_string, "parameters": dict(parameters)}}


def _sampling(chat: Chat) -> dict[str, Any]:
    """The generation parameters that both `/score` servers know, in Hugging Face's names."""
    parameters: dict[str, Any] = {"max_new_tokens": chat.max_tokens or DEFAULT_REPLY_TOKENS}
    if chat.greedy:
        parameters["do_sample"] = False
    elif chat.temperature is not None or chat.top_p is not None:
        parameters["do_sample"] = True
        if chat.temperature is not None:
            parameters["temperature"] = chat.temperature
        if chat.top_p is not None:
            parameters["top_p"] = chat.top_p
    return parameters


def _score_parameters(chat: Chat) -> dict[str, Any]:
    if chat.json_object:
        raise UnsupportedParameterError("response_format", "this endpoint's server supports text only")
    parameters = _sampling(chat)
    if chat.stop:
        parameters["stop"] = list(chat.stop)
    for name in ("seed", "presence_penalty", "frequency_penalty"):
        if (value := getattr(chat, name)) is not None:
            parameters[name] = value
    return parameters


_UNMARKED_SYSTEM = {"B_SYS": "", "E_SYS": ""}
"""Around a system text the MLflow server's model puts Llama 2's marks, which its training did not see."""


def _batch_parameters(chat: Chat) -> dict[str, Any]:
    """`stop` is honoured by cutting the reply; what else the model does not know raises there."""
    if chat.json_object:
        raise UnsupportedParameterError("response_format", "this endpoint's server supports text only")
    if chat.seed is not None and not chat.greedy:
        why = "this endpoint's server takes no seed; use temperature 0 for repeatable replies"
        raise UnsupportedParameterError("seed", why)
    for name in ("presence_penalty", "frequency_penalty"):
        if getattr(chat, name):
            raise UnsupportedParameterError(name, "this endpoint's server does not support it")
    if chat.messages and chat.messages[0]["role"] == "system":
        return {**_sampling(chat), "dev_args": {"preprocessing_config": _UNMARKED_SYSTEM}}
    return _sampling(chat)


def _check_turns(messages: Sequence[Mapping[str, str]]) -> None:
    roles = [message["role"] for message in messages]
    turns = roles[1:] if roles[:1] == ["system"] else roles
    expected = ["user", "assistant"] * (len(turns) // 2) + ["user"]
    if turns != expected:
        message = (
            f"messages: the roles are {', '.join(roles)}; this endpoint's model takes an optional system "
            "message, then user and assistant by turns, the last one a user's"
        )
        raise RequestError(400, message, code="MalformedRequest")


def _read_openai(answer: Any) -> Reply:
    choices = answer.get("choices") if isinstance(answer, Mapping) else None
    first = choices[0] if isinstance(choices, list) and choices else None
    choice = first if isinstance(first, Mapping) else {}
    message = choice.get("message")
    text = message.get("content") if isinstance(message, Mapping) else None
    if not isinstance(text, str):
        raise _malformed(answer)
    reason, usage = choice.get("finish_reason"), answer.get("usage")
    return Reply(
        text,
        reason if isinstance(reason, str) else "stop",
        usage if isinstance(usage, Mapping) else None,
    )


def _only_text(item: Any) -> Any:
    """The text of `{"0": text}`, or of a bare string."""
    if isinstance(item, Mapping):
        return next(iter(item.values())) if len(item) == 1 and not item.keys() & _FAULT_KEYS else None
    return item


_FAULT_KEYS = frozenset({"error", "errors", "exception", "detail", "message"})


def _malformed(answer: Any) -> ScoringError:
    if answer == {}:
        message = "the model failed on this request: its server answered an empty object"
        return ScoringError(502, message, code="ModelError", upstream_status=200)
    message = "the model server's answer has no text in the expected place"
    return ScoringError(502, message, code="InvalidResponse", upstream_status=200)
