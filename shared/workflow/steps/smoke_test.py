"""Try a deployment on the test split before it gets traffic."""

from __future__ import annotations

import msgspec

from shared.domain.errors import ScoringError, ServiceRefusedError, TransientServiceError
from shared.domain.run.observation import EndpointStatus
from shared.domain.run.run import Run, SmokeTest
from shared.domain.serving.chat import Chat
from shared.domain.serving.deployment import DEPLOYMENT
from shared.domain.serving.dialects import read_reply, upstream_request
from shared.ports import ScoringTarget, Services

REPLY_TOKENS = 200
"""Most tokens of an answer: the Azure ML chat-completion notebook's own `max_new_tokens`."""

RETRYABLE_STATUSES = frozenset({429, 503, 504})
REPLY_LIMIT = 8_192


def smoke_test(run: Run, endpoint: EndpointStatus, auth_mode: str, services: Services) -> Run:
    """Score the run's sample of the test split on the deployment itself, traffic or not.

    Greedy decoding, so that the same model gives the same answers.

    Raises:
        TransientServiceError: If the deployment is not answering yet.
        ServiceRefusedError: If it answers, but not as a chat model does.
    """
    target = ScoringTarget(run.run_id, endpoint.scoring_uri or "", auth_mode)
    tests = []
    for sample in run.smoke_sample:
        chat = Chat(tuple(sample.messages), max_tokens=REPLY_TOKENS, temperature=0)
        answer = _score(target, chat, services)
        tests.append(SmokeTest(prompt=sample.messages, expected=sample.expected, reply=answer[:REPLY_LIMIT]))
    return msgspec.structs.replace(run, smoke_tests=tuple(tests))


def _score(target: ScoringTarget, chat: Chat, services: Services) -> str:
    try:
        route = target.serving.route
        answer = services.scoring.score(target, upstream_request(route, chat), deployment=DEPLOYMENT)
        reply = read_reply(route, answer, chat).text
    except ScoringError as fault:
        message = f"smoke test: {fault.message}"
        if fault.status in RETRYABLE_STATUSES or (fault.upstream_status or 0) >= 500:
            raise TransientServiceError(message, code=fault.code) from fault
        raise ServiceRefusedError(message, code=fault.code) from fault
    if not reply.strip():
        raise ServiceRefusedError("smoke test: the deployment answered, but with no text", code="EmptyReply")
    return reply
