"""The description as tests use it: schemas with their references in reach."""

from __future__ import annotations

from typing import Any

from jsonschema import Draft202012Validator

from handlers.http.openapi.document import openapi_document

DOCUMENT = openapi_document()


def check(value: Any, schema: dict[str, Any]) -> None:
    """Hold a value against a schema of the description."""
    whole = {**schema, "components": DOCUMENT["components"]}
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
