"""The app's HTTP API."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from finetune.client.errors import RefusedError, UnreachableError, refusal
from finetune.client.types import (
    Chunk,
    Dataset,
    Estimate,
    IgnoredUploads,
    Preflight,
    Report,
    Run,
    RunEntry,
    RunPage,
)

PATIENCE_SECONDS = 30.0
SCORING_SECONDS = 240.0
"""Azure's load balancer ends a request after 230 s of silence
(https://learn.microsoft.com/azure/azure-functions/functions-scale#timeout)."""

ANSWER_LIMIT_BYTES = 64 * 1024 * 1024
"""The longest answer that is read: several times the longest of the app's."""

_PAGE = "1000"
_SERVING = {"live": 2, "deploying": 1}

T = TypeVar("T")


class Client:
    """One app. Leaving the context closes its connections; it is safe to share between threads."""

    def __init__(
        self,
        url: str,
        key: str,
        *,
        patience_seconds: float = PATIENCE_SECONDS,
        verify: str | bool = True,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Take what the API is reached with.

        Args:
            url: The app's address, e.g. `https://app.azurewebsites.net`.
            key: A function or host key of it.
            patience_seconds: How long to wait for an answer; for a model's reply it is `SCORING_SECONDS`.
            verify: As httpx takes it: a bundle of certificates, or whether to check them at all.
            transport: Instead of the network.
        """
        self._http = httpx.Client(
            base_url=f"{url.rstrip('/')}/api/",
            headers={"x-functions-key": key},
            timeout=patience_seconds,
            verify=verify,
            transport=transport,
            # A proxy of the environment cannot reach this machine's own addresses.
            trust_env=httpx.URL(url).host not in {"127.0.0.1", "localhost", "::1"},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    @property
    def url(self) -> str:
        """Where the API is."""
        return str(self._http.base_url)

    def runs(
        self, *, stage: str | None = None, dataset: str | None = None, attention: bool = False
    ) -> Iterator[RunEntry]:
        """Go through the listed runs in order of their ids, page by page.

        Args:
            stage: Only those in this stage.
            dataset: Only those of this dataset.
            attention: Only those that need a person.
        """
        given = {"stage": stage, "dataset": dataset, "attention": "true" if attention else None}
        query = {name: value for name, value in given.items() if value is not None} | {"limit": _PAGE}
        while True:
            page = self._ask(RunPage, "GET", "runs", params=query)
            yield from page.runs
            if page.next is None:
                return
            query["cursor"] = page.next

    def ignored_uploads(self, *, limit: int = 100) -> IgnoredUploads:
        """The uploads that open no run, the newest first."""
        return self._ask(IgnoredUploads, "GET", "uploads", params={"ignored": "true", "limit": str(limit)})

    def check(self) -> None:
        """Ask for a page of one run, which tells at once whether address, key and settings are right."""
        self._ask(RunPage, "GET", "runs", params={"limit": "1"})

    def find(self, name: str, *, serving: bool = False) -> str:
        """The id of a run, by its id or by its dataset, of whose runs the newest is taken.

        Args:
            name: The id or the dataset.
            serving: Of a dataset's runs, rather take one with an endpoint: that is live, or coming up.

        Raises:
            RefusedError: There is neither.
        """

        def rank(entry: RunEntry) -> tuple[int, float]:
            opened = entry.opened_at.timestamp() if entry.opened_at else 0.0
            return _SERVING.get(entry.stage or "", 0) if serving else 0, opened

        found = max(self.runs(dataset=name), key=rank, default=None)
        if found is not None:
            return found.run_id
        try:
            return self.run(name).run_id
        except RefusedError as fault:
            if fault.status != 404:
                raise
            message = f"there is no run and no dataset {name!r}; `finetune runs` lists them"
            raise RefusedError(404, fault.code, message) from fault

    def run(self, run_id: str) -> Run:
        """One run, whole."""
        return self._ask(Run, "GET", f"runs/{run_id}")

    def report(self, run_id: str) -> Report:
        """What dataset validation found."""
        raw = self._ask(dict[str, Any], "GET", f"runs/{run_id}/report")
        return msgspec.structs.replace(msgspec.convert(raw, Report), raw=raw)

    def report_page(self, run_id: str) -> bytes:
        """The report as a page of HTML."""
        return self._request("GET", f"runs/{run_id}/report", headers={"Accept": "text/html"}).content

    def preflight(self, options: Mapping[str, Any]) -> Preflight:
        """Have the options of a run checked without a run.

        Raises:
            RefusedError: 422 if such a run would be refused, in the words of its error.
        """
        return self._ask(Preflight, "POST", "preflight", json=dict(options))

    def quote(self, tokens: int, rows: int, training_rows: int, options: Mapping[str, Any]) -> Estimate:
        """Have a run of so many tokens and rows estimated without a run.

        Raises:
            RefusedError: 422 if such a run would be refused whatever it costs.
        """
        body = {"tokens": tokens, "rows": rows, "training_rows": training_rows, "options": dict(options)}
        return self._ask(Estimate, "POST", "quotes", json=body)

    def cancel(self, run_id: str) -> Run:
        """Have a run stopped."""
        return self._ask(Run, "POST", f"runs/{run_id}/cancel")

    def retry(self, run_id: str) -> Run | None:
        """Have a suspended or waiting run advanced now; None if its record cannot be read."""
        answer = self._request("POST", f"runs/{run_id}/retry")
        try:
            return msgspec.json.decode(answer.content, type=Run)
        except msgspec.ValidationError:
            return None

    def acknowledge(self, run_id: str) -> Run:
        """Take note of how a run ended, so that it needs attention no longer."""
        return self._ask(Run, "POST", f"runs/{run_id}/acknowledge")

    def start(self, run_id: str, **options: Any) -> Run:
        """Have the model of a stopped run deployed again, with other options where they are given."""
        given = {name: value for name, value in options.items() if value is not None}
        return self._ask(Run, "POST", f"runs/{run_id}/start", json=given)

    def promote(self, dataset: str, run_id: str, *, by: str, why: str = "") -> Dataset:
        """Make a run's model the current one of its dataset."""
        body = {"run_id": run_id, "by": by, "why": why}
        return self._ask(Dataset, "POST", f"datasets/{quote(dataset, safe='')}/promote", json=body)

    def roll_back(self, dataset: str, *, by: str, why: str = "") -> Dataset:
        """Go back to the model that had the dataset's name before its current one."""
        body = {"by": by, "why": why}
        return self._ask(Dataset, "POST", f"datasets/{quote(dataset, safe='')}/rollback", json=body)

    def dataset(self, name: str) -> Dataset:
        """A dataset's current model, and how it came to be."""
        return self._ask(Dataset, "GET", f"datasets/{quote(name, safe='')}")

    def extend(self, run_id: str, hours: float) -> Run:
        """Have an endpoint live longer."""
        return self._ask(Run, "POST", f"endpoints/{run_id}/extend", json={"hours": hours})

    def delete(self, run_id: str) -> Run:
        """Have an endpoint deleted."""
        return self._ask(Run, "DELETE", f"endpoints/{run_id}")

    def chat(
        self, run_id: str, messages: Sequence[Mapping[str, str]], parameters: Mapping[str, Any]
    ) -> Iterator[str]:
        """The reply of a live model, piece by piece as it is generated.

        Raises:
            RefusedError: The app refused, or the model failed before the reply's end.
            UnreachableError: Nothing answers, or no longer.
        """
        for chunk in self.stream(run_id, {"messages": messages, **parameters}):
            for choice in chunk.choices:
                yield choice.delta.content or ""

    def stream(self, run_id: str, request: Mapping[str, Any]) -> Iterator[Chunk]:
        """The chunks of a reply as they arrive; `request` is one of OpenAI's chat completions.

        Raises:
            RefusedError: The app refused, or the model failed before the reply's end.
            UnreachableError: Nothing answers, or no longer.
        """
        body, path = {**request, "stream": True}, f"endpoints/{run_id}/score"
        try:
            with self._http.stream("POST", path, json=body, timeout=SCORING_SECONDS) as answer:
                if not answer.is_success:
                    raise refusal(_whole(answer))
                yield from _chunks(_lines(answer))
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error

    def _ask(self, kind: type[T], method: str, path: str, **options: Any) -> T:
        answer = self._request(method, path, **options)
        try:
            return msgspec.json.decode(answer.content, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise NotTheAppError(
                f"{answer.url} does not answer as the app would: is the address right?"
            ) from error

    def _request(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            with self._http.stream(method, path, **options) as streamed:
                answer = _whole(streamed)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._unreachable(error) from error
        if answer.is_success:
            return answer
        raise refusal(answer)

    def _unreachable(self, error: Exception) -> UnreachableError:
        return UnreachableError(f"{self.url} does not answer: {error or type(error).__name__}")


class NotTheAppError(UnreachableError):
    """Something else answers at the address, say a sign-in page."""

    retryable = False


def _whole(answer: httpx.Response) -> httpx.Response:
    """The answer with its body, decompressed, which is read no further than the limit."""
    body = b"".join(_bounded(answer))
    return httpx.Response(
        answer.status_code, content=body, request=answer.request, extensions=answer.extensions
    )


def _bounded(answer: httpx.Response) -> Iterator[bytes]:
    left = ANSWER_LIMIT_BYTES
    for piece in answer.iter_bytes():
        left -= len(piece)
        if left < 0:
            limit = ANSWER_LIMIT_BYTES // 2**20
            raise NotTheAppError(f"{answer.url} answers more than {limit} MiB: is the address right?")
        yield piece


def _lines(answer: httpx.Response) -> Iterator[str]:
    unfinished = b""
    for piece in _bounded(answer):
        *lines, unfinished = (unfinished + piece).split(b"\n")
        for line in lines:
            yield line.decode(errors="replace").rstrip("\r")


def _chunks(lines: Iterator[str]) -> Iterator[Chunk]:
    """The chunks of a stream of events.

    Raises:
        RefusedError: The stream has an error, or no end.
    """
    for line in lines:
        data = line.removeprefix("data: ")
        if data == "[DONE]":
            return
        if not data:
            continue
        chunk = msgspec.json.decode(data, type=Chunk)
        if chunk.error is not None:
            raise RefusedError(502, chunk.error.code or "EndpointError", chunk.error.message)
        yield chunk
    raise RefusedError(502, "StreamBroken", "the reply broke off")
