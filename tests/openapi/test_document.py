"""The description is complete, well-formed, and says what the triggers do."""

from __future__ import annotations

import json
import re

import msgspec
import pytest
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from handlers.http.errors import STATUSES
from handlers.http.openapi import examples, run_examples
from handlers.http.request_changes import Extension
from handlers.http.responses import PROBLEM
from handlers.http.route import AuthScheme
from handlers.http.routes import ROUTES
from shared.domain.serving.openai_chat import OpenAIRequestError, read_completion
from tests.openapi.described import DOCUMENT, bodies, check

NOT_THE_API = {"home", "dashboard", "no_completions", "no_embeddings"} | {"show_approval", "answer_approval"}


def test_every_route_is_described_and_no_other() -> None:
    """Methods and paths are those of the table; the page for people is no API."""
    described = {
        operation["operationId"]: (method.upper(), path.removeprefix("/"))
        for path, methods in DOCUMENT["paths"].items()
        for method, operation in methods.items()
    }
    assert described == {
        route.function: (route.method, route.path) for route in ROUTES if route.function not in NOT_THE_API
    }


def test_it_says_what_opens_each_route() -> None:
    """Routes that are open for the host are so here, or have keys of the app's own."""
    auth = {route.function: route.auth for route in ROUTES}
    for path in DOCUMENT["paths"].values():
        for operation in path.values():
            schemes = {name for choice in operation["security"] for name in choice}
            by_host = auth[operation["operationId"]] is AuthScheme.HOST
            assert by_host is ("functionKeyParameter" in schemes)
            assert ("401" in operation["responses"]) is bool(schemes)


def test_every_status_of_the_table_is_described() -> None:
    """There is no error that no operation may answer."""
    described = {
        int(status) for one in DOCUMENT["paths"].values() for op in one.values() for status in op["responses"]
    }
    assert {*STATUSES.values(), 400, 401, 410, 413, 429, 504} <= described


def test_examples_are_what_they_are_examples_of() -> None:
    """Each fits its schema, and each schema is one."""
    misfits = []
    for where, media in bodies():
        Draft202012Validator.check_schema({**media["schema"], "components": DOCUMENT["components"]})
        shown = [one["value"] for one in media.get("examples", {}).values()]
        for example in [*shown, *([media["example"]] if "example" in media else [])]:
            try:
                check(example, media["schema"], strict=True)
            except ValidationError as fault:
                misfits.append((where, fault.message))
    assert misfits == []


def test_an_example_with_a_field_that_its_type_lacks_would_be_found() -> None:
    """At any depth: readers would look for it in vain."""
    schema = DOCUMENT["paths"]["/runs/{id}"]["get"]["responses"]["200"]["content"]["application/json"][
        "schema"
    ]
    check(run_examples.RUN, schema, strict=True)
    job = {**run_examples.RUN["job"], "owner": "somebody"}
    for wrong in ({"owner": "somebody"}, {"job": job}):
        with pytest.raises(ValidationError, match="owner"):
            check(run_examples.RUN | wrong, schema, strict=True)


def test_every_json_body_has_an_example() -> None:
    """Also each error: of its own status, in the form that its route has."""
    lacking = []
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            for status, answer in operation["responses"].items():
                for media, body in answer.get("content", {}).items():
                    if media.endswith("json") and not body.keys() & {"example", "examples"}:
                        lacking.append(f"{method} {path} {status}")
                    if media == PROBLEM:
                        assert body["example"]["status"] == int(status)
    assert lacking == []


def test_a_chat_request_is_described_as_it_is_taken() -> None:
    """What changes nothing is described with the values that it may have, and nothing else is let in."""
    body = DOCUMENT["paths"]["/v1/chat/completions"]["post"]["requestBody"]["content"]["application/json"]
    for parameters in (
        {"user": "somebody", "metadata": {"a": "b"}, "tools": [], "presence_penalty": 0.0, "logprobs": False},
        {"reasoning_effort": None, "seed": 7, "presence_penalty": 0.5},
        {"response_format": {"type": "json_object"}},
    ):
        check(examples.CHAT | parameters, body["schema"])
        assert read_completion(examples.CHAT | parameters)
    for parameters in (
        {"temprature": 1},
        {"tools": [{"type": "function"}]},
        {"presence_penalty": 2.5},
        {"logprobs": 0},
        {"reasoning_effort": "high"},
        {"messages": [{"role": "user", "content": "Hi", "name": "Ann"}]},
    ):
        with pytest.raises(ValidationError):
            check(examples.CHAT | parameters, body["schema"])
        with pytest.raises(OpenAIRequestError):
            read_completion(examples.CHAT | parameters)


def test_a_wrong_example_would_be_found() -> None:
    """References are followed: a page without its runs is no page."""
    schema = DOCUMENT["paths"]["/runs"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    with pytest.raises(ValidationError):
        check({"next": None}, schema)
    with pytest.raises(ValidationError):
        check({"runs": [{"run_id": 7}], "next": None}, schema)


def test_requests_are_checked_by_the_types_that_describe_them() -> None:
    """What the examples ask for is taken by the very code that serves it."""
    assert read_completion(examples.CHAT_STREAM).stream
    assert msgspec.convert(examples.EXTENSION, Extension).hours == 4


def test_every_reference_leads_somewhere() -> None:
    """And nothing is described that no operation uses."""
    text = msgspec.json.encode(DOCUMENT).decode()
    used = set(re.findall(r'"#/components/schemas/([^"]+)"', text))
    assert used == set(DOCUMENT["components"]["schemas"])


def test_patterns_are_those_of_javascript() -> None:
    """JSON Schema's are ECMA-262: Python's own escapes would be errors there."""
    patterns = re.findall(r'"pattern":"((?:[^"\\\\]|\\\\.)*)"', msgspec.json.encode(DOCUMENT).decode())
    assert patterns
    for pattern in map(json.loads, (f'"{one}"' for one in patterns)):
        assert (pattern[0], pattern[-1]) == ("^", "$"), pattern
        assert not re.search(r"\\[AZ]|\(\?P|\(\?[aiLmsux]", pattern), pattern
