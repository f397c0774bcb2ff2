"""The description as tests use it: schemas with their references in reach."""

from __future__ import annotations

from typing import Any

from jsonschema import Draft202012Validator

from handlers.http.openapi.document import openapi_document
from handlers.http.routes import ROUTES

DOCUMENT = openapi_document(ROUTES)


OPEN = {"ScoreMessages", "ScoreInput", "ScorePayload"}
"""Types whose other fields mean something, too: the model's parameters."""

_CLOSED = {
    "schemas": {
        name: {**schema, "additionalProperties": False}
        if "properties" in schema and name not in OPEN
        else schema
        for name, schema in DOCUMENT["components"]["schemas"].items()
    }
}


def check(value: Any, schema: dict[str, Any], *, strict: bool = False) -> None:
    """Hold a value against a schema of the description; `strict` also refuses fields that no type has."""
    whole = {**schema, "components": _CLOSED if strict else DOCUMENT["components"]}
    Draft202012Validator(whole, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(value)


def bodies() -> list[tuple[str, dict[str, Any]]]:
    """Every described body, of requests and of answers, with where it is."""
    found = []
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            holders = [("request", operation.get("requestBody", {})), *operation["responses"].items()]
            for name, holder in holders:
                for media in holder.get("content", {}).values():
                    found.append((f"{method} {path} {name}", media))
    return found
