"""Try a deployment on the test split before it gets traffic, and find its server's route."""

from __future__ import annotations

import msgspec

from shared.config import Settings
from shared.domain.errors import FinetuneError, RequestError, ScoringError, TransientServiceError
from shared.domain.run.observation import EndpointStatus
from shared.domain.run.parts import SmokeTest
from shared.domain.run.run import Run
from shared.domain.serving.chat import Chat, Reply
from shared.domain.serving.deployment import DEPLOYMENT
from shared.domain.serving.dialects import read_reply, upstream_request
from shared.domain.serving.record import Route
from shared.domain.serving.strategies.catalogue import STRATEGIES
from shared.logs import get_logger
from shared.ports import ScoringTarget, Services
from shared.workflow.steps.ask_rows import REFUSALS, REPLY_TOKENS, UNAVAILABLE
from shared.workflow.steps.deploy_model import fail_attempt, is_proven, memory_key, serving_of

REPLY_LIMIT = 8_192

GREETING = ({"role": "user", "content": "Hello!"},)
"""What is asked where no row of the test split is answered: no deployment goes live that never answered."""

_log = get_logger(__name__)


def smoke_test(run: Run, endpoint: EndpointStatus, settings: Settings, services: Services) -> Run:
    """Score the run's sample of the test split on the deployment itself, traffic or not.

    The first conversation settles the route: the first of the strategy's that is there. Greedy decoding, so
    that the same model gives the same answers. A strategy that works is remembered for the base model.

    One bad answer proves nothing: Azure passes on any error of a container as 424, also those of one that is
    still warming up (source: "Troubleshoot online endpoints", status code table). The attempt fails once the
    deployment has answered so for REFUSAL_DEADLINE_MINUTES.

    Raises:
        TransientServiceError: If the deployment is not answering yet, or not as a chat model does.
    """
    assert run.serving is not None
    assert run.serving.current is not None
    options = settings.serving_options(run.options)
    samples = [(tuple(sample.messages), sample.expected) for sample in run.smoke_sample]
    routes, tests = STRATEGIES[run.serving.current].routes, list[SmokeTest]()
    for messages, expected in [*samples, (GREETING, "")]:
        if messages is GREETING and tests:
            break
        try:
            routes, reply = _ask(run, routes, messages, endpoint, settings, services)
            if not reply.text.strip():
                raise ScoringError(502, "the deployment's answer has no text", code="EmptyReply")
        except (ScoringError, RequestError) as fault:
            if _refuses_the_sample(fault) and messages is not GREETING:
                # Too long for its window, say: that is no reason to think that it serves nobody.
                extra = {"run_id": run.run_id, "code": fault.code}
                _log.warning("the deployment refuses a row of the test split", extra=extra)
                continue
            message = f"smoke test: {fault.message}"
            if isinstance(fault, ScoringError) and not is_proven(run, settings, services):
                raise TransientServiceError(message, code=fault.code) from fault
            return fail_attempt(run, fault.code, message, services)
        text = reply.text[:REPLY_LIMIT]
        cut = reply.finish_reason == "length" or text != reply.text
        tests.append(SmokeTest(prompt=list(messages), expected=expected, reply=text, cut=cut))
    progress = msgspec.structs.replace(run.serving, route=routes[0])
    services.serving_memory.remember(memory_key(run, options), run.serving.current)
    asked = tuple(test for test in tests if test.prompt != list(GREETING))
    return msgspec.structs.replace(run, serving=progress, smoke_tests=asked)


def _ask(
    run: Run,
    routes: tuple[Route, ...],
    messages: tuple[dict[str, str], ...],
    endpoint: EndpointStatus,
    settings: Settings,
    services: Services,
) -> tuple[tuple[Route, ...], Reply]:
    """The reply, and the routes that are left: those before the first that is there are not."""
    chat = Chat(messages, max_tokens=REPLY_TOKENS, temperature=0)
    for number, route in enumerate(routes):
        serving = serving_of(run, settings.serving_options(run.options), route)
        uri = endpoint.scoring_uri or ""
        target = ScoringTarget(run.endpoint_name, uri, settings.endpoint_auth_mode, serving)
        try:
            answer = services.scoring.score(target, upstream_request(route, chat), deployment=DEPLOYMENT)
        except ScoringError as fault:
            if _no_route(fault) and number + 1 < len(routes):
                continue
            if fault.status in UNAVAILABLE or (fault.upstream_status or 0) >= 500:
                raise TransientServiceError(f"smoke test: {fault.message}", code=fault.code) from fault
            raise
        return (route,), read_reply(route, answer, chat)
    raise AssertionError("a strategy has routes")


def _refuses_the_sample(fault: FinetuneError) -> bool:
    return isinstance(fault, ScoringError) and fault.model_status in REFUSALS


def _no_route(fault: ScoringError) -> bool:
    """Whether the server has no such path: its 404, which the front door may pass on as it is."""
    return 404 in (fault.model_status, fault.upstream_status)
