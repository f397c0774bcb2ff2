"""The shapes of `wire_shapes.json`, and how an answer is compared with one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx

SHAPES: dict[str, dict[str, Any]] = json.loads((Path(__file__).parent / "wire_shapes.json").read_text())


def differences(shape: dict[str, Any], answer: httpx.Response) -> list[str]:
    """What an answer lacks of a shape: its status, its headers and each field with its type."""
    if answer.status_code != shape["status"]:
        return [f"status {answer.status_code}, not {shape['status']}: {answer.text}"]
    found = [f"no header {name}" for name in shape["headers"] if name not in answer.headers]
    wanted = shape["body"]
    if wanted in ("empty", "null"):
        right = answer.content == (b"null" if wanted == "null" else b"")
        return found if right else [*found, f"the body is not {wanted}: {answer.text}"]
    if wanted == "any":
        return found
    return [*found, *(problem for field in wanted if (problem := missing(field, answer.json())))]


def types_of(value: object) -> str:
    """The JSON type of a value."""
    if value is None:
        return "null"
    return {bool: "boolean", str: "string", list: "array", dict: "object"}.get(type(value), "number")


def missing(field: str, body: object) -> str | None:
    """What is wrong with a field of an answer; None when nothing is."""
    path, _, wanted = field.rpartition(": ")
    found: list[object] = [body]
    for step in path.removeprefix("/").split("/"):
        name, repeated, _ = step.partition("[]")
        inner: list[object] = []
        for value in found:
            if name:
                if not isinstance(value, dict) or name not in value:
                    return f"{field} is not sent"
                value = value[name]  # noqa: PLW2901
            if repeated:
                if not isinstance(value, list) or not value:
                    return f"{field}: no items are sent"
                inner.append(value[0])
            else:
                inner.append(value)
        found = inner
    actual = types_of(found[0])
    return None if wanted in ("null", actual) else f"{field} is sent as {actual}"
