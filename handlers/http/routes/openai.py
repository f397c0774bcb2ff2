"""Routes of OpenAI's API."""

from __future__ import annotations

from handlers.http.openai.chat_completions import complete_chat
from handlers.http.openai.models import Model, ModelList, list_models, show_model
from handlers.http.openai.not_offered import refuse_route
from handlers.http.openapi.chat_request import ChatCompletionBody
from handlers.http.route import AuthScheme, Content, Route, Success
from handlers.http.routes.answers import BUSY
from shared.domain.serving.openai_reply import ChatCompletion

OPENAI = (
    Route(
        function="chat_completions",
        method="POST",
        path="v1/chat/completions",
        handle=lambda request, app: complete_chat(request, app()),
        blocking=False,
        summary="Create a chat completion",
        description="OpenAI's form. A parameter that the model's server cannot honour is refused by name. "
        "With `stream`, chunks come as they are generated, and a fault in mid-stream is an event with "
        "`error`. `usage` is there if the model's server counts tokens.",
        tag="openai",
        successes={
            200: Success(
                "The reply.",
                (
                    Content((ChatCompletion,)),
                    Content(media="text/event-stream"),
                ),
            ),
        },
        errors=(400, 404, 409, 410, 413, 429, 502, 503, 504),
        auth=AuthScheme.OWN,
        request=Content((ChatCompletionBody,)),
    ),
    Route(
        function="list_models",
        method="GET",
        path="v1/models",
        handle=lambda request, app: list_models(request, app()),
        blocking=False,
        summary="List models",
        description="Each live endpoint and stopped model by its run's name, and each dataset's newest by "
        "the dataset's; `status` says whether it answers.",
        tag="openai",
        successes={200: Success("The models.", (Content((ModelList,)),))},
        errors=BUSY,
        auth=AuthScheme.OWN,
    ),
    Route(
        function="get_model",
        method="GET",
        path="v1/models/{model}",
        handle=lambda request, app: show_model(request, app()),
        blocking=False,
        summary="Show a live model",
        description="By its endpoint's name or its dataset's.",
        tag="openai",
        successes={200: Success("The model.", (Content((Model,)),))},
        errors=(404, 409, 410, *BUSY),
        auth=AuthScheme.OWN,
    ),
    *(
        Route(
            function=f"no_{name}",
            method="POST",
            path=f"v1/{name}",
            handle=lambda _request, _app, name=name: refuse_route(name),
            summary="Not offered",
            description="Answers 404, in OpenAI's form.",
            tag="openai",
            successes={},
            auth=AuthScheme.OWN,
            described=False,
        )
        for name in ("completions", "embeddings")
    ),
)
