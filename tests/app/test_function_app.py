"""The trigger file: what it declares, what importing it costs, and that it decides nothing."""

from __future__ import annotations

import ast
import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from handlers.functions import render
from handlers.http.responses import Response
from handlers.http.route import AuthScheme
from handlers.http.routes import ROUTES

ROOT = Path(__file__).parents[2]
IMPORT_SECONDS = 0.4
OVER_AZURES_OWN = 1.6
TRIES = 3

FUNCTIONS = {
    "dataset_uploaded": "blobTrigger",
    "check_upload": "queueTrigger",
    "schedule_due_runs": "timerTrigger",
    "advance_run": "queueTrigger",
    "advance_requested_run": "queueTrigger",
    "job_status_changed": "eventGridTrigger",
    "upload_renamed": "eventGridTrigger",
    "deliver_notification": "queueTrigger",
    "reconcile_resources": "timerTrigger",
    "reconcile_uploads": "timerTrigger",
    "list_runs": "httpTrigger",
    "check_rows": "httpTrigger",
    "receive_part": "httpTrigger",
    "complete_upload": "httpTrigger",
    "list_datasets": "httpTrigger",
    "list_uploads": "httpTrigger",
    "preflight": "httpTrigger",
    "create_quote": "httpTrigger",
    "get_run": "httpTrigger",
    "show_approval": "httpTrigger",
    "answer_approval": "httpTrigger",
    "get_dataset": "httpTrigger",
    "promote_model": "httpTrigger",
    "roll_back_model": "httpTrigger",
    "get_evaluation": "httpTrigger",
    "get_report": "httpTrigger",
    "cancel_run": "httpTrigger",
    "retry_run": "httpTrigger",
    "start_run": "httpTrigger",
    "show_slots": "httpTrigger",
    "acknowledge_run": "httpTrigger",
    "score": "httpTrigger",
    "chat_completions": "httpTrigger",
    "list_models": "httpTrigger",
    "no_completions": "httpTrigger",
    "no_embeddings": "httpTrigger",
    "get_model": "httpTrigger",
    "extend_endpoint": "httpTrigger",
    "delete_endpoint": "httpTrigger",
    "home": "httpTrigger",
    "dashboard": "httpTrigger",
    "openapi": "httpTrigger",
    "health": "httpTrigger",
}
LIST_FUNCTIONS = """
import json, function_app
print(json.dumps({
    f.get_function_name(): [b.get_dict_repr() for b in f.get_bindings()]
    for f in function_app.app.get_functions()
}, default=str))
"""


def python(code: str) -> str:
    """Run code in a fresh interpreter with an empty environment, in the checkout."""
    finished = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    return finished.stdout


def seconds(code: str) -> float:
    """Processor time, the best of a few tries: what the code needs, not what else the machine does."""
    spent = []
    for _ in range(TRIES):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        python(code)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(spent)


@pytest.fixture(scope="module")
def functions() -> dict[str, list[dict[str, object]]]:
    """Every function with its bindings, as the host indexes them."""
    indexed: dict[str, list[dict[str, object]]] = json.loads(python(LIST_FUNCTIONS))
    return indexed


def test_importing_needs_no_environment_and_is_quick() -> None:
    """A cold start pays for the import: under 0.4 s, or when slow, little over Azure's own packages."""
    bare = seconds("pass")
    spent = seconds("import function_app") - bare
    if spent >= IMPORT_SECONDS:
        azures_own = seconds(
            "import azure.functions, azurefunctions.extensions.bindings.blob\n"
            "import azurefunctions.extensions.http.fastapi"
        )
        assert spent < OVER_AZURES_OWN * (azures_own - bare)


def test_importing_leaves_the_heavy_packages_alone() -> None:
    """Azure ML's SDK, MLflow and friends are imported where they are used."""
    loaded = json.loads(python("import sys, json, function_app; print(json.dumps(sorted(sys.modules)))"))
    heavy = ("azure.ai.ml", "mlflow", "datasets", "numpy")
    assert [name for name in heavy if name in loaded] == []


def test_exactly_these_functions_exist(functions: dict[str, list[dict[str, object]]]) -> None:
    """A function that fails to be indexed would only be missing, so that the set is held."""
    found = {
        name: next(str(b["type"]) for b in bindings if str(b["type"]).endswith("Trigger"))
        for name, bindings in functions.items()
    }
    assert found == FUNCTIONS


def test_http_functions_are_the_table_of_routes(functions: dict[str, list[dict[str, object]]]) -> None:
    """Method, path, key and whether runs are advanced: each function is as its route says, and no other."""
    http = {name for name, kind in FUNCTIONS.items() if kind == "httpTrigger"}
    assert http == {route.function for route in ROUTES}
    for route in ROUTES:
        bindings = functions[route.function]
        (trigger,) = (b for b in bindings if b["type"] == "httpTrigger")
        assert (trigger["methods"], trigger["route"]) == ([*route.methods], route.template)
        assert str(trigger["authLevel"]).rpartition(".")[2] == (
            "FUNCTION" if route.auth is AuthScheme.HOST else "ANONYMOUS"
        )
        assert any(b["type"] == "queue" for b in bindings) is route.advances


def test_these_routes_are_open_for_the_host() -> None:
    """What is not secret, and what checks its key itself, because the host takes no bearer tokens."""
    assert {route.function: route.auth for route in ROUTES if route.auth is not AuthScheme.HOST} == {
        "home": AuthScheme.NONE,
        "dashboard": AuthScheme.NONE,
        "show_approval": AuthScheme.NONE,
        "answer_approval": AuthScheme.NONE,
        "openapi": AuthScheme.NONE,
        "health": AuthScheme.NONE,
        "chat_completions": AuthScheme.OWN,
        "list_models": AuthScheme.OWN,
        "get_model": AuthScheme.OWN,
        "no_completions": AuthScheme.OWN,
        "no_embeddings": AuthScheme.OWN,
    }


def test_uploads_come_by_event_grid(functions: dict[str, list[dict[str, object]]]) -> None:
    """Polling a container for blobs can take ten minutes and misses some; events do not."""
    (trigger,) = functions["dataset_uploaded"]
    assert trigger["path"] == "uploads/{name}"
    assert str(trigger["source"]).rpartition(".")[2] in {"EventGrid", "EVENT_GRID"}
    assert trigger["connection"] == "TrainingStorage"


def test_there_are_four_queues(functions: dict[str, list[dict[str, object]]]) -> None:
    """Runs to advance, looked at or requested, uploads to look at again, notifications: one account."""
    queues = [b for bindings in functions.values() for b in bindings if str(b["type"]).startswith("queue")]
    assert {(b["queueName"], b["connection"]) for b in queues} == {
        ("advance", "TrainingStorage"),
        ("requested", "TrainingStorage"),
        ("uploads", "TrainingStorage"),
        ("notifications", "TrainingStorage"),
    }
    sending = {name for name, bindings in functions.items() if any(b["type"] == "queue" for b in bindings)}
    assert sending == {
        "check_upload",
        "schedule_due_runs",
        "job_status_changed",
        "upload_renamed",
        "reconcile_resources",
        "reconcile_uploads",
        "answer_approval",
        "cancel_run",
        "retry_run",
        "start_run",
        "extend_endpoint",
        "delete_endpoint",
    }


def test_triggers_declare_and_hand_over() -> None:
    """`function_app.py` imports bindings, handlers and the composition root, and decides nothing."""
    tree = ast.parse((ROOT / "function_app.py").read_text())
    modules = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            modules |= {f"{node.module}.{alias.name}" for alias in node.names}
    allowed = (
        "__future__.",
        "azure.functions",
        "azurefunctions.extensions.",
        "handlers.",
        "shared.bootstrap",
        "shared.quiet",
        "shared.thread_limit",
        "typing.List",
    )
    assert [module for module in modules if not module.startswith(allowed)] == []

    triggers = [
        node
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.decorator_list
    ]
    assert len(triggers) == len([name for name, kind in FUNCTIONS.items() if kind != "httpTrigger"])
    handlers = {
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("handlers.")
        for alias in node.names
    }
    branching = ast.For | ast.While | ast.Try | ast.Match | ast.IfExp
    for trigger in triggers:
        named = {node.id for node in ast.walk(trigger) if isinstance(node, ast.Name)}
        assert named & handlers, f"{trigger.name} calls no handler"
        assert not [node for node in ast.walk(trigger) if isinstance(node, branching)]
        # The one question that a trigger may ask: whether an upload opened a run at all.
        asked = [ast.unparse(node.test) for node in ast.walk(trigger) if isinstance(node, ast.If)]
        assert asked in ([], ["run_id is not None"])


@pytest.mark.parametrize("content_type", ["text/event-stream; charset=utf-8", "text/html", "image/svg+xml"])
def test_the_worker_sends_the_content_type_as_it_was_chosen(content_type: str) -> None:
    """Nothing adds a charset to it."""
    assert render(Response(200, b"", content_type=content_type)).headers["content-type"] == content_type
