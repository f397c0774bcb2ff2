"""One reply of a live model, whatever dialect its server speaks."""

from __future__ import annotations

from shared.domain.serving.chat import Chat, Reply
from shared.domain.serving.dialects import read_reply, upstream_request
from shared.ports import ScoringTarget, Services


async def complete(chat: Chat, target: ScoringTarget, services: Services) -> Reply:
    """Ask for a whole reply.

    Raises:
        RequestError: 400 for what the model's server cannot honour.
        ScoringError: For what the endpoint answers instead of a reply.
    """
    route = target.serving.route
    answer = await services.scoring.score_async(target, upstream_request(route, chat))
    return read_reply(route, answer, chat)
