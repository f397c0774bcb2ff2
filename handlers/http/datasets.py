"""`GET /api/datasets/{name}`, and its current model switched by hand."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from handlers.http.dataset_views import dataset_view
from handlers.http.responses import Response, json_response
from shared.domain.errors import RequestError
from shared.domain.run.current_model import CurrentModel, Switch, SwitchKind
from shared.domain.sanitize import plain_text
from shared.ports import Services
from shared.serving.endpoint_directory import EndpointDirectory
from shared.workflow.current_model import history_of, holder_of, is_available, switch_current

A_CALLER = "a caller with a function key"
"""Who switched, unless the request says it: a key has no name."""

Words = Annotated[str, Meta(max_length=200)]


class RollbackRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who goes back to the model before, and why."""

    by: Annotated[Words, Meta(description="Your name, for the history.")] = ""
    why: Annotated[Words, Meta(description="The reason, for the history.")] = ""


class PromotionRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which run's model becomes the current one, who says so, and why."""

    run_id: Annotated[str, Meta(description="A run of the dataset that is live or stopped.")]
    by: Annotated[Words, Meta(description="Your name, for the history.")] = ""
    why: Annotated[Words, Meta(description="The reason, for the history.")] = ""


Asked = TypeVar("Asked", RollbackRequest, PromotionRequest)


def show_dataset(name: str, services: Services) -> Response:
    """Show a dataset's current model and how it came to be.

    Raises:
        RequestError: 404 if no model of that dataset was ever decided upon.
    """
    history, etag = history_of(dataset_name(name), services)
    if etag is None:
        raise _unknown(history.dataset)
    return json_response(200, dataset_view(history, holder_of(history, services)))


def promote_run(
    name: str, body: dict[str, Any], *, services: Services, directory: EndpointDirectory
) -> Response:
    """Make a run's model the current one of its dataset; asking twice is asking once.

    Raises:
        UnknownRunError: If there is no such run.
        RequestError: 400 for other bodies, 409 if the run is of another dataset, or has no model that answers
            or can be started.
    """
    asked, now = _read(body, PromotionRequest), services.now()
    dataset = dataset_name(name)
    run = services.runs.load(asked.run_id).run
    if run.dataset != dataset:
        message = f"{run.run_id} is a run of {run.dataset}, not of {dataset}"
        raise RequestError(409, message, code="OtherDataset")
    if not is_available(run):
        message = f"{run.run_id} is {run.stage}: only a model that is live or stopped can be promoted"
        raise RequestError(409, message, code="NotAvailable")

    def promote(model: CurrentModel) -> CurrentModel:
        if model.stack[:1] == (run.run_id,):
            return model
        previous = holder_of(model, services)
        before = previous.run_id if previous is not None else None
        return model.with_switch(_switch(SwitchKind.PROMOTED, run.run_id, before, now, asked))

    return _switched(switch_current(dataset, promote, services), services, directory)


def roll_back(
    name: str, body: dict[str, Any], *, services: Services, directory: EndpointDirectory
) -> Response:
    """Go back to the model that had the dataset's name before its current one.

    Raises:
        RequestError: 400 for other bodies, 404 for a dataset without a model, 409 if there is none before it.
    """
    asked, now = _read(body, RollbackRequest), services.now()
    dataset = dataset_name(name)

    def back(model: CurrentModel) -> CurrentModel:
        if not model.history:
            raise _unknown(dataset)
        current = holder_of(model, services)
        if model.canary is not None:
            # A candidate that has a share of the requests is what one goes back from.
            kept = current.run_id if current is not None else model.canary.run_id
            return model.with_switch(_switch(SwitchKind.WITHDRAWN, kept, model.canary.run_id, now, asked))
        before = holder_of(model, services, but=current.run_id) if current is not None else None
        if current is None or before is None:
            message = f"{dataset} has no earlier model that is live or stopped: promote a run instead"
            raise RequestError(409, message, code="NothingBefore")
        return model.with_switch(_switch(SwitchKind.ROLLED_BACK, before.run_id, current.run_id, now, asked))

    return _switched(switch_current(dataset, back, services), services, directory)


def dataset_name(segment: str) -> str:
    """The name in a path; one in a folder has a slash, which a path has as its escape."""
    return segment.replace("%2F", "/").replace("%2f", "/")


def _switch(
    kind: SwitchKind,
    run_id: str,
    previous: str | None,
    now: datetime,
    asked: RollbackRequest | PromotionRequest,
) -> Switch:
    by, why = plain_text(asked.by).strip() or A_CALLER, plain_text(asked.why).strip() or "requested"
    return Switch(kind=kind, run_id=run_id, previous=previous, at=now, by=by, why=why)


def _switched(model: CurrentModel, services: Services, directory: EndpointDirectory) -> Response:
    directory.forget_names()
    return json_response(200, dataset_view(model, holder_of(model, services)))


def _read(body: dict[str, Any], kind: type[Asked]) -> Asked:
    try:
        return msgspec.convert(body, kind)
    except (msgspec.ValidationError, OverflowError) as fault:
        fields = ", ".join(kind.__struct_fields__)
        raise RequestError(400, f"the body may have {fields}: {fault}", code="MalformedRequest") from fault


def _unknown(dataset: str) -> RequestError:
    message = f"no model of a dataset {dataset[:256]!r} has gone live; GET /api/runs lists runs and datasets"
    return RequestError(404, message, code="UnknownDataset")
