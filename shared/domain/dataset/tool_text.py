"""Tool calls as text: what a row of tool calls becomes when the uploader asks for `tools: as_text`.

The trainer cannot train tool calls as such (docs/dataset-rules.md, "Tool calls"): it renders them by the base
model's chat template, and tells the assistant's words from the rest by the marks of user and assistant alone.
So the functions become part of the system text, each call part of the answer, and results a turn of the user,
between the tags that Hermes and Qwen models have for them, as vLLM's parser `hermes` reads them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from .keys import (
    CONTENT_KEYS,
    ROLE_KEYS,
    ROLES,
    SYSTEM_KEYS,
    TOOL_MESSAGE_KEYS,
    TOOL_ROLES,
    TOOL_ROW_KEYS,
    is_empty,
)
from .tool_turns import Row, TurnWriter, from_json, parts_of, text_of, to_json, tool_fault

_TURNS = ("messages", "conversations", "conversation")
_USAGE = (
    "To call functions, answer with <tool_call>\n"
    '{"name": …, "arguments": …}\n'
    "</tool_call> for each; the results come between <tool_response> and </tool_response>."
)


def has_tools(row: Mapping[str, Any], ignored: frozenset[str]) -> bool:
    """Whether a row defines or calls tools by keys, roles or parts that are not to be left out."""
    if any(key in TOOL_ROW_KEYS and key not in ignored and not is_empty(row[key]) for key in row):
        return True
    turns = next((row[key] for key in _TURNS if key in row), None)
    return isinstance(turns, list) and any(_is_of_tools(turn, ignored) for turn in turns)


def write_as_text(row: Mapping[str, Any]) -> Row:
    """A row of tool calls as a plain one, of the layout that it had.

    Args:
        row: The row, of OpenAI's format with `tools` or `functions`, of Anthropic's, or of ShareGPT's.

    Raises:
        Fault: A call or a result does not match the others, or the row has another format.
    """
    keys = [key for key in _TURNS if key in row]
    if len(keys) != 1 or not isinstance(row[keys[0]], list):
        raise tool_fault(f"the row has tools, but not its turns in one of {', '.join(_TURNS)}")
    declared = _declared(row)
    turns = TurnWriter([str(one["name"]) for one in declared]).write(row[keys[0]])
    plain = {key: value for key, value in row.items() if not _is_written(key, value)}
    return _with_tools({**plain, keys[0]: turns}, declared) if declared else {**plain, keys[0]: turns}


def _declared(row: Mapping[str, Any]) -> list[Row]:
    """The functions of a row as it declares them, reduced to name, description and parameters."""
    given = [key for key in ("tools", "functions") if not is_empty(row.get(key))]
    if len(given) > 1:
        raise tool_fault("the row has tools and functions; keep one")
    value = row[given[0]] if given else []
    value = from_json(value, f'"{given[0]}"') if isinstance(value, str) else value
    functions = []
    for tool in value if isinstance(value, list) else [value]:
        function = tool.get("function", tool) if isinstance(tool, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise tool_fault(f'"{given[0]}" has an entry that is not a function with a name')
        parameters = function.get("parameters", function.get("input_schema"))
        kept = {
            "name": function["name"],
            "description": function.get("description"),
            "parameters": parameters,
        }
        functions.append({key: item for key, item in kept.items() if item is not None})
    names = [one["name"] for one in functions]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise tool_fault(f"the row declares {twice[:40]!r} twice")
    return functions


def _with_tools(row: Row, declared: Sequence[Row]) -> Row:
    """The row with its functions in its system text."""
    block = "\n".join(("<tools>", *map(to_json, declared), "</tools>", _USAGE))
    key = next(key for key in _TURNS if key in row)
    turns: list[Row] = row[key]
    system = next((name for name in SYSTEM_KEYS if not is_empty(row.get(name))), None)
    if system is not None:
        return {**row, system: _joined(row[system], block)}
    role_key = next((name for name in ROLE_KEYS if turns and name in turns[0]), "role")
    content_key = next((name for name in CONTENT_KEYS if turns and name in turns[0]), "content")
    if turns and ROLES.get(str(turns[0].get(role_key))) == "system":
        first = {**turns[0], content_key: _joined(turns[0].get(content_key), block)}
        return {**row, key: [first, *turns[1:]]}
    return {**row, key: [{role_key: "system", content_key: block}, *turns]}


def _joined(text: Any, block: str) -> str:
    words = text_of(text, 1)
    return f"{words}\n\n{block}" if words.strip() else block


def _is_of_tools(turn: Any, ignored: frozenset[str]) -> bool:
    if not isinstance(turn, dict):
        return False
    role = next((turn[key] for key in ROLE_KEYS if key in turn), None)
    content = next((turn[key] for key in CONTENT_KEYS if key in turn), None)
    keys = (key for key in turn if key in TOOL_MESSAGE_KEYS and key not in ignored)
    return (
        (isinstance(role, str) and role in TOOL_ROLES)
        or any(not is_empty(turn[key]) for key in keys)
        or bool(parts_of(content, "tool_use") or parts_of(content, "tool_result"))
    )


def _is_written(key: str, value: Any) -> bool:
    """Whether a key of a row needs no place of its own in the text."""
    usual = (key == "tool_choice" and value == "auto") or key == "parallel_tool_calls"
    return usual or key in ("tools", "functions")
