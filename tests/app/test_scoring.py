"""Scoring on an endpoint: what it answers, what it is asked with, and where that may go."""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
from typing import Any, cast

import httpx
import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ServiceRequestError
from azure.identity import DefaultAzureCredential
from azureml_emulator import Emulator

from shared.adapters.azureml.scoring import EndpointScoring
from shared.domain.errors import ScoringError, TransientServiceError
from shared.domain.serving.chat import Upstream
from shared.ports import ScoringTarget, Services
from tests.app.builders import SERVING

NAME = "ft-wire-0123456789"
PAYLOAD = Upstream("/score", {}, {"input_data": {"input_string": [[{"role": "user", "content": "Hello?"}]]}})


class Scorer:
    """An endpoint that answers as it is told, and the ways to ask it."""

    def __init__(self, services: Services, azure_ml: Emulator, auth_mode: str) -> None:
        services.endpoints.create(NAME, auth_mode=auth_mode, tags={})
        seen = services.endpoints.endpoint(NAME, NAME)
        assert seen is not None
        self.target = ScoringTarget(NAME, seen.scoring_uri or "", auth_mode, SERVING)
        self.services = services
        self.azure_ml = azure_ml

    def answer(self, status: int, body: Any = None, *, count: int | None = 1, **headers: str) -> None:
        """Set what the next requests are answered."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.azure_ml.add_fault(
            match={"operation": "score"}, status=status, body=body, headers=named, count=count
        )

    def score(self) -> Any:
        """Score once."""
        return self.services.scoring.score(self.target, PAYLOAD, deployment=None)


@pytest.fixture
def scorer(services: Services, azure_ml: Emulator) -> Scorer:
    """An endpoint by key."""
    return Scorer(services, azure_ml, "key")


@pytest.mark.parametrize(
    ("upstream", "status", "code"),
    [
        (401, 502, "EndpointUnauthorized"),
        (403, 502, "EndpointForbidden"),
        (404, 503, "NoDeployment"),
        (408, 504, "EndpointTimeout"),
        (413, 413, "PayloadTooLarge"),
        (424, 502, "ModelError"),
        (429, 429, "TooManyRequests"),
        (500, 502, "EndpointError"),
        (503, 502, "EndpointError"),
        (418, 502, "EndpointError"),
    ],
)
def test_what_an_endpoint_answers_is_mapped(scorer: Scorer, upstream: int, status: int, code: str) -> None:
    """The caller learns what happened, with the endpoint's request id, reason and pause."""
    scorer.answer(
        upstream,
        {"message": "no"},
        count=None,
        X_Request_ID="abc",
        Retry_After="3",
        ms_azureml_model_error_reason="out of memory",
    )
    with pytest.raises(ScoringError) as caught:
        scorer.score()
    fault = caught.value
    assert (fault.status, fault.code, fault.upstream_status) == (status, code, upstream)
    assert (fault.request_id, fault.retry_after) == ("abc", 3.0)
    assert "out of memory" in fault.message


@pytest.mark.parametrize("body", ["", "Hello", "{"])
def test_an_answer_that_is_no_json_is_the_models_fault(scorer: Scorer, body: str) -> None:
    """502, not a crash of ours."""
    scorer.answer(200, body)
    with pytest.raises(ScoringError) as caught:
        scorer.score()
    assert (caught.value.status, caught.value.code) == (502, "InvalidResponse")


def test_an_unreachable_endpoint_is_503(scorer: Scorer) -> None:
    """The connection breaks, nobody listens, or there is no address yet."""
    scorer.azure_ml.add_fault(match={"operation": "score"}, reset=True)
    with pytest.raises(ScoringError) as caught:
        scorer.score()
    assert caught.value.status == 503
    for uri in ("https://127.0.0.1:1/score", ""):
        with pytest.raises(ScoringError) as caught:
            scorer.services.scoring.score(scorer.target._replace(uri=uri), PAYLOAD, deployment=None)
        assert caught.value.status == 503


ELSEWHERE = (
    "https://evil.example/score",
    "https://ft-a.inference.ml.azure.com.evil.example/score",
    "https://evilinference.ml.azure.com/score",
    "https://inference.ml.azure.com@evil.example/score",
    "https://evil.example\\.inference.ml.azure.com/score",
    "https://evil.example#.inference.ml.azure.com/score",
    "http://ft-a.westeurope.inference.ml.azure.com/score",
    "https://xn--a.inference.ml.azure.com/score",
    "https://",
    "https://[",
    "nonsense",
)


@pytest.mark.parametrize("uri", ELSEWHERE)
async def test_no_credential_leaves_for_elsewhere(uri: str) -> None:
    """Whoever can write to a run's record cannot have the app sign in at an address of their own."""

    class Nobody:
        def get_token(self, *_: str, **__: Any) -> AccessToken:
            raise AssertionError("a token was asked for")

    scoring = EndpointScoring(Nobody(), None, domain="inference.ml.azure.com")  # type: ignore[arg-type]
    with pytest.raises(ScoringError, match="SCORING_DOMAIN") as caught:
        await scoring.score_async(ScoringTarget(NAME, uri, "aad_token", SERVING), PAYLOAD)
    assert (caught.value.status, caught.value.code) == (502, "ForeignAddress")
    await scoring.close()


async def test_an_endpoint_is_signed_in_to_in_its_own_domain() -> None:
    """Azure's own addresses are let through, whatever their region."""
    asked: list[str] = []

    class Anybody:
        def get_token(self, *scopes: str, **_: Any) -> AccessToken:
            asked.extend(scopes)
            raise ServiceRequestError("no further")

    scoring = EndpointScoring(Anybody(), None, domain="inference.ml.azure.com")  # type: ignore[arg-type]
    target = ScoringTarget(NAME, "https://FT-a.westeurope.inference.ml.azure.com/score", "aad_token", SERVING)
    with pytest.raises(TransientServiceError):
        await scoring.score_async(target, PAYLOAD)
    assert asked == ["https://ml.azure.com/.default"]
    await scoring.close()


@pytest.mark.parametrize("mode", ["key", "aad_token"])
async def test_credentials_are_kept_between_requests(
    services: Services, azure_ml: Emulator, mode: str
) -> None:
    """One sign-in serves many requests, one after another and at once."""
    scorer = Scorer(services, azure_ml, mode)
    scorer.answer(200, {"output": "Hi"}, count=None)
    for _ in range(3):
        assert await services.scoring.score_async(scorer.target, PAYLOAD) == {"output": "Hi"}
    await asyncio.gather(*(services.scoring.score_async(scorer.target, PAYLOAD) for _ in range(20)))
    assert len(azure_ml.calls("endpoints.list_keys")) == (1 if mode == "key" else 0)
    await _close(services)


async def test_a_regenerated_key_is_fetched_once_more(services: Services, azure_ml: Emulator) -> None:
    """A 401 is answered with a fresh key before anybody hears of it."""
    scorer = Scorer(services, azure_ml, "key")
    scorer.answer(401, {"message": "key_auth_access_denied"})
    scorer.answer(200, {"output": "Hi"}, count=None)
    assert await services.scoring.score_async(scorer.target, PAYLOAD) == {"output": "Hi"}
    assert len(azure_ml.calls("endpoints.list_keys")) == 2
    await _close(services)


async def _close(services: Services) -> None:
    await cast("EndpointScoring", services.scoring).close()


def test_an_endpoint_without_traffic_answers_only_by_its_deployment(
    services: Services, azure_ml: Emulator
) -> None:
    """The smoke test names the deployment; callers wait for traffic."""
    scorer = Scorer(services, azure_ml, "key")
    with pytest.raises(ScoringError) as caught:
        scorer.score()
    assert (caught.value.status, caught.value.upstream_status) == (503, 404)


def test_nesting_at_the_edge_of_what_can_be_sent(scorer: Scorer) -> None:
    """Whatever could be decoded is sent or refused, at every depth; nothing in between."""
    scorer.answer(200, {"output": "Hi"}, count=None)
    refused = []
    for depth in range(20, 2_000, 60):
        deep: list[Any] = []
        for _ in range(depth):
            deep = [deep]
        try:
            scorer.services.scoring.score(
                scorer.target, Upstream("/score", {}, {"deep": deep}), deployment=None
            )
        except ScoringError as fault:
            assert fault.status == 400
            refused.append(depth)
    assert refused, "none was too deep to be sent"
    assert 20 not in refused


def _primary_key(azure_ml: Emulator) -> str:
    token = DefaultAzureCredential().get_token("https://management.azure.com/.default").token
    path = f"{azure_ml.settings.workspace_arm_id}/onlineEndpoints/{NAME}/listKeys?api-version=2024-10-01"
    trust = ssl.create_default_context(cafile=azure_ml.ca_bundle)
    with httpx.Client(verify=trust, headers={"Authorization": f"Bearer {token}"}) as http:
        return str(http.post(azure_ml.url + path).json()["primaryKey"])


def test_keys_and_tokens_stay_out_of_errors_and_logs(
    services: Services, azure_ml: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    """What an endpoint is opened with appears neither in messages nor in log records."""
    caplog.set_level(logging.DEBUG, logger="shared")
    caplog.set_level(logging.INFO)
    scorer = Scorer(services, azure_ml, "key")
    key = _primary_key(azure_ml)
    scorer.answer(401, {"message": "denied"}, count=None)
    with pytest.raises(ScoringError) as caught:
        scorer.score()
    logged = json.dumps([record.__dict__ for record in caplog.records], default=str)
    assert key not in logged
    assert key not in str(caught.value)
    assert "Hello?" not in logged
