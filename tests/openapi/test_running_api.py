"""The running app against its own description: by schemathesis, and by answers that a live model gives."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, assume, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from local.settings import ROOT
from tests.live_stack import DATASET, PRICE_PER_HOUR, LiveStack
from tests.openapi.described import DOCUMENT, check

EXAMPLES = 20
TYPESCRIPT = Path(__file__).parent / "typescript"
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
CHAT = {"model": DATASET, "messages": [{"role": "user", "content": "How do I keep bread fresh?"}]}


OPERATIONS = [found.ok() for found in schemathesis.openapi.from_dict(DOCUMENT).get_all_operations()]


def right_and_wrong() -> list[Any]:
    """Each operation, asked as described; and otherwise, where there is anything to get wrong."""
    asked = []
    for operation in OPERATIONS:
        wrong = (
            [GenerationMode.NEGATIVE]
            if operation.path_parameters or operation.query or operation.body
            else []
        )
        for mode in (GenerationMode.POSITIVE, *wrong):
            asked.append(pytest.param(operation, mode, id=f"{operation.label} {mode.value}"))
    return asked


@pytest.mark.parametrize(("operation", "mode"), right_and_wrong())
def test_the_api_is_as_described(operation: Any, mode: GenerationMode, live_stack: LiveStack) -> None:
    """Whatever is sent, right or wrong: no server error, and every answer is one that the description has."""
    headers = {"x-functions-key": live_stack.stack.function_key}

    @given(operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    def ask(case: schemathesis.Case) -> None:
        # The worker's own web server answers 404 to a path with a line break, before the app sees it.
        assume("\n" not in unquote(case.formatted_path))
        answer = case.call(base_url=f"{live_stack.stack.functions_url}/api", headers=headers, timeout=120)
        case.validate_response(answer, checks=CHECKS, headers=headers)

    ask()


@pytest.fixture
def api(live_stack: LiveStack) -> Any:
    """The API, with its key."""
    with live_stack.stack.client() as client:
        yield client


def test_answers_of_a_live_run_fit_their_schemas(live_stack: LiveStack, api: httpx.Client) -> None:
    """Made-up ids find nothing; these are the answers for a run that is there."""
    run_id = live_stack.run_id
    asked = [
        ("get", "/runs", "/runs?stage=live&limit=1", None),
        ("get", "/runs/{id}", f"/runs/{run_id}", None),
        ("get", "/runs/{id}/report", f"/runs/{run_id}/report", None),
        ("post", "/runs/{id}/retry", f"/runs/{run_id}/retry", None),
        ("post", "/endpoints/{endpoint}/score", f"/endpoints/{run_id}/score", {"messages": CHAT["messages"]}),
        ("post", "/endpoints/{endpoint}/extend", f"/endpoints/{run_id}/extend", {"hours": 0.5}),
        ("post", "/v1/chat/completions", "/v1/chat/completions", CHAT),
        ("get", "/v1/models", "/v1/models", None),
        ("get", "/v1/models/{model}", f"/v1/models/{DATASET}", None),
        ("get", "/health", "/health", None),
        ("get", "/openapi.json", "/openapi.json", None),
    ]
    for method, path, address, body in asked:
        answer = api.request(method, f"/api{address}", json=body)
        responses = DOCUMENT["paths"][path][method]["responses"]
        assert answer.status_code < 300, (address, answer.text)
        check(answer.json(), responses[str(answer.status_code)]["content"]["application/json"]["schema"])


def test_money_is_shown_with_the_configured_price(live_stack: LiveStack, api: httpx.Client) -> None:
    """Training and the endpoint have hours, and a cost at the price of the settings."""
    cost = api.get(f"/api/runs/{live_stack.run_id}").json()["cost"]
    assert cost["training_node_hours"] > 0
    assert cost["endpoint_node_hours"] >= cost["endpoint_live_hours"] >= 0
    assert cost["training_cost"] == pytest.approx(cost["training_node_hours"] * PRICE_PER_HOUR, abs=0.01)
    assert cost["saved_node_hours"] is None


def test_an_etag_saves_the_body(live_stack: LiveStack, api: httpx.Client) -> None:
    """The same version is not sent again."""
    first = api.get(f"/api/runs/{live_stack.run_id}")
    again = api.get(f"/api/runs/{live_stack.run_id}", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_the_description_is_open_to_all(live_stack: LiveStack) -> None:
    """Clients are made from it before they have a key."""
    answer = httpx.get(f"{live_stack.stack.functions_url}/api/openapi.json", trust_env=False, timeout=60)
    assert answer.json()["openapi"].startswith("3.1")


def test_a_client_generated_for_typescript_compiles_and_lists_runs(
    live_stack: LiveStack, tmp_path: Path
) -> None:
    """The description is good enough for the types of another language."""
    (tmp_path / "node_modules").symlink_to(ROOT / "node_modules")
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "openapi.json").write_text(json.dumps(DOCUMENT))
    for file in TYPESCRIPT.iterdir():
        shutil.copy(file, tmp_path)
    tools = ROOT / "node_modules" / ".bin"
    environment = {
        **os.environ,
        "FINETUNE_URL": live_stack.stack.functions_url,
        "FINETUNE_KEY": live_stack.stack.function_key,
    }
    said = ""
    for command in (
        [str(tools / "openapi-typescript"), "openapi.json", "--output", "api.d.ts"],
        [str(tools / "tsc"), "--project", "tsconfig.json"],
        ["node", "list_runs.js"],
    ):
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        said = done.stdout
    assert f"{live_stack.run_id} live" in said


def test_head_answers_as_get_without_the_body(api: httpx.Client, live_stack: LiveStack) -> None:
    """For those who only ask whether something is there."""
    for path in (f"/api/runs/{live_stack.run_id}", "/api/health", "/api/dashboard", "/api/openapi.json"):
        answer = api.head(path)
        assert (answer.status_code, answer.content) == (200, b""), path
    assert api.head("/api/runs/ft-nothing-0123456789").status_code == 404


def test_the_apps_address_leads_to_the_page(live_stack: LiveStack) -> None:
    """Nobody has to know where it is."""
    answer = httpx.get(live_stack.stack.functions_url, follow_redirects=True, trust_env=False, timeout=60)
    assert str(answer.url) == f"{live_stack.stack.functions_url}/api/dashboard"
    assert "<title>" in answer.text
