"""Build the OpenAPI 3.1 document from the routes and their types."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

import msgspec

from handlers.http.errors import Problem
from handlers.http.openai.errors import OpenAIError
from handlers.http.openapi import examples
from handlers.http.openapi.error_examples import openai_example, problem_example
from handlers.http.openapi.run_examples import RUN_ID
from handlers.http.responses import PROBLEM
from handlers.http.route import AuthScheme, Content, Route, Success

TITLE = "finetune-on-upload"
VERSION = "1"
TAGS = {
    "runs": "Runs: from an upload to a live endpoint, and to its end.",
    "datasets": "What the names of datasets mean.",
    "endpoints": "Live endpoints: score, extend, delete.",
    "openai": "What OpenAI's clients call.",
    "app": "The app itself.",
}
ByMedia = Mapping[str, Mapping[str, Any]]
"""Examples by their name, by content type."""

_REF = "#/components/schemas/{name}"

_MEANINGS = {
    400: "The request means nothing; the error says what to change.",
    401: "No valid key.",
    404: "There is no such thing.",
    409: "Not in the stage that the run is in.",
    410: "The endpoint is gone.",
    413: "The body is over 1 MiB, or over what the endpoint takes.",
    422: "What is asked for is impossible, or over a bound of the operator; the error names it.",
    429: "The endpoint has more requests than it can take.",
    500: "The app failed unexpectedly; its log tells why.",
    502: "The endpoint, or Azure ML, failed; its own status and request id are given.",
    503: "Something cannot be reached, or the app is not configured; try again.",
    504: "The endpoint did not answer in time.",
}
_RETRY = {429, 503}

_SECURITY: dict[AuthScheme, list[dict[str, list[str]]]] = {
    AuthScheme.NONE: [],
    AuthScheme.HOST: [{"functionKey": []}, {"functionKeyParameter": []}],
    AuthScheme.OWN: [{"bearer": []}, {"apiKey": []}, {"functionKey": []}],
}
_SCHEMES = {
    "functionKey": {"type": "apiKey", "in": "header", "name": "x-functions-key"},
    "functionKeyParameter": {"type": "apiKey", "in": "query", "name": "code"},
    "apiKey": {"type": "apiKey", "in": "header", "name": "api-key"},
    "bearer": {"type": "http", "scheme": "bearer"},
}


def openapi_document(routes: Iterable[Route]) -> dict[str, Any]:
    """Describe the API."""
    described_routes = [route for route in routes if route.described]
    types: list[Any] = [Problem, OpenAIError]
    for route in described_routes:
        types += [one for content in _contents(route) for one in content.types]
        types += [route.query] if route.query else []
    schemas, components = msgspec.json.schema_components(types, ref_template=_REF)
    _translate_patterns(components)
    schema_of = dict(zip(map(_key, types), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in described_routes:
        described = _operation(route, schema_of, components)
        paths.setdefault(f"/{route.path}", {})[route.method.lower()] = described
    return {
        "openapi": "3.1.0",
        "info": {
            "title": TITLE,
            "version": VERSION,
            "description": "Upload a chat dataset; get a fine-tuned model behind an endpoint.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/api"}],
        "tags": [
            {"name": name, "description": TAGS[name]}
            for name in dict.fromkeys(route.tag for route in described_routes)
        ],
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": _SCHEMES},
    }


def _translate_patterns(schema: Any) -> None:
    r"""Write patterns as ECMA-262 has them, which JSON Schema asks for.

    There `\A` and `\Z` are errors, and `^` and `$` match where these do in Python: at the very ends.
    """
    if isinstance(schema, dict):
        if isinstance(pattern := schema.get("pattern"), str):
            schema["pattern"] = pattern.replace(r"\A", "^").replace(r"\Z", "$")
        for part in schema.values():
            _translate_patterns(part)
    elif isinstance(schema, list):
        for part in schema:
            _translate_patterns(part)


def _operation(route: Route, schema_of: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": route.function,
        "summary": route.summary,
        "description": route.description,
        "tags": [route.tag],
        "security": _SECURITY[route.auth],
        "responses": {
            str(status): _success(success, schema_of, examples.of(route.function, str(status)))
            for status, success in route.successes.items()
        },
    }
    denied = () if route.auth is AuthScheme.NONE else (401,)
    for status in sorted((*denied, *route.errors, 500)):
        described["responses"][str(status)] = _error(status, route.auth)
    parameters = [*_path_parameters(route), *_query(route, components), *_headers(route)]
    if parameters:
        described["parameters"] = parameters
    if route.request is not None:
        described["requestBody"] = {
            "required": not route.body_optional,
            "content": _media(route.request, schema_of, examples.of(route.function, "request")),
        }
    return described


def _success(success: Success, schema_of: dict[str, Any], shown: ByMedia) -> dict[str, Any]:
    described: dict[str, Any] = {"description": success.description}
    if success.headers:
        described["headers"] = {
            name: {"description": text, "schema": {"type": "string"}}
            for name, text in success.headers.items()
        }
    if success.contents:
        described["content"] = {
            media: body
            for content in success.contents
            for media, body in _media(content, schema_of, shown).items()
        }
    return described


def _error(status: int, auth: AuthScheme) -> dict[str, Any]:
    openai = auth is AuthScheme.OWN
    type_, example = (OpenAIError, openai_example) if openai else (Problem, problem_example)
    media = {"schema": {"$ref": _REF.format(name=type_.__name__)}, "example": example(status)}
    content = {"application/json" if openai else PROBLEM: media}
    described: dict[str, Any] = {"description": f"{HTTPStatus(status).phrase}. {_MEANINGS[status]}"}
    if status == 401 and auth is AuthScheme.HOST:
        described["description"] += " In Azure the host answers this with an empty body."
    if status in _RETRY:
        described["headers"] = {
            "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "string"}}
        }
    return described | {"content": content}


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    names = re.findall(r"\{(\w+)\}", route.path)
    example = {"model": examples.MODEL["id"]}
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string", "minLength": 1},
            "example": example.get(name, RUN_ID),
        }
        for name in names
    ]


def _query(route: Route, components: dict[str, Any]) -> list[dict[str, Any]]:
    if route.query is None:
        return []
    fields = components.pop(route.query.__name__)["properties"]
    return [
        {"name": name, "in": "query", "description": schema.pop("description", ""), "schema": schema}
        for name, schema in fields.items()
    ]


def _headers(route: Route) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "header", "description": text, "schema": {"type": "string"}}
        for name, text in route.headers.items()
    ]


def _media(content: Content, schema_of: dict[str, Any], shown: ByMedia) -> dict[str, Any]:
    schemas = [schema_of[_key(one)] for one in content.types] or [{"type": "string"}]
    media: dict[str, Any] = {"schema": schemas[0] if len(schemas) == 1 else {"anyOf": schemas}}
    if content.media in shown:
        media["examples"] = {name: {"value": value} for name, value in shown[content.media].items()}
    return {content.media: media}


def _contents(route: Route) -> list[Content]:
    bodies = [content for success in route.successes.values() for content in success.contents]
    return [*bodies, route.request] if route.request else bodies


def _key(type_: Any) -> str:
    return repr(type_)
