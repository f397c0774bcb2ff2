"""The table of routes. `function_app.py` registers them, and `GET /api/openapi.json` describes them."""

from __future__ import annotations

from typing import Any

from handlers.http.approvals import FORM, answer_approval, show_approval
from handlers.http.dashboard import show_dashboard
from handlers.http.health import Health, show_health
from handlers.http.openapi.show_openapi import show_openapi
from handlers.http.responses import Response
from handlers.http.route import AuthScheme, Content, Route, Success
from handlers.http.routes.answers import BUSY
from handlers.http.routes.datasets import DATASETS
from handlers.http.routes.endpoints import ENDPOINTS
from handlers.http.routes.openai import OPENAI
from handlers.http.routes.runs import RUNS, SLOTS
from handlers.http.routes.uploads import UPLOADS

APPROVALS = tuple(
    Route(
        function=f"{name}_approval",
        method=method,
        path="approvals/{token}",
        handle=handle,
        advances=method == "POST",
        summary="Say yes or no to a model",
        description="The page that a notification links to. GET asks, POST takes the answer.",
        tag="app",
        successes={},
        auth=AuthScheme.NONE,
        described=False,
        request=Content(media=FORM) if method == "POST" else None,
    )
    for name, method, handle in (
        ("show", "GET", lambda request, app: show_approval(app().services, request.path["token"])),
        (
            "answer",
            "POST",
            lambda request, app: answer_approval(app().services, request.path["token"], request.body),
        ),
    )
)

APP = (
    Route(
        function="home",
        method="GET",
        path="{home:maxlength(0)?}",
        prefix="",
        handle=lambda _request, _app: Response(302, b"", headers={"Location": "/api/dashboard"}),
        summary="Lead to the page",
        description="From the app's address alone.",
        tag="app",
        successes={},
        auth=AuthScheme.NONE,
        described=False,
    ),
    Route(
        function="dashboard",
        method="GET",
        path="dashboard/{file?}",
        handle=lambda request, _app: show_dashboard(
            request.path.get("file"), url=request.url, if_none_match=request.if_none_match
        ),
        summary="Show the page",
        description="The page for people, and its files.",
        tag="app",
        successes={},
        auth=AuthScheme.NONE,
        described=False,
    ),
    Route(
        function="openapi",
        method="GET",
        path="openapi.json",
        handle=lambda _request, _app: show_openapi(ROUTES),
        summary="Show this description",
        description="OpenAPI 3.1.",
        tag="app",
        successes={200: Success("This.", (Content((dict[str, Any],)),))},
        auth=AuthScheme.NONE,
    ),
    Route(
        function="health",
        method="GET",
        path="health",
        handle=lambda _request, app: show_health(app),
        summary="Show whether the app is configured",
        description="If it is not, its log names the settings at fault; routes with a function key do, too.",
        tag="app",
        successes={200: Success("It is.", (Content((Health,)),))},
        errors=BUSY,
        auth=AuthScheme.NONE,
    ),
)

ROUTES: tuple[Route, ...] = (*RUNS, *DATASETS, *SLOTS, *UPLOADS, *ENDPOINTS, *OPENAI, *APPROVALS, *APP)
