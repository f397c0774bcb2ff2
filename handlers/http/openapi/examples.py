"""Examples of the description. A test holds each against its schema."""

from __future__ import annotations

from typing import Any

from handlers.http.openapi.run_examples import RUN_ID

CONVERSATION = [{"role": "user", "content": "How do I descale a kettle?"}]
REPLY = "Boil equal parts of water and vinegar in it, and rinse it twice."

RUN_PAGE: dict[str, Any] = {
    "runs": [
        {
            "run_id": RUN_ID,
            "dataset": "support",
            "stage": "live",
            "opened_at": "2026-03-01T12:00:00Z",
            "entered_at": "2026-03-01T15:20:00Z",
            "due": "2026-03-01T16:20:00Z",
            "expires_at": "2026-03-02T15:20:00Z",
            "suspended": None,
            "needs_attention": False,
        },
    ],
    "next": None,
}

SCORE_SHORT = {"messages": CONVERSATION, "max_new_tokens": 200, "do_sample": False}
SCORE_AZURE = {
    "input_data": {"input_string": [CONVERSATION], "parameters": {"max_new_tokens": 200}},
    "params": {},
}
SCORED = [{"output": REPLY}]

CHAT = {"model": "support", "messages": CONVERSATION, "temperature": 0, "max_tokens": 200}
CHAT_STREAM = {**CHAT, "stream": True}
COMPLETION = {
    "id": "chatcmpl-5f0c1d2e3a4b5c6d7e8f90a1b2c3d4e5",
    "object": "chat.completion",
    "created": 1772380800,
    "model": RUN_ID,
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": REPLY, "refusal": None},
            "finish_reason": "stop",
            "logprobs": None,
        },
    ],
}
EVENTS = (
    'data: {"id":"chatcmpl-5f0c","created":1772380800,"model":"' + RUN_ID + '","choices":[{"delta":'
    '{"content":"Boil"},"finish_reason":null,"index":0,"logprobs":null}],"object":"chat.completion.chunk"}\n\n'
    "data: [DONE]\n\n"
)
MODEL = {
    "id": "support",
    "object": "model",
    "created": 1772378400,
    "owned_by": "finetune-on-upload",
    "root": RUN_ID,
}
MODELS = {"object": "list", "data": [MODEL]}
START = {"instance_type": "Standard_NC48ads_A100_v4", "lifetime_hours": 8}
EXTENSION = {"hours": 4}
HEALTH = {"status": "ok"}
