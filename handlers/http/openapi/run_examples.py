"""A live run and the report of a rejected dataset, as examples in the OpenAPI document."""

from __future__ import annotations

from typing import Any

import msgspec

from shared.domain.dataset import ValidationRules

RUN_ID = "ft-support-0123456789"
_SIZE = "Standard_NC24ads_A100_v4"
_MODELS = "azureml://registries/azureml/models/Phi-4-mini-instruct"
_PIPELINE = "azureml://registries/azureml/components/chat_completion_pipeline"
QUOTE: dict[str, Any] = {
    "at": "2026-03-01T12:00:05Z",
    "trained_tokens": 576000,
    "training_size": _SIZE,
    "training_nodes": 1,
    "training_hours": {"low": 2.2, "likely": 2.5, "high": 3.1, "runs": 4},
    "training_cost": {"low": 9.9, "likely": 11.25, "high": 13.95},
    "endpoint_size": _SIZE,
    "endpoint_nodes": 1,
    "endpoint_hours": 24,
    "endpoint_cost": 108.0,
    "total_cost": {"low": 117.9, "likely": 119.25, "high": 121.95},
    "currency": "EUR",
}
_STAGES = {
    "received": "2026-03-01T12:00:00Z",
    "validated": "2026-03-01T12:00:04Z",
    "training": "2026-03-01T12:00:09Z",
    "trained": "2026-03-01T14:40:00Z",
    "registered": "2026-03-01T14:40:20Z",
    "deploying": "2026-03-01T14:40:25Z",
    "live": "2026-03-01T15:20:00Z",
}

ASKED_RUN: dict[str, Any] = {
    "run_id": RUN_ID,
    "dataset": "support",
    "stage": "live",
    "upload": {
        "container": "uploads",
        "files": [{"path": "support.jsonl", "etag": '"0x8DE5A1B2C3D4E5F"', "size": 1048576}],
    },
    "options": {
        "base_model": "Phi-4-mini-instruct",
        "parameters": {"num_train_epochs": 3},
        "compute": "gpu-cluster",
        "compute_size": _SIZE,
        "other_compute_sizes": [],
        "instance_type": _SIZE,
        "other_instance_types": [],
        "instance_count": 1,
        "lifetime_hours": 24,
        "idle_minutes": 60,
        "row_policy": "strict",
        "evaluation_rows": 50,
        "promotion": "if_not_worse",
        "start_on_request": False,
        "available": "",
        "serving_concurrency": 8,
        "force": False,
    },
    "given_options": {"lifetime_hours": 24, "parameters": {"num_train_epochs": 3}},
    "history": [{"stage": stage, "at": at} for stage, at in _STAGES.items()],
    "due": "2026-03-01T16:20:00Z",
    "billable": True,
    "outcome": None,
    "end_reason": None,
    "error": None,
    "failures": 0,
    "faulty_since": None,
    "attention": None,
    "waiting_for": None,
    "size_changes": [],
    "may_be_started": False,
    "acknowledged": False,
    "last_fault": None,
    "report": {
        "verdict": "accepted",
        "reason": "1200 rows can be trained on.",
        "rows": {"train": 960, "validation": 120, "test": 120},
        "rows_read": 1200,
        "rows_dropped": 0,
        "counts": {},
        "tokens": 240000,
        "fingerprint": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    },
    "duplicate_of": None,
    "compute_requested_at": None,
    "job_submitted_at": "2026-03-01T12:00:08Z",
    "plan": {
        "base_model_id": f"{_MODELS}/versions/4",
        "base_model_name": "Phi-4-mini-instruct",
        "base_model_version": "4",
        "component_id": f"{_PIPELINE}/versions/0.0.82",
        "component_version": "0.0.82",
        "parameters": {"num_train_epochs": 3, "learning_rate": 5e-6},
        "compute": "gpu-cluster",
        "compute_size": _SIZE,
        "gpus_per_node": 1,
        "display_name": "Phi-4-mini-instruct-support",
        "create_compute": False,
    },
    "quote": QUOTE,
    "job": {
        "name": RUN_ID,
        "status": "Completed",
        "studio_url": f"https://ml.azure.com/runs/{RUN_ID}",
    },
    "metrics": {
        "latest": {"train_loss": 0.82, "eval_loss": 0.97},
        "history": {"train_loss": [{"step": 360, "value": 0.82}]},
        "train_loss": 0.82,
        "eval_loss": 0.97,
    },
    "model": {
        "name": "Phi-4-mini-instruct-support",
        "version": RUN_ID,
        "id": f"/models/Phi-4-mini-instruct-support/versions/{RUN_ID}",
    },
    "smoke_test": [
        {
            "prompt": [{"role": "user", "content": "How do I descale a kettle?"}],
            "expected": "Boil water with a little vinegar in it.",
            "reply": "Boil equal parts of water and vinegar in it, and rinse it twice.",
        },
    ],
    "evaluation": {
        "began": "2026-03-01T15:18:40Z",
        "rows": 50,
        "asked": 50,
        "ended": "2026-03-01T15:19:50Z",
        "refused": 0,
        "fingerprint": "6b86b273ff34fce19d6b804eff5a3f57",
        "metrics": {
            "chrf": {"value": 61.4, "low": 57.2, "high": 65.3},
            "latency_p50": {"value": 1.9, "low": 1.7, "high": 2.2},
        },
        "against": "ft-support-51ce9f6a20",
        "against_asked": 50,
        "comparison": {
            "against": "ft-support-51ce9f6a20",
            "rows": 50,
            "metrics": {"chrf": {"value": 55.0, "low": 50.9, "high": 59.2}},
            "differences": {"chrf": {"value": 6.4, "low": 3.1, "high": 9.8}},
            "p_value": 0.0004,
            "verdict": "better",
        },
    },
    "promotion": {
        "promoted": True,
        "why": "better on 50 rows against ft-support-51ce9f6a20",
        "at": "2026-03-01T15:19:58Z",
        "approval": None,
    },
    "serving": {
        "order": ["vllm-environment", "vllm-model-image", "mlflow"],
        "failed": [],
        "strategy": "vllm-environment",
    },
    "endpoint": {
        "name": RUN_ID,
        "live_since": "2026-03-01T15:20:00Z",
        "expires_at": "2026-03-02T15:20:00Z",
        "idle_at": "2026-03-01T16:20:00Z",
        "idle_minutes": 60,
        "last_used": "2026-03-01T15:20:00Z",
        "seconds_left": 3600,
    },
    "last_used": "2026-03-01T15:20:00Z",
}
"""As responses to requests show it."""

RUN: dict[str, Any] = ASKED_RUN | {
    "suspended": None,
    "needs_attention": False,
    "cost": {
        "currency": "EUR",
        "training_price_per_hour": 4.5,
        "endpoint_price_per_hour": 4.5,
        "training_node_hours": 2.6642,
        "training_cost": 11.99,
        "endpoint_live_hours": 0.0,
        "endpoint_node_hours": 0.6597,
        "endpoint_cost": 2.97,
        "saved_node_hours": None,
        "saved_cost": None,
        "assumption": "Times are those of the stages: training includes waiting for nodes.",
    },
}

REPORT: dict[str, Any] = {
    "verdict": "rejected",
    "reason": "1 of 60 rows has a fault; mend it, or upload with row_policy drop.",
    "complete": True,
    "counts": {"E104": 1},
    "issues": [
        {
            "code": "E104",
            "message": "the line is a list, not an object",
            "file": "support.jsonl",
            "line": 17,
            "excerpt": "[]",
        },
    ],
    "files": [
        {
            "name": "support.jsonl",
            "split": None,
            "uploaded_bytes": 61440,
            "bytes": 61440,
            "lines": 60,
            "rows": 60,
            "rows_kept": 59,
        },
    ],
    "splits": {},
    "rows": 60,
    "rows_kept": 59,
    "rows_dropped": 1,
    "left_out_keys": {},
    "duplicates_sampled": 1,
    "tokens": {
        "total": 15000,
        "longest_row": 512,
        "context_window": 4096,
        "truncated_rows": 0,
        "truncated_tokens": 0,
    },
    "turns_per_row": [{"low": 2, "high": 2, "rows": 59}],
    "tokens_per_row": [{"low": 128, "high": 512, "rows": 59}],
    "fingerprint": "",
    "smoke_sample": [],
    "rules": msgspec.json.decode(msgspec.json.encode(ValidationRules())),
}
