"""A sample app: queue, blob and timer functions that report on the queue `%PREFIX%-results`."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import List  # noqa: UP035 - the worker takes no other generics in an `Out`

import azure.functions as func
from azurefunctions.extensions.bindings import blob

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
RESULTS = "%PREFIX%-results"
CONNECTION = "SampleStorage"


@app.queue_trigger(arg_name="message", queue_name="%PREFIX%-work", connection=CONNECTION)
@app.queue_output(arg_name="result", queue_name=RESULTS, connection=CONNECTION)
def work(message: func.QueueMessage, result: func.Out[str]) -> None:
    """Does what the message says."""
    order = json.loads(message.get_body())
    result.set(
        json.dumps(
            {
                "id": message.id,
                "count": message.dequeue_count,
                "order": order,
                "at": str(message.insertion_time),
            }
        )
    )
    if order.get("wait_for"):
        _announce_and_wait(Path(order["wait_for"]))
    if order.get("fail"):
        raise RuntimeError("as ordered")


@app.queue_trigger(arg_name="message", queue_name="%PREFIX%-fan", connection=CONNECTION)
@app.queue_output(arg_name="results", queue_name=RESULTS, connection=CONNECTION)
async def fan_out(message: func.QueueMessage, results: func.Out[List[str]]) -> None:  # noqa: UP006
    """Puts each character of the message on the queue."""
    results.set(list(message.get_body().decode()))


@app.blob_trigger(
    arg_name="client",
    path="%PREFIX%-uploads/{name}.jsonl",
    connection=CONNECTION,
    source=func.BlobSource.EVENT_GRID,
)
@app.queue_output(arg_name="result", queue_name=RESULTS, connection=CONNECTION)
def uploaded(client: blob.BlobClient, result: func.Out[str]) -> None:
    """Reports a blob with its content."""
    if "poison" in client.blob_name:
        raise RuntimeError("as named")
    result.set(json.dumps({"blob": client.blob_name, "content": client.download_blob().readall().decode()}))


@app.event_grid_trigger(arg_name="event")
@app.queue_output(arg_name="result", queue_name=RESULTS, connection=CONNECTION)
def heard(event: func.EventGridEvent, result: func.Out[str]) -> None:
    """Reports an event."""
    if event.event_type == "Sample.Fail":
        raise RuntimeError("as typed")
    result.set(json.dumps({"type": event.event_type, "subject": event.subject, "data": event.get_json()}))


@app.timer_trigger(arg_name="timer", schedule="%SCHEDULE%", run_on_startup=False)
@app.queue_output(arg_name="result", queue_name=RESULTS, connection=CONNECTION)
def tick(timer: func.TimerRequest, result: func.Out[str]) -> None:
    """Reports that it ran."""
    result.set(json.dumps({"tick": timer.past_due}))


@app.route(route="order/{text}", methods=["POST"])
@app.queue_output(arg_name="orders", queue_name=RESULTS, connection=CONNECTION)
def order(req: func.HttpRequest, orders: func.Out[List[str]]) -> func.HttpResponse:  # noqa: UP006
    """Puts the text on the queue, unless it is to fail."""
    orders.set([] if req.route_params["text"] == "none" else [req.route_params["text"]])
    if req.route_params["text"] == "fail":
        raise RuntimeError("as ordered")
    return func.HttpResponse(status_code=202)


@app.route(route="wait", methods=["POST"])
def wait(req: func.HttpRequest) -> func.HttpResponse:
    """Answers once the file exists that the body names."""
    _announce_and_wait(Path(req.get_body().decode()))
    return func.HttpResponse("waited")


def _announce_and_wait(gate: Path) -> None:
    gate.with_suffix(".reached").touch()
    deadline = time.monotonic() + 60
    while not gate.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
