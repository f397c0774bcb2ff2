"""A sample app: HTTP functions of every kind that the host serves."""

from __future__ import annotations

import json
import logging
import threading

import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)
meeting = threading.Barrier(2, timeout=20)


@app.route(route="echo/{id}/{part?}", methods=["GET", "POST"])
def echo(req: func.HttpRequest) -> func.HttpResponse:
    """Says back all that the request was."""
    logging.info("Echoed", extra={"run_id": "ft-1"})
    content = {
        "method": req.method,
        "url": req.url,
        "header": req.headers.get("X-Sample"),
        "params": dict(req.params),
        "route": dict(req.route_params),
        "body": req.get_body().decode(),
    }
    return func.HttpResponse(json.dumps(content), mimetype="application/json")


@app.route(route="open", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
async def open_to_all(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    """Needs no key, and tells its context."""
    return func.HttpResponse(f"{context.function_name} {len(context.invocation_id)}")


@app.route(route="closed", methods=["GET"], auth_level=func.AuthLevel.ADMIN)
def closed(req: func.HttpRequest) -> str:
    """Needs a key, and returns bare text."""
    return "opened"


@app.route(route="made", methods=["POST"])
def made(req: func.HttpRequest) -> func.HttpResponse:
    """Answers with a status and headers of its own."""
    headers = {"Location": "/api/made/1", "Content-Type": "application/octet-stream"}
    return func.HttpResponse(b"\x00\xff", status_code=201, headers=headers)


@app.route(route="nothing", methods=["GET"])
def nothing(req: func.HttpRequest):
    """Returns nothing at all."""


@app.route(route="failing", methods=["GET"])
def failing(req: func.HttpRequest) -> func.HttpResponse:
    """Raises."""
    raise RuntimeError("the database password is hunter2")


@app.route(route="wrong", methods=["GET"])
def wrong(req: func.HttpRequest) -> func.HttpResponse:
    """Returns something that is no response."""
    return {"not": "a response"}  # type: ignore[return-value]


@app.route(route="meet", methods=["GET"])
def meet(req: func.HttpRequest) -> func.HttpResponse:
    """Returns once two callers are here at the same time."""
    meeting.wait()
    return func.HttpResponse("met")


@app.route(route="files/special", methods=["GET"])
def special_file(req: func.HttpRequest) -> func.HttpResponse:
    """The literal route, which wins over the catch-all."""
    return func.HttpResponse("special")


@app.route(route="files/{*path}", methods=["GET"])
def files(req: func.HttpRequest) -> func.HttpResponse:
    """Takes every path below."""
    return func.HttpResponse(req.route_params["path"])
