"""Callers' requests to a run: each is written to its record and followed by a message that advances it.

The handlers here only record requests. The next advance acts on a request, and finds it on the record even if
the message is lost.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from handlers.http.cost_caps import check_caps
from handlers.http.responses import Response, json_response
from handlers.http.run_views import run_view
from shared.config import Settings
from shared.domain.errors import CorruptRunError, NewerRecordError, RequestError
from shared.domain.limits import Limits
from shared.domain.run.bounds import check_options, check_run_cost
from shared.domain.run.names import run_id_of
from shared.domain.run.options import Hours, Minutes, Name, RunOptions
from shared.domain.run.parts import Requests, StartRequest
from shared.domain.run.run import Run, restart, started_options
from shared.domain.run.stages import Stage
from shared.ports import Services
from shared.workflow.save_progress import update_run

LEAST_EXTENSION_HOURS = 0.25
"""An extended endpoint may idle until its new end, so that a shorter one would only switch idling off."""


class Extension(msgspec.Struct, frozen=True):
    """How much longer an endpoint is to live."""

    hours: Annotated[
        float,
        Meta(
            ge=LEAST_EXTENSION_HOURS,
            le=24 * 365,
            description="Hours to add to the time it has, at least a quarter.",
        ),
    ]


IDEMPOTENCY_KEYS_KEPT = 8
"""Extensions that are told from new ones: as many as callers can make during one write, and some more."""


def cancel_run(run_id: str, services: Services) -> Response:
    """Ask for a run to be stopped and everything of it taken away; asking twice is asking once.

    Raises:
        UnknownRunError: If there is no such run.
        RequestError: 409 if it is over.
    """

    def cancel(run: Run) -> Run:
        _must_go_on(run)
        return _with_request(run, services.now(), cancel_at=run.requests.cancel_at or services.now())

    return _accepted(run_id, cancel, services)


def delete_endpoint(endpoint: str, services: Services, *, reason: str = "requested") -> Response:
    """Ask for an endpoint to be deleted; asking twice is asking once.

    Raises:
        UnknownRunError: If there is no such endpoint.
        RequestError: 410 if it is gone, 409 if it does not exist yet.
    """

    def delete(run: Run) -> Run:
        if run.stage.terminal:
            raise _gone(run)
        if not run.stage.has_endpoint and run.stage is not Stage.STOPPED:
            message = f"{endpoint} has no endpoint yet, its run is {run.stage}: cancel the run instead"
            raise RequestError(409, message, code="NoEndpointYet")
        request = {"delete_at": run.requests.delete_at or services.now(), "delete_reason": reason}
        return _with_request(run, services.now(), **request)

    return _accepted(run_id_of(endpoint) or endpoint, delete, services)


def extend_endpoint(endpoint: str, body: dict[str, Any], *, limits: Limits, services: Services) -> Response:
    """Let an endpoint live longer; until then it is not deleted for being idle either.

    Args:
        endpoint: The endpoint's name.
        body: `{"hours": n}`, hours to add to the time it has, at least `LEAST_EXTENSION_HOURS`.
        limits: How long from going live an endpoint may live, and what it may cost.
        services: The ports.

    Raises:
        UnknownRunError: If there is no such endpoint.
        RequestError: 400 for other bodies, 410 if the endpoint is gone, 409 unless it is live and is to
            stay so, 422 for a time that is past, or past the longest, or that would cost too much.
    """
    try:
        hours = msgspec.convert(body, Extension).hours
    except (msgspec.ValidationError, OverflowError) as fault:
        message = f'the body must be {{"hours": n}} with n at least {LEAST_EXTENSION_HOURS}: {fault}'
        raise RequestError(400, message, code="InvalidExtension") from fault

    key = uuid.uuid4().hex

    def extend(run: Run) -> Run:
        if key in run.requests.extension_keys:
            # It was saved, its answer got lost, and somebody else has written since.
            return run
        if run.stage.terminal:
            raise _gone(run)
        if run.stage is not Stage.LIVE or run.endpoint is None or run.expires_at is None:
            raise RequestError(409, f"{endpoint} is not live: its run is {run.stage}", code="NotLive")
        if run.requests.delete_at is not None or run.requests.cancel_at is not None:
            raise RequestError(
                409, f"{endpoint} is being deleted and cannot be extended", code="EndpointGoing"
            )
        until = run.expires_at + timedelta(hours=hours)
        latest = run.endpoint.live_since + limits.longest_lifetime
        if until > latest:
            message = f"{endpoint} may live until {latest:%Y-%m-%d %H:%M} UTC at most; ask for fewer hours"
            raise RequestError(422, message, code="LifetimeExceeded")
        if until <= services.now():
            message = f"{endpoint} expired at {run.expires_at:%Y-%m-%d %H:%M} UTC; ask for more hours"
            raise RequestError(422, message, code="ExtensionTooShort")
        keys = (key, *run.requests.extension_keys)[:IDEMPOTENCY_KEYS_KEPT]
        extended = _with_request(run, services.now(), extended_to=until, extension_keys=keys)
        check_caps(extended, limits, services)
        return extended

    return _accepted(run_id_of(endpoint) or endpoint, extend, services, status=200)


class StartOverrides(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be different when a stopped run is deployed again."""

    instance_type: Annotated[Name | None, Meta(description="VM size of the deployment.")] = None
    instance_count: Annotated[
        Annotated[int, Meta(ge=1, le=50)] | None, Meta(description="VMs of the deployment.")
    ] = None
    lifetime_hours: Annotated[Hours | None, Meta(description="Hours from going live to being stopped.")] = (
        None
    )
    idle_minutes: Annotated[
        Minutes | None, Meta(description="Minutes without a request until it is stopped; 0 never.")
    ] = None


def start_run(run_id: str, body: dict[str, Any], *, settings: Settings, services: Services) -> Response:
    """Deploy the model of a stopped run again, without training; asking twice is asking once.

    So is that of a failed run whose job completed. A run that MAX_EVAL_LOSS stopped is deployed all the same.

    Args:
        run_id: The run.
        body: `StartOverrides`; an empty object keeps the run's options.
        settings: They hold the operator's bounds.
        services: The ports.

    Raises:
        UnknownRunError: If there is no such run.
        RequestError: 400 for other bodies, 409 unless the run waits with its model, 422 over a bound.
    """
    try:
        given = msgspec.convert(body, StartOverrides)
    except (msgspec.ValidationError, OverflowError) as fault:
        raise RequestError(
            400, f"the body must name options to change: {fault}", code="InvalidStart"
        ) from fault

    def start(run: Run) -> Run:
        if not run.may_be_started:
            raise RequestError(409, _why_not_startable(run), code="NotStopped")
        if run.requests.delete_at is not None or run.requests.cancel_at is not None:
            raise RequestError(409, f"{run_id} is about to be deleted", code="EndpointGoing")
        if (earlier := run.start_request) is not None:
            if any(getattr(earlier, name) != value for name, value in msgspec.structs.asdict(given).items()):
                message = (
                    f"{run_id} is about to start with other options: wait until it is live, or cancel it"
                )
                raise RequestError(409, message, code="AlreadyStarting")
            return run
        request = StartRequest(at=services.now(), after=len(run.history), **msgspec.structs.asdict(given))
        _within_bounds(started_options(run, request), settings, request)
        check_caps(restart(run, request, services.now()), settings.limits(), services)
        return _with_request(run, services.now(), start=request)

    return _accepted(run_id, start, services)


def _why_not_startable(run: Run) -> str:
    if run.stage is Stage.FAILED:
        return f"{run.run_id} failed before its job completed: there is no model to deploy; upload again"
    return f"{run.run_id} is not stopped: it is {run.stage}"


def _within_bounds(options: RunOptions, settings: Settings, request: StartRequest) -> None:
    """Hold what a start changes to the bounds of `run.json`; what it leaves was within them at the upload."""
    bounds = settings.bounds()
    problems = [
        problem
        for problem in check_options(options, settings.default_options(), bounds)
        if getattr(request, problem.name, None) is not None
    ] or check_run_cost(options, bounds)
    if problems:
        raise RequestError(422, "; ".join(map(str, problems)), code="OverBounds")


def retry_run(run_id: str, services: Services) -> Response:
    """Have a suspended or waiting run looked at again, now.

    Raises:
        UnknownRunError: If there is no such run.
        RequestError: 409 if it is over.
    """

    def retry(run: Run) -> Run:
        _must_go_on(run)
        if run.stage is Stage.STOPPED:
            message = f"{run_id} is stopped: POST /api/runs/{run_id}/start deploys its model again"
            raise RequestError(409, message, code="Stopped")
        return _with_request(run, services.now(), retry_at=services.now(), late_files=())

    try:
        services.runs.load(run_id)
    except NewerRecordError:
        raise
    except CorruptRunError:
        pass
    services.runs.resume(run_id)
    try:
        return _accepted(run_id, retry, services)
    except CorruptRunError:
        return json_response(202, {"run_id": run_id}, advance=(run_id,))


def _gone(run: Run) -> RequestError:
    return RequestError(410, f"{run.run_id} is gone: its run is {run.stage}", code="EndpointGone")


def _must_go_on(run: Run) -> None:
    if run.stage.terminal:
        raise RequestError(409, f"{run.run_id} has ended: its stage is {run.stage}", code="RunIsOver")


def _with_request(run: Run, now: datetime, **request: Any) -> Run:
    requests: Requests = msgspec.structs.replace(run.requests, **request)
    return run if requests == run.requests else msgspec.structs.replace(run, requests=requests, due=now)


def _accepted(
    run_id: str, change: Callable[[Run], Run], services: Services, *, status: int = 202
) -> Response:
    run = update_run(services.runs, run_id, change)
    return json_response(status, run_view(run, services.now()), advance=(run_id,))
