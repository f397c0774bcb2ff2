"""How messages about a dataset name what is in it: keys and kinds of values, never texts."""

import json
from collections.abc import Collection


def quoted(keys: Collection[str]) -> str:
    """Names of keys, each short and in quotes, at most eight of them; half a surrogate pair as its escape."""
    names = ", ".join(json.dumps(key[:40], ensure_ascii=False) for key in list(keys)[:8])
    return names.encode(errors="backslashreplace").decode() + (", …" if len(keys) > 8 else "")


def kind(value: object) -> str:
    """What kind of JSON value it is, with its article."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    return "a string" if isinstance(value, str) else "a number"
