"""Examples in the OpenAPI document. A test checks each against its schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from handlers.http.openapi.run_examples import ASKED_RUN, QUOTE, REPORT, RUN, RUN_ID

CONVERSATION = [{"role": "user", "content": "How do I descale a kettle?"}]
REPLY = "Boil equal parts of water and vinegar in it, and rinse it twice."

RUN_PAGE: dict[str, Any] = {
    "runs": [
        {
            "run_id": RUN_ID,
            "dataset": "support",
            "stage": "live",
            "opened_at": "2026-03-01T12:00:00Z",
            "entered_at": "2026-03-01T15:20:00Z",
            "due": "2026-03-01T16:20:00Z",
            "expires_at": "2026-03-02T15:20:00Z",
            "suspended": None,
            "needs_attention": False,
            "waiting_for": None,
            "reason": None,
            "acknowledged": False,
            "base_model": "Phi-4-mini-instruct:4",
            "eval_loss": 0.97,
            "chrf": 61.5,
            "cost": {
                "currency": "EUR",
                "node_hours": 2.6642,
                "amount": 11.99,
                "since": "2026-03-01T14:40:25Z",
                "nodes": 1,
                "price_per_hour": 4.5,
            },
        },
    ],
    "next": None,
}

SCORE_SHORT = {"messages": CONVERSATION, "max_new_tokens": 200, "do_sample": False}
SCORE_AZURE = {
    "input_data": {"input_string": [CONVERSATION], "parameters": {"max_new_tokens": 200}},
    "params": {},
}
SCORED = {"output": REPLY, "finish_reason": "stop"}
SCORED_AZURE = [{"0": REPLY}]

CHAT = {"model": "support", "messages": CONVERSATION, "temperature": 0, "max_tokens": 200}
CHAT_STREAM = {**CHAT, "stream": True}
COMPLETION = {
    "id": "chatcmpl-5f0c1d2e3a4b5c6d7e8f90a1b2c3d4e5",
    "object": "chat.completion",
    "created": 1772380800,
    "model": RUN_ID,
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": REPLY, "refusal": None},
            "finish_reason": "stop",
            "logprobs": None,
        },
    ],
}
EVENTS = (
    'data: {"id":"chatcmpl-5f0c","created":1772380800,"model":"' + RUN_ID + '","choices":[{"delta":'
    '{"content":"Boil"},"finish_reason":null,"index":0,"logprobs":null}],"object":"chat.completion.chunk"}\n\n'
    "data: [DONE]\n\n"
)
MODEL = {
    "id": "support",
    "object": "model",
    "created": 1772378400,
    "owned_by": "finetune-on-upload",
    "root": RUN_ID,
    "status": "live",
}
MODELS = {"object": "list", "data": [MODEL]}
IGNORED_UPLOADS = {
    "uploads": [
        {
            "path": "exports/support.csv",
            "etag": '"0x8DE0A1B2C3D4E5F"',
            "size": 40960,
            "reason": "ConvertibleFile",
            "detail": "The file is not JSON Lines.",
            "remedy": "Convert and upload it with `finetune upload`, then delete this one.",
            "noticed_at": "2026-03-01T15:20:00Z",
        }
    ],
    "more": 0,
}
RUN_JSON = {"base_model": "Phi-4-mini-instruct:4", "parameters": {"num_train_epochs": 3}}
PREFLIGHT = {
    **{
        name: RUN["plan"][name]
        for name in (
            *("base_model_id", "base_model_name", "base_model_version", "component_id", "component_version"),
            *("parameters", "compute_size", "gpus_per_node", "create_compute"),
        )
    },
    "instance_type": RUN["options"]["instance_type"],
    "options": RUN["options"],
    "rules": REPORT["rules"],
}
START = {"instance_type": "Standard_NC48ads_A100_v4", "lifetime_hours": 8}
EXTENSION = {"hours": 4}
HEALTH = {"status": "ok"}
ROWS = {
    "verdict": "rejected",
    "reason": "1 of 2 rows has a fault.",
    "rows": 2,
    "rows_kept": 1,
    "tokens": 24,
    "counts": {"E104": 1},
    "issues": [
        {
            "code": "E104",
            "message": "the line is a list, not an object",
            "file": "train.jsonl",
            "line": 2,
            "excerpt": "[]",
        },
    ],
}
PARTS = {
    "files": [{"name": "train.jsonl", "parts": ["9f86d081884c7d65-00000", "9f86d081884c7d65-00001"]}],
    "options": {"parameters": {"num_train_epochs": 3}},
}
RECEIVED = {"run_id": RUN_ID, "path": "support/train.jsonl", "removed": []}
DATASETS = {"datasets": [{"dataset": "support", "current": RUN_ID}]}
SLOTS = {
    "training": {"in_use": 4, "limit": 4, "waiting": 2},
    "endpoint": {"in_use": 3, "limit": None, "waiting": 0},
}

JSON = "application/json"
_ASKED = {JSON: {"run": ASKED_RUN}}

DATASET: dict[str, Any] = {
    "dataset": "support",
    "current": RUN_ID,
    "stage": "live",
    "canary": None,
    "history": [
        {
            "kind": "promoted",
            "run_id": RUN_ID,
            "previous": "ft-support-51ce9f6a20",
            "at": "2026-03-01T15:19:58Z",
            "by": "the app, by PROMOTION",
            "why": "better on 50 rows against ft-support-51ce9f6a20",
        },
    ],
}
EXAMPLES: dict[tuple[str, str], dict[str, dict[str, Any]]] = {
    ("list_runs", "200"): {JSON: {"page": RUN_PAGE}},
    ("list_uploads", "200"): {JSON: {"ignored": IGNORED_UPLOADS}},
    ("preflight", "request"): {JSON: {"chosen": RUN_JSON, "the app's own": {}}},
    ("preflight", "200"): {JSON: {"accepted": PREFLIGHT}},
    ("create_quote", "request"): {JSON: {"a dataset": {"tokens": 240000, "rows": 1200, "options": RUN_JSON}}},
    ("create_quote", "200"): {JSON: {"quote": {"quote": QUOTE, "refusal": None, "month": None}}},
    ("get_run", "200"): {JSON: {"run": RUN}},
    ("get_dataset", "200"): {JSON: {"dataset": DATASET}},
    ("promote_model", "request"): {JSON: {"a run": {"run_id": RUN_ID, "by": "Ada", "why": "reads better"}}},
    ("promote_model", "200"): {JSON: {"dataset": DATASET}},
    ("roll_back_model", "request"): {JSON: {"named": {"by": "Ada", "why": "it invents prices"}, "bare": {}}},
    ("roll_back_model", "200"): {JSON: {"dataset": DATASET}},
    ("get_report", "200"): {JSON: {"rejected": REPORT}},
    ("cancel_run", "202"): _ASKED,
    ("start_run", "request"): {JSON: {"bigger": START, "as it was": {}}},
    ("start_run", "202"): _ASKED,
    ("retry_run", "202"): {JSON: {"run": ASKED_RUN, "unreadable": {"run_id": RUN_ID}}},
    ("acknowledge_run", "200"): _ASKED,
    ("check_rows", "200"): {JSON: {"rejected": ROWS}},
    ("complete_upload", "request"): {JSON: {"two parts": PARTS}},
    ("complete_upload", "201"): {JSON: {"received": RECEIVED}},
    ("list_datasets", "200"): {JSON: {"datasets": DATASETS}},
    ("show_slots", "200"): {JSON: {"slots": SLOTS}},
    ("score", "request"): {JSON: {"short": SCORE_SHORT, "azure": SCORE_AZURE}},
    ("score", "200"): {
        JSON: {"short": SCORED, "azure": SCORED_AZURE},
        "text/event-stream": {"events": EVENTS},
    },
    ("extend_endpoint", "request"): {JSON: {"four hours": EXTENSION}},
    ("extend_endpoint", "200"): _ASKED,
    ("delete_endpoint", "202"): _ASKED,
    ("chat_completions", "request"): {JSON: {"reply": CHAT, "stream": CHAT_STREAM}},
    ("chat_completions", "200"): {JSON: {"reply": COMPLETION}, "text/event-stream": {"events": EVENTS}},
    ("list_models", "200"): {JSON: {"models": MODELS}},
    ("get_model", "200"): {JSON: {"model": MODEL}},
    ("openapi", "200"): {JSON: {"document": {"openapi": "3.1.0"}}},
    ("health", "200"): {JSON: {"ok": HEALTH}},
}
"""By function, and by status or `request`."""


def of(function: str, where: str) -> Mapping[str, Mapping[str, Any]]:
    """The examples of a request, or of an answer of some status, by content type."""
    return EXAMPLES.get((function, where), {})
