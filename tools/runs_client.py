"""The app's HTTP API, as the terminal uses it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import httpx

STACK = Path(__file__).parents[1] / ".local" / "stack.json"
URL_SETTING = "FINETUNE_FUNCTIONS_URL"
KEY_SETTING = "FINETUNE_FUNCTION_KEY"
PATIENCE_SECONDS = 30.0
SCORING_SECONDS = 240.0
"""Azure's load balancer ends a request after 230 s of silence
(https://learn.microsoft.com/azure/azure-functions/functions-scale#timeout)."""

Run = dict[str, Any]

_PASSING = frozenset({408, 425, 429})
_SERVING = {"live": 2, "deploying": 1}


class RefusedError(Exception):
    """The app said no, in its own words.

    Attributes:
        status: HTTP status code of the answer.
        code: The problem's code.
        retryable: Whether the app may say yes in a while.
    """

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.retryable = status >= 500 or status in _PASSING


class UnreachableError(Exception):
    """No app is known, or it does not answer."""

    retryable = True


class RunsClient:
    """The runs of one app."""

    def __init__(self, url: str, key: str, *, transport: httpx.BaseTransport | None = None) -> None:
        """Take what the API is reached with.

        Args:
            url: The app's address, e.g. `https://app.azurewebsites.net`.
            key: A function or host key of it.
            transport: Instead of the network.
        """
        self._http = httpx.Client(
            base_url=f"{url.rstrip('/')}/api/",
            headers={"x-functions-key": key},
            timeout=PATIENCE_SECONDS,
            transport=transport,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def runs(self, **filters: str | None) -> Iterator[Run]:
        """Go through the listed runs, page by page."""
        query = {name: value for name, value in filters.items() if value is not None}
        query["limit"] = "1000"
        while True:
            page = self._ask("GET", "runs", params=query)
            yield from page["runs"]
            if page["next"] is None:
                return
            query["cursor"] = page["next"]

    def find(self, name: str, *, serving: bool = False) -> str:
        """The id of a run, by its id or by its dataset, of whose runs the newest is taken.

        Args:
            name: The id or the dataset.
            serving: Of a dataset's runs, rather take one with an endpoint: that is live, or coming up.

        Raises:
            RefusedError: There is neither.
        """

        def rank(entry: Run) -> tuple[int, str]:
            return _SERVING.get(entry["stage"], 0) if serving else 0, entry["opened_at"] or ""

        found = max(self.runs(dataset=name), key=rank, default=None)
        return str((found or self.run(name))["run_id"])

    def run(self, run_id: str) -> Run:
        """One run, whole."""
        return self._run("GET", f"runs/{run_id}")

    def cancel(self, run_id: str) -> Run:
        """Have a run stopped."""
        return self._run("POST", f"runs/{run_id}/cancel")

    def retry(self, run_id: str) -> Run:
        """Have a run looked at now."""
        return self._run("POST", f"runs/{run_id}/retry")

    def extend(self, run_id: str, hours: float) -> Run:
        """Have an endpoint live longer."""
        return self._run("POST", f"endpoints/{run_id}/extend", json={"hours": hours})

    def delete(self, run_id: str) -> Run:
        """Have an endpoint deleted."""
        return self._run("DELETE", f"endpoints/{run_id}")

    def chat(
        self, run_id: str, messages: Sequence[Mapping[str, str]], parameters: Mapping[str, Any]
    ) -> Iterator[str]:
        """The reply of a live model, piece by piece as it is generated.

        Raises:
            RefusedError: The app refused, or the model failed before the reply's end.
            UnreachableError: Nothing answers, or no longer.
        """
        body = {"messages": messages, **parameters, "stream": True}
        path = f"endpoints/{run_id}/score"
        try:
            with self._http.stream("POST", path, json=body, timeout=SCORING_SECONDS) as answer:
                if not answer.is_success:
                    answer.read()
                    raise _refusal(answer)
                yield from _pieces(answer.iter_lines())
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error

    def _run(self, method: str, path: str, **options: Any) -> Run:
        run: Run = self._ask(method, path, **options)
        return run

    def _ask(self, method: str, path: str, **options: Any) -> Any:
        try:
            answer = self._http.request(method, path, **options)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error
        if answer.is_success:
            return answer.json()
        raise _refusal(answer)

    def _unreachable(self, error: httpx.HTTPError) -> UnreachableError:
        return UnreachableError(f"{self._http.base_url} does not answer: {error or type(error).__name__}")


def _pieces(lines: Iterator[str]) -> Iterator[str]:
    """The texts of a stream of OpenAI's chunks."""
    for line in lines:
        data = line.removeprefix("data: ")
        if data == "[DONE]":
            return
        event = json.loads(data) if data else {}
        if fault := event.get("error"):
            raise RefusedError(502, fault["code"], fault["message"])
        for choice in event.get("choices", ()):
            yield choice["delta"].get("content", "")
    raise RefusedError(502, "StreamBroken", "the reply broke off")


def connect(url: str | None, key: str | None) -> RunsClient:
    """Reach the app that is given, else the environment's, else the local stack if one runs.

    Raises:
        UnreachableError: Nothing says where an app is.
    """
    stack: dict[str, str] = json.loads(STACK.read_text()) if STACK.exists() else {}
    given = url or os.environ.get(URL_SETTING)
    key = key or os.environ.get(KEY_SETTING) or (None if given else stack.get("function_key"))
    url = given or stack.get("functions_url")
    if not url or not key:
        raise UnreachableError(
            f"no app: give --url and --key (or {URL_SETTING} and {KEY_SETTING}),"
            " or start a local one (make dev)"
        )
    return RunsClient(url, key)


def _refusal(answer: httpx.Response) -> RefusedError:
    try:
        problem = answer.json()
    except ValueError:
        problem = {}
    detail = problem.get("detail") or f"the app answers {answer.status_code} {answer.reason_phrase}".strip()
    return RefusedError(answer.status_code, str(problem.get("code") or answer.status_code), detail)
