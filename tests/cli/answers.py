"""An app that answers as the function app does, for the commands of the terminal."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from handlers.http.openapi.examples import IGNORED_UPLOADS, RUN_PAGE
from handlers.http.openapi.run_examples import REPORT
from handlers.http.openapi.run_examples import RUN as EXAMPLE

NOW = datetime.now(UTC)
RUN: dict[str, Any] = EXAMPLE | {
    "run_id": "ft-faq-0123456789",
    "dataset": "faq",
    "due": (NOW + timedelta(hours=1)).isoformat(),
    "history": [
        {"stage": "received", "at": (NOW - timedelta(days=5, minutes=30)).isoformat()},
        {"stage": "live", "at": NOW.isoformat()},
    ],
    "endpoint": EXAMPLE["endpoint"] | {"expires_at": (NOW + timedelta(hours=3)).isoformat()},
    "metrics": {"latest": {}, "history": {}, "train_loss": 1.23456, "eval_loss": None},
    "model": EXAMPLE["model"] | {"name": "Phi-4-faq"},
    "cost": EXAMPLE["cost"] | {"training_node_hours": 3.0, "training_cost": 13.5, "endpoint_cost": None},
}
ENTRY: dict[str, Any] = RUN_PAGE["runs"][0] | {
    "run_id": RUN["run_id"],
    "dataset": "faq",
    "opened_at": RUN["history"][0]["at"],
    "expires_at": RUN["endpoint"]["expires_at"],
}
REPORT_PAGE = "<!doctype html><title>Report</title>"


def streamed(*pieces: str) -> httpx.Response:
    """A reply as the app streams it."""
    chunks = [{"choices": [{"delta": {"content": piece}}]} for piece in pieces]
    events = [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks]
    return httpx.Response(200, content="".join([*events, "data: [DONE]\n\n"]).encode())


class App:
    """Answers as the function app does, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[httpx.Request] = []
        self.run = dict(RUN)
        self.entries = [dict(ENTRY)]
        self.refusal: httpx.Response | None = None
        self.looks: list[httpx.Response] = []
        self.preflight: Callable[[httpx.Request], httpx.Response] | None = None
        self.scores: list[httpx.Response | None] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer a request."""
        self.asked.append(request)
        if request.headers["x-functions-key"] != "the-key":
            return httpx.Response(401)
        if self.refusal is not None and request.method != "GET":
            return self.refusal
        if request.url.path in {"/api/preflight", "/api/quotes"} and self.preflight is not None:
            return self.preflight(request)
        if request.url.path == "/api/runs":
            wanted = request.url.params.get("dataset")
            found = [entry for entry in self.entries if wanted in {None, entry["dataset"]}]
            start, size = int(request.url.params.get("cursor", 0)), int(request.url.params["limit"])
            rest = str(start + size) if len(found) > start + size else None
            return httpx.Response(200, json={"runs": found[start : start + size], "next": rest})
        if request.url.path.endswith("/score"):
            said = self.scores.pop(0) if self.scores else None
            if said is not None:
                return said
            assert json.loads(request.content)["stream"]
            return streamed(f"{len(json.loads(request.content)['messages'])}", " heard")
        if request.url.path.endswith("/report"):
            page = "html" in request.headers["Accept"]
            return httpx.Response(200, text=REPORT_PAGE) if page else httpx.Response(200, json=REPORT)
        if request.method == "GET" and self.looks:
            return self.looks.pop(0)
        uploads = request.url.path == "/api/uploads"
        return httpx.Response(200, json=IGNORED_UPLOADS if uploads else self.run)

    @property
    def last(self) -> str:
        """Method and path of the last request."""
        return f"{self.asked[-1].method} {self.asked[-1].url.path}"


Call = Callable[..., tuple[int, str, str]]
"""Runs the command line; returns exit code, stdout and stderr."""
