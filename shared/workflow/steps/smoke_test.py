"""Try a deployment on the test split before it gets traffic."""

from __future__ import annotations

from typing import Any

import msgspec

from shared.domain.errors import ScoringError, ServiceRefusedError, TransientServiceError
from shared.domain.run.observation import EndpointStatus
from shared.domain.run.run import Run, SmokeTest
from shared.domain.serving.chat_payload import chat_payload, reply_of
from shared.domain.serving.deployment import DEPLOYMENT
from shared.ports import ScoringTarget, Services

REPLY_TOKENS = 200
"""Most tokens of an answer: the Azure ML chat-completion notebook's own `max_new_tokens`."""

RETRYABLE_STATUSES = frozenset({429, 503, 504})
MODEL_ERROR = 424
"""What an endpoint answers for any error of its container, also for those of one that is still warming up
(source: Azure's "Troubleshoot online endpoints", status code table)."""

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
        payload = chat_payload(sample.messages, {"do_sample": False, "max_new_tokens": REPLY_TOKENS})
        answer = _score(target, payload, services)
        tests.append(SmokeTest(prompt=sample.messages, expected=sample.expected, reply=answer[:REPLY_LIMIT]))
    return msgspec.structs.replace(run, smoke_tests=tuple(tests))


def _score(target: ScoringTarget, payload: dict[str, Any], services: Services) -> str:
    try:
        answer = services.scoring.score(target, payload, deployment=DEPLOYMENT)
    except ScoringError as fault:
        message = f"smoke test: {fault.message}"
        upstream = fault.upstream_status or 0
        if fault.status in RETRYABLE_STATUSES or upstream >= 500 or upstream == MODEL_ERROR:
            raise TransientServiceError(message, code=fault.code) from fault
        raise ServiceRefusedError(message, code=fault.code) from fault
    reply = reply_of(answer)
    if not reply:
        raise ServiceRefusedError("smoke test: the deployment answered, but with no text", code="EmptyReply")
    return reply
