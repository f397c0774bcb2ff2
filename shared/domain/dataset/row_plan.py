"""What is done with rows of certain keys: how their conversation is read, or why they are refused.

A row that two layouts fit is refused rather than guessed at, and so is a key that may change what is meant.
"""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from .codes import Code
from .keys import (
    CONTENT_KEYS,
    CONTEXT_KEYS,
    HARMLESS_ROW_KEYS,
    HISTORY_KEYS,
    MEDIA_KEY,
    PAIR_KEYS,
    PREFERENCE_KEY,
    REASONING_KEY,
    ROLE_KEYS,
    SYSTEM_KEYS,
    TOOL_ROW_KEYS,
    WEIGHT_KEYS,
    is_empty,
)
from .layouts import LAYOUTS, Layout
from .naming import quoted
from .oasst import thread

_CONVERSATION_KEYS = frozenset(key for layout in LAYOUTS for key in (*layout.turns, *layout.question))


class RowPlan(NamedTuple):
    """What is to be done with rows that have certain keys.

    Attributes:
        layout: Their layout; None if they are refused.
        fault: Why they are refused.
        turns: The key of their turns, or
        question, answer: the keys of the last question and its answer.
        context, history, system: Keys of the rest.
        prompt: Whether a `prompt` beside the turns has to equal the first question, as in ultrachat_200k.
        weights: Keys that must not ask for more or less than learning the row.
        left_out: Keys that have no effect.
    """

    layout: Layout | None = None
    fault: tuple[Code, str] | None = None
    turns: str | None = None
    question: str = ""
    answer: str = ""
    context: str | None = None
    history: str | None = None
    system: str | None = None
    prompt: bool = False
    weights: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def used(self) -> tuple[str, ...]:
        """The keys that the conversation is read from."""
        keys = (self.turns, self.question, self.answer, self.context, self.history, self.system)
        return tuple(key for key in keys if key)

    def turns_of(self, row: Mapping[str, Any]) -> Any:
        """The row's turns in order, as it has them; not a list if it has something else in their place."""
        if self.turns is not None:
            turns = row[self.turns]
            if self.layout is not None and self.layout.code is Code.OASST:
                turns = thread(turns)
            if self.layout is not None and self.layout.code is not None and isinstance(turns, list):
                turns = _unpaired(turns)
            if self.system is None or not isinstance(turns, list):
                return turns
            return [*_system(row[self.system]), *turns]
        turns = _turns(row[self.question], "user")
        if self.context is not None and not is_empty(row[self.context]):
            turns = _with_context(turns, row[self.context])
        turns += _turns(row[self.answer], "assistant")
        if self.history is not None:
            turns = _history(row[self.history]) + turns
        return _system(row[self.system]) + turns if self.system is not None else turns


def plan_row(keys: Collection[str], ignored: Collection[str]) -> RowPlan:
    """Plan what is done with a row of these keys, all of which have a value.

    Args:
        keys: The row's keys.
        ignored: Further keys that the uploader allows to be left out.
    """
    present = [key for key in keys if key not in ignored]
    fitting = []
    if not _CONVERSATION_KEYS.isdisjoint(present):
        fitting = [plan for layout in LAYOUTS if (plan := _fit(layout, present)) is not None]
    # An `input` beside a question is its context.
    fitting = [plan for plan in fitting if plan.question != "input" or len(fitting) == 1]
    if refused := _refused(present, bool(fitting)):
        return RowPlan(fault=refused)
    if len(fitting) > 1:
        names = " and ".join(quoted(plan.used) for plan in fitting[:3])
        return _ambiguous(f"the row has two conversations, {names}")
    if not fitting:
        return RowPlan(fault=_unreadable(keys))
    plan = fitting[0]
    parts = {"system": SYSTEM_KEYS, "context": CONTEXT_KEYS, "history": HISTORY_KEYS}
    found: dict[str, Any] = {}
    for part, part_keys in parts.items():
        given = [key for key in part_keys if key in present and key != plan.question]
        if len(given) > 1:
            return _ambiguous(f"the row has {quoted(given)}, which both are its {part}")
        if given and (part == "system" or plan.turns is None):
            found[part] = given[0]
    plan = plan._replace(**found)
    rest = [key for key in present if key not in plan.used]
    prompt = plan.turns is not None and "prompt" in rest
    weights = tuple(key for key in rest if key in WEIGHT_KEYS)
    harmless = HARMLESS_ROW_KEYS.union(plan.layout.harmless if plan.layout else ())
    unknown = [
        key for key in rest if key not in harmless and key not in weights and not (prompt and key == "prompt")
    ]
    if unknown:
        return RowPlan(fault=(Code.UNKNOWN_KEY, unknown_keys("the row", unknown)), turns=plan.turns)
    left_out = tuple(key for key in keys if key not in plan.used)
    return plan._replace(prompt=prompt, weights=weights, left_out=left_out)


def unknown_keys(holder: str, keys: Collection[str]) -> str:
    """What is said of keys that may change what a row means."""
    what = "it" if len(keys) == 1 else "them"
    if any(REASONING_KEY.fullmatch(key) for key in keys):
        return (
            f"{holder} has {quoted(keys)}, which training would not see; use ignore_keys to leave {what} out"
        )
    return (
        f"{holder} has {quoted(keys)}, which may change its meaning; remove {what},"
        f" or name {what} in ignore_keys"
    )


def _ambiguous(message: str) -> RowPlan:
    return RowPlan(fault=(Code.AMBIGUOUS, f"{message}; keep one, or name the other in ignore_keys"))


def _fit(layout: Layout, present: Collection[str]) -> RowPlan | None:
    turns = [key for key in layout.turns if key in present]
    if layout.beside is not None and layout.beside not in present:
        return None
    if turns:
        return RowPlan(layout, turns=turns[0])
    question = next((key for key in layout.question if key in present), None)
    answers = [key for key in layout.answer if key in present]
    if question is None or not answers:
        return None
    return RowPlan(layout, question=question, answer=answers[0])


def _refused(present: Collection[str], readable: bool) -> tuple[Code, str] | None:
    """The kinds of data that this training has no use for, recognised by their keys."""
    kinds = (
        (Code.PREFERENCE, PREFERENCE_KEY.fullmatch, "rank answers, some of which must not be learned"),
        (Code.MEDIA, MEDIA_KEY.fullmatch, "hold what is not text, which the model would never see"),
        (
            Code.TOOL_CALLS,
            TOOL_ROW_KEYS.__contains__,
            "define or call tools, which the trainer cannot train",
        ),
    )
    for code, matches, what in kinds:
        if found := [key for key in present if matches(key)]:
            return code, f"{quoted(found)} {what}"
    if readable:
        return None
    if any(key in present for key in ROLE_KEYS) and any(key in present for key in CONTENT_KEYS):
        return (
            Code.ROW_PER_MESSAGE,
            "each row holds one message; put the messages of a conversation in one row",
        )
    if "text" in present:
        return Code.TEXT_ONLY, '"text" has no turns: a question and its answer are two texts'
    return None


def _unreadable(keys: Collection[str]) -> tuple[Code, str]:
    return Code.NO_MESSAGES, unreadable_keys(keys)


def unreadable_keys(keys: Collection[str]) -> str:
    """What is said of a row that no layout fits, and of what it may lack."""
    message = f'the row has {quoted(keys) or "no keys"}, but no "messages"'
    plain = dict.fromkeys(key.strip().lower() for key in keys if key.strip().lower() != key)
    known = {key for layout in LAYOUTS for key in (*layout.turns, *layout.question, *layout.answer)}
    if meant := [key for key in plain if key in known]:
        return f"{message}; write {quoted(meant)}, in lower case and without blanks around"
    for layout in LAYOUTS:
        asked = next((key for key in layout.question if key in keys), None)
        if asked is not None and asked not in CONTEXT_KEYS:
            return f'{message}; beside "{asked}" there is no answer: call it {" or ".join(layout.answer)}'
    return message


def _system(value: Any) -> list[Any]:
    if is_empty(value):
        return []
    if isinstance(value, dict):  # Vertex AI writes a content of parts
        value = next((value[key] for key in CONTENT_KEYS if key in value), value)
    return [{"role": "system", "content": value}]


def _turns(value: Any, role: str) -> list[Any]:
    """One turn; or the turns themselves, where a text could stand (TRL's conversational type)."""
    if isinstance(value, list) and value and all(isinstance(turn, dict) and "role" in turn for turn in value):
        return list(value)
    return [{"role": role, "content": value}]


def _unpaired(turns: list[Any]) -> list[Any]:
    """Turns in place of pairs, if all of them are pairs of the same keys."""
    for keys in PAIR_KEYS:
        if turns and all(isinstance(pair, dict) and pair.keys() == set(keys) for pair in turns):
            roles = ("user", "assistant")
            return [
                {"role": role, "content": pair[key]}
                for pair in turns
                for role, key in zip(roles, keys, strict=True)
            ]
    return turns


def _with_context(turns: list[Any], context: Any) -> list[Any]:
    question = turns[-1].get("content")
    if not isinstance(context, str):
        question = {"context": context}  # as a message's content it is a fault
    elif isinstance(question, str) and context.strip():
        question = f"{question}\n\n{context}"
    return [*turns[:-1], {**turns[-1], "content": question}]


def _history(value: Any) -> list[Any]:
    """Earlier turns: messages, or questions each in a list with its answer; else a fault in their place."""
    turns: list[Any] = []
    for pair in value if isinstance(value, list) else [value] if value else []:
        if isinstance(pair, list) and len(pair) == 2:
            turns += [{"role": "user", "content": pair[0]}, {"role": "assistant", "content": pair[1]}]
        else:
            turns.append(pair)
    return turns
