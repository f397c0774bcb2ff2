"""Traces and metrics through OpenTelemetry's API; what becomes of them is the host's to configure.

In Azure the Functions worker exports them to Application Insights (`telemetryMode` in host.json); without
an SDK configured every call here does nothing. Attributes are ids, stages and numbers: never training
text, prompts, keys or tokens.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import fields, replace
from typing import Any, cast

from opentelemetry import metrics, trace
from opentelemetry.context import Context
from opentelemetry.metrics import Meter
from opentelemetry.trace import Status, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from shared.domain.errors import FinetuneError
from shared.domain.run.run import Run
from shared.domain.run.stages import Stage
from shared.ports import BegunTrace, Services

SCOPE = "finetune-on-upload"

_CONTEXT = TraceContextTextMapPropagator()
_HEADER = "traceparent"

_UNTRACED = frozenset({"acquire", "open_snapshot", "uri"})
"""Port methods that are no call of their own: contexts that span others, and a name."""


class OpenTelemetry:
    """See `Telemetry`. One trace a run: its context is kept on the record."""

    def __init__(self, tracer: Tracer | None = None, meter: Meter | None = None) -> None:
        self._tracer = tracer or trace.get_tracer(SCOPE)
        meter = meter or metrics.get_meter(SCOPE)
        self._entered = meter.create_counter("finetune.stage.entered", "{run}", "Runs that entered a stage")
        self._seconds = meter.create_histogram(
            "finetune.stage.duration", "s", "Time that a run spent in a stage"
        )
        self._hours = meter.create_counter("finetune.endpoint.hours", "h", "Time that endpoints were live")
        self._faults = meter.create_counter(
            "finetune.faults", "{fault}", "Faults that runs met, retried or not"
        )
        self._rows = meter.create_counter("finetune.rows.checked", "{row}", "Rows that validation read")
        self._pace = meter.create_histogram("finetune.validation.throughput", "By/s", "Speed of validation")
        self._runs = meter.create_gauge("finetune.runs", "{run}", "Runs by stage")

    def begin(self, run_id: str) -> BegunTrace:
        """See `Telemetry.begin`."""
        span = self._tracer.start_span("run", attributes={"run_id": run_id})
        carrier: dict[str, str] = {}
        _CONTEXT.inject(carrier, trace.set_span_in_context(span))
        # A span that does not end is not exported.
        return BegunTrace(carrier.get(_HEADER), span.end)

    @contextmanager
    def span(self, name: str, run: Run) -> Iterator[None]:
        """See `Telemetry.span`."""
        parent = None
        if run.trace is not None:
            kept = _CONTEXT.extract({_HEADER: run.trace})
            if _trace_id(kept) != _trace_id(None):
                # The invocation has a trace of its own; the run's work belongs to the run's.
                parent = kept
        facts = {"run_id": run.run_id, "stage": run.stage.value}
        # An exception is recorded once, where it was raised: by the span of the port's call.
        with _spanned(self._tracer, name, parent, facts) as span, _failing(span):
            yield

    def entered(self, stage: Stage, left: Stage, seconds: float) -> None:
        """See `Telemetry.entered`."""
        self._entered.add(1, {"stage": stage.value})
        self._seconds.record(seconds, {"stage": left.value})
        if left is Stage.LIVE:
            self._hours.add(seconds / 3600)

    def met_fault(self, stage: Stage, code: str, *, retried: bool) -> None:
        """See `Telemetry.met_fault`."""
        self._faults.add(1, {"stage": stage.value, "code": code, "retried": retried})

    def checked(self, *, rows: int, size: int, seconds: float) -> None:
        """See `Telemetry.checked`."""
        self._rows.add(rows)
        if seconds > 0:
            self._pace.record(size / seconds)

    def counted(self, runs: Mapping[str, int]) -> None:
        """See `Telemetry.counted`."""
        for stage, number in runs.items():
            self._runs.set(number, {"stage": stage})

    def traced(self, services: Services) -> Services:
        """The same services, every call of every port a span of its own."""
        ports: dict[str, Any] = {
            field.name: _TracedPort(field.name, getattr(services, field.name), self._tracer)
            for field in fields(services)
            if field.name not in {"now", "jitter", "telemetry"}
        }
        return replace(services, **ports)


def _spanned(
    tracer: Tracer, name: str, context: Context | None = None, attributes: Mapping[str, str] | None = None
) -> AbstractContextManager[trace.Span]:
    return tracer.start_as_current_span(
        name,
        context=context,
        attributes=attributes,
        record_exception=False,
        set_status_on_exception=False,
    )


@contextmanager
def _failing(span: trace.Span, *, record: bool = False) -> Iterator[None]:
    """Mark a span in which an exception is raised, with its code: its message may quote a row or a reply."""
    try:
        yield
    except Exception as fault:
        code = fault.code if isinstance(fault, FinetuneError) else type(fault).__name__
        if record:
            kind = {"exception.type": type(fault).__name__, "exception.message": code}
            span.add_event("exception", kind)
        span.set_status(Status(StatusCode.ERROR, code))
        raise


def _trace_id(context: Context | None) -> int:
    return trace.get_current_span(context).get_span_context().trace_id


class _TracedPort:
    """A port whose calls are spans, named like `training.submit` or `runs.save`."""

    def __init__(self, name: str, port: Any, tracer: Tracer) -> None:
        self._name = name
        self._port = port
        self._tracer = tracer

    def __getattr__(self, method: str) -> Any:
        call = getattr(self._port, method)
        if not callable(call) or method in _UNTRACED:
            return call
        wrapped = self._wrap(f"{self._name}.{method}", call)
        setattr(self, method, wrapped)
        return wrapped

    def _wrap(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        @contextmanager
        def span() -> Iterator[None]:
            # Internal: the HTTP request within has a span of its own, of kind client.
            with _spanned(self._tracer, name) as spanned, _failing(spanned, record=True):
                yield

        if inspect.iscoroutinefunction(call):

            @functools.wraps(call)
            async def awaited(*args: Any, **kwargs: Any) -> Any:
                with span():
                    return await call(*args, **kwargs)

            return awaited
        if inspect.isgeneratorfunction(call):

            @functools.wraps(call)
            def iterated(*args: Any, **kwargs: Any) -> Iterator[Any]:
                # Not current: what the caller does between two items is not part of it.
                whole = self._tracer.start_span(name)
                try:
                    yield from call(*args, **kwargs)
                finally:
                    whole.end()

            return cast("Callable[..., Any]", iterated)

        if inspect.isasyncgenfunction(call):

            @functools.wraps(call)
            async def streamed(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
                whole = self._tracer.start_span(name)
                try:
                    async with contextlib.aclosing(call(*args, **kwargs)) as items:
                        async for item in items:
                            yield item
                finally:
                    whole.end()

            return streamed

        @functools.wraps(call)
        def called(*args: Any, **kwargs: Any) -> Any:
            with span():
                return call(*args, **kwargs)

        return called
