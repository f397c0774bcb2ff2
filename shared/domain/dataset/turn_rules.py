"""What is wrong with a turn's role and content, and with the order of turns."""

from collections.abc import Generator, Iterator
from itertools import pairwise

from .codes import Code
from .keys import ROLES
from .naming import kind
from .parsing import Finding
from .turns import NotTextError, join_parts


def check_role(
    name: object, number: int, *, given: bool, named: bool
) -> Generator[Finding, None, str | None]:
    """Yield what is wrong with a turn's role; returns its usual name, or None if it has none."""
    if not given:
        yield Finding(Code.MISSING_KEY, f'message {number} has no "role"')
        return None
    if not isinstance(name, str):
        yield Finding(Code.WRONG_TYPE, f'message {number}: "role" is {kind(name)}, not a string')
        return None
    role = ROLES.get(name)
    if role is None:
        known = "system, user or assistant"
        yield Finding(Code.UNKNOWN_ROLE, f"message {number} has role {name[:40]!r}; use {known}")
    elif name == "developer":
        yield Finding(Code.DEVELOPER_ROLE, f'message {number}: "developer" is the newer name of "system"')
    elif name != role and named:
        yield Finding(Code.ROLE_RENAMED, f"message {number}: role {name!r} became {role!r}")
    return role


def check_content(content: object, number: int, *, given: bool) -> Generator[Finding, None, str | None]:
    """Yield what is wrong with a turn's content; returns it as one text, or None if it is none."""
    if not given:
        yield Finding(Code.MISSING_KEY, f'message {number} has no "content"')
        return None
    if isinstance(content, list) and content:
        try:
            content = join_parts(content)
        except NotTextError as fault:
            if fault.is_media:
                yield Finding(
                    Code.MEDIA, f"message {number} has a part of type {fault.kind[:40]!r}, not text"
                )
            elif fault.is_tool:
                yield Finding(Code.TOOL_CALLS, f"message {number} has a part of type {fault.kind[:40]!r}")
            elif fault.is_several:
                yield Finding(
                    Code.AMBIGUOUS,
                    f"message {number} has a list of texts: join them if they are one, or keep the one that"
                    " is meant",
                )
            else:
                yield Finding(Code.WRONG_TYPE, f"message {number}: a part of its content is no text")
            return None
        yield Finding(Code.PARTS_JOINED, f"message {number}: joined the parts of its text")
    if not isinstance(content, str):
        yield Finding(Code.WRONG_TYPE, f'message {number}: "content" is {kind(content)}, not a string')
        return None
    if not content or content.isspace():
        yield Finding(Code.EMPTY_CONTENT, f"message {number} has no text")
    if "\0" in content:
        yield Finding(Code.NUL_CHARACTER, f"message {number} contains a NUL character (\\u0000); remove it")
    if not content.isascii() and _has_surrogate(content):
        yield Finding(
            Code.UNPAIRED_SURROGATE,
            f"message {number} contains half of a \\u surrogate pair; write both halves",
        )
    return content


def _has_surrogate(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def check_order(roles: list[str | None]) -> Iterator[Finding]:
    """Yield what is wrong with the order of turns; an unknown role is a fault of its own, and left aside."""
    if not roles:
        return
    for number, role in enumerate(roles, 1):
        if role == "system" and number > 1:
            yield Finding(
                Code.SYSTEM_NOT_FIRST, f"message {number} is a system message; only the first may be one"
            )
            break
    turns = [(number, role) for number, role in enumerate(roles, 1) if role != "system"]
    if turns and turns[0][1] == "assistant":
        yield Finding(Code.FIRST_NOT_USER, f"message {turns[0][0]} is the assistant's; the user speaks first")
    for (_, before), (number, role) in pairwise(turns):
        if role is not None and role == before:
            yield Finding(
                Code.ROLES_DO_NOT_ALTERNATE,
                f"messages {number - 1} and {number} are both the {role}'s; join them or add a turn",
            )
            break
    if roles[-1] in ("user", "system"):
        yield Finding(Code.LAST_NOT_ASSISTANT, f"the last message is the {roles[-1]}'s; end with the answer")
