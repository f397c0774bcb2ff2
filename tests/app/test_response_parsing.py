"""What services and containers answer, however odd: it can be kept and sent on, or is said to be invalid."""

from __future__ import annotations

import json
import logging
from typing import Any

import msgspec
import pytest
from azure.core.exceptions import DecodeError
from azureml_emulator import Emulator
from hypothesis import given
from hypothesis import strategies as st

from handlers.events.advance_message import MAX_DELIVERIES, handle_advance_message
from handlers.http.errors import problem_of
from handlers.http.list_runs import list_runs
from shared.adapters.azureml.training import sdk_translated
from shared.adapters.http.response_parsing import read_json, retry_after
from shared.adapters.sdk_errors import service_error, translate
from shared.domain.backoff import LONGEST_ASKED_SECONDS
from shared.domain.errors import (
    FinetuneError,
    InvalidRunError,
    RequestError,
    ScoringError,
    ServiceRefusedError,
    TransientServiceError,
)
from shared.domain.run.observation import EndpointStatus, Provisioning
from shared.domain.run.stages import Stage
from shared.domain.serving.chat import Upstream
from shared.ports import ScoringTarget, Services
from tests.app.builders import PLAN, RUN_ID, SERVING, a_run
from tests.app.fakes import World
from tests.app.test_adapters import CALLS
from tests.app.worlds import SETTINGS

HALF = "\ud83d"
CALLS_READING = CALLS | {
    "training.submit": lambda services: services.training.submit(
        a_run(Stage.TRAINING), PLAN, finetune_config=None
    ),
    "endpoints.route_traffic": lambda services: services.endpoints.route_traffic(RUN_ID),
    "scoring.score": lambda services: services.scoring.score(
        ScoringTarget(RUN_ID, "https://127.0.0.1:1/score", "key", SERVING), NOTHING, deployment=None
    ),
}
"""What looks at something; the last one at an endpoint's key."""

NOT_READING = {
    "endpoints.delete",
    "workspace.delete_compute",
    "endpoints.delete_deployment",
    "training.cancel",
}
"""Their answers do not matter."""

texts = st.text(st.characters(exclude_categories=()), max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=10,
)

NOTHING = Upstream("/score", {}, {})


@given(values, st.booleans())
def test_whatever_is_read_can_be_written(value: Any, escaped: bool) -> None:
    """Half a surrogate pair becomes U+FFFD, spelt out or raw; all other text stays as it is."""
    sent = json.dumps(value, ensure_ascii=escaped)
    read = read_json(sent.encode("utf-8", "surrogatepass"))
    msgspec.json.encode(read)
    text = json.dumps(value, ensure_ascii=False)
    if text == text.encode("utf-8", "replace").decode():
        assert read == value


@given(texts, texts)
def test_every_error_can_be_kept_and_answered(message: str, code: str) -> None:
    """Whoever's words are in it."""
    for fault in (ServiceRefusedError(message, code=code), RequestError(500, message, code=code)):
        msgspec.json.encode([fault.message, fault.code, str(fault)])
        assert problem_of(fault).status >= 500


def test_json_that_is_nested_too_deeply_is_no_answer() -> None:
    """Its reader cannot be made to run out of stack."""
    with pytest.raises(ValueError, match="deep"):
        read_json("[" * 100_000)


@pytest.mark.parametrize("call", [call for call in CALLS_READING if call not in NOT_READING])
@pytest.mark.parametrize("body", ["[]", '{"properties":null}'])
def test_an_answer_of_another_form_is_tried_again_later(
    call: str, body: str, services: Services, azure_ml: Emulator
) -> None:
    """It is no word of Azure ML's, and no fault of the app's own."""
    azure_ml.add_fault(match={"path": "providers|registr|mlflow"}, status=200, body=body, count=None)
    with pytest.raises(TransientServiceError) as caught:
        CALLS_READING[call](services)
    assert caught.value.code == "InvalidResponse"


@pytest.mark.parametrize(
    ("call", "path", "body"),
    [
        ("endpoints.endpoint", "onlineEndpoints", '{"properties":{"traffic":{"main":"all"}}}'),
        ("endpoints.endpoint", "onlineEndpoints", '{"properties":{"provisioningState":5}}'),
        ("endpoints.list_owned", "onlineEndpoints", '{"value":[null]}'),
        ("endpoints.list_owned", "onlineEndpoints", '{"value":[{"name":"x","tags":["x"]}]}'),
        ("workspace.vm_sizes", "vmSizes", '{"value":[{"name":"x","gpus":Infinity}]}'),
        ("workspace.compute", "computes", '{"properties":{"provisioningErrors":[7]}}'),
        ("registry.component", "versions", '{"value":[7]}'),
        ("registry.base_model", "versions/", '{"name":"8","properties":{"tags":{}}}'),
        ("metrics.read", "runs/search", '{"runs":[null]}'),
        ("training.submit", "jobs/", "<html>Please sign in</html>"),
        ("training.submit", "jobs/", "{}"),
    ],
)
def test_so_is_one_with_another_form_inside(
    call: str, path: str, body: str, services: Services, azure_ml: Emulator
) -> None:
    """Wherever the value is that cannot be used, and whoever reads it: MLflow and azure-ai-ml, too."""
    services.workspace.ensure_datastore()
    experiment = {"experiment_id": "1", "name": "e", "lifecycle_stage": "active", "artifact_location": "x"}
    azure_ml.add_fault(
        match={"path": "experiments/get-by-name"}, status=200, body={"experiment": experiment}, count=None
    )
    azure_ml.add_fault(match={"path": path}, status=200, body=body, count=None)
    with pytest.raises(TransientServiceError) as caught:
        CALLS_READING[call](services)
    assert caught.value.code == "InvalidResponse"


def test_a_resource_is_absent_only_if_the_service_says_so(services: Services, azure_ml: Emulator) -> None:
    """An empty answer or `null` would pass for what a teardown waits to see."""
    for body in ("", "null"):
        azure_ml.add_fault(match={"operation": "endpoints.get"}, status=200, body=body)
        with pytest.raises(TransientServiceError):
            services.endpoints.endpoint(RUN_ID, RUN_ID)
    assert services.endpoints.endpoint(RUN_ID, RUN_ID) is None


@pytest.mark.parametrize("details", [5, "no", {"message": "no"}, [None, "no"]])
def test_an_error_body_of_another_form_is_still_an_error(details: Any) -> None:
    """Its code and message are kept."""
    assert service_error({"error": {"code": "Bad", "message": "no", "details": details}}) == ("Bad", "no")
    assert isinstance(translate(DecodeError("not JSON"), "reading"), TransientServiceError)


def test_half_a_pair_from_azure_ml_is_mended(services: Services, azure_ml: Emulator) -> None:
    """In what a resource says of itself, and in what is refused."""
    body = json.dumps({"properties": {"provisioningErrors": [{"error": {"message": f"cut {HALF}"}}]}})
    azure_ml.add_fault(match={"path": "computes"}, status=200, body=body)
    seen = services.workspace.compute("gpu-cluster")
    assert seen is not None
    assert seen.failure == "cut \ufffd"
    refusal = json.dumps({"error": {"code": f"Bad{HALF}", "message": f"cut {HALF}"}})
    azure_ml.add_fault(match={"path": "computes"}, status=400, body=refusal)
    with pytest.raises(ServiceRefusedError, match="cut \ufffd") as caught:
        services.workspace.compute("gpu-cluster")
    assert caught.value.code == "Unspecified"


def test_half_a_pair_from_a_container_is_mended(services: Services, azure_ml: Emulator) -> None:
    """In a reply, and in the headers of an error, whose bytes need not be UTF-8 either."""
    services.endpoints.create(RUN_ID, auth_mode="key", tags={})
    seen = services.endpoints.endpoint(RUN_ID, RUN_ID)
    assert seen is not None
    target = ScoringTarget(RUN_ID, seen.scoring_uri or "", "key", SERVING)
    azure_ml.add_fault(match={"operation": "score"}, status=200, body=json.dumps({f"out{HALF}": [HALF]}))
    assert services.scoring.score(target, NOTHING, deployment=None) == {"out\ufffd": ["\ufffd"]}
    azure_ml.add_fault(match={"operation": "score"}, status=200, body="[" * 100_000)
    with pytest.raises(ScoringError) as caught:
        services.scoring.score(target, NOTHING, deployment=None)
    assert caught.value.code == "InvalidResponse"
    odd = {"x-request-id": "\xe9", "ms-azureml-model-error-reason": "\xe9", "Retry-After": "inf"}
    azure_ml.add_fault(match={"operation": "score"}, status=429, body={}, headers=odd)
    with pytest.raises(ScoringError) as caught:
        services.scoring.score(target, NOTHING, deployment=None)
    assert problem_of(caught.value).status == 429


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("\x1b[31m(x) no such field\x1b[39m", "(x) no such field"),
        ("\x9b2Jgone", "gone"),
        ("a\x1b]0;title\x07b", "ab"),
        ("a\x1b]8;;https://elsewhere.example\x1b\\link\x1b]8;;\x1b\\b", "alinkb"),
        ("a\x1bPdevice\x1b\\b", "ab"),
        ("a\x1bcb", "ab"),
        ("evil\u202egpj.exe", "evilgpj.exe"),
        ("bell\x07 and return\r", "bell\ufffd and return\ufffd"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
    ],
)
def test_an_error_has_nothing_that_a_terminal_obeys(
    services: Services, azure_ml: Emulator, sent: str, read: str
) -> None:
    """Neither as a refusal, nor in what a resource says of itself."""
    refusal = {"error": {"code": "Bad", "message": sent}}
    azure_ml.add_fault(match={"path": "computes"}, status=400, body=refusal)
    with pytest.raises(ServiceRefusedError) as caught:
        services.workspace.compute("gpu-cluster")
    assert caught.value.message.endswith(read)
    body = {"properties": {"provisioningErrors": [{"error": {"message": sent}}]}}
    azure_ml.add_fault(match={"path": "computes"}, status=200, body=body)
    seen = services.workspace.compute("gpu-cluster")
    assert seen is not None
    assert seen.failure == read
    assert InvalidRunError(sent).message == read


def test_half_a_pair_does_not_stop_a_teardown() -> None:
    """Whether a service said it or something nobody foresaw."""
    world = World()
    world.runs.create(a_run(Stage.DELETING))
    world.cloud.seen[RUN_ID] = EndpointStatus(Provisioning.READY, "x", {})
    for fault in (ServiceRefusedError(f"bad {HALF}"), KeyError(f"bad {HALF}")):
        world.cloud.faults["delete"] = [fault]
        handle_advance_message(RUN_ID, delivery=1, settings=SETTINGS, services=world.services)
        run = world.runs.load(RUN_ID).run
        assert run.last_fault is not None
        assert "bad" in run.last_fault.message
        assert run.due is not None
        world.now = run.due


def test_a_job_that_the_sdk_refuses_to_build_is_refused_for_good(services: Services) -> None:
    """To try the same again would never help."""
    plan = msgspec.structs.replace(PLAN, parameters={"no_such_parameter": 1})
    with pytest.raises(ServiceRefusedError, match="no_such_parameter") as caught:
        services.training.submit(a_run(Stage.VALIDATED), plan, finetune_config=None)
    assert caught.value.code == "UnexpectedKeywordError"


def test_a_refusal_that_the_sdk_raises_again_is_one() -> None:
    """What it says of a job that it checked arrives as an error without a kind, made of the first."""
    from azure.ai.ml._exception_helper import log_and_raise_error
    from azure.ai.ml.exceptions import ErrorCategory, ErrorTarget, ValidationException

    refusal = ValidationException(
        message="input learning_rate is unknown",
        no_personal_data_message="an input is unknown",
        target=ErrorTarget.JOB,
        error_category=ErrorCategory.USER_ERROR,
    )
    with pytest.raises(ServiceRefusedError, match="learning_rate"), sdk_translated("submitting job x"):
        try:
            raise refusal
        except ValidationException as fault:
            log_and_raise_error(fault)


def test_a_run_is_suspended_with_any_reason(caplog: pytest.LogCaptureFixture) -> None:
    """The listing shows it."""
    # What pytest keeps of a log has to be sent from one process to another.
    caplog.set_level(logging.CRITICAL, logger="handlers.events.advance_message")
    world = World()
    world.runs.create(a_run(Stage.TRAINING))
    world.cloud.faults["job"] = [ValueError(f"bad {HALF}")]
    with pytest.raises(ValueError, match="bad"):
        handle_advance_message(RUN_ID, delivery=MAX_DELIVERIES, settings=SETTINGS, services=world.services)
    (entry,) = world.runs.entries()
    assert entry.suspended == "ValueError: bad \ufffd"
    assert list_runs({}, world.services).status == 200


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("1e300", LONGEST_ASKED_SECONDS),
        *((odd, None) for odd in ("inf", "-inf", "nan", "-1", "", "soon", "Wed, 21 Oct 2026 07:28:00 GMT")),
    ],
)
def test_a_pause_that_is_asked_for_is_a_time(header: str, seconds: float | None) -> None:
    """At most an hour; anything else is as if nothing had been asked."""
    assert retry_after({"Retry-After": header}) == seconds
    assert retry_after({}) is None


def test_no_retry_after_breaks_an_answer(services: Services, azure_ml: Emulator) -> None:
    """Not infinity either."""
    headers = {"Retry-After": "inf"}
    azure_ml.add_fault(match={"operation": "endpoints.get"}, status=429, headers=headers, count=None)
    with pytest.raises(FinetuneError) as caught:
        services.endpoints.endpoint(RUN_ID, RUN_ID)
    assert problem_of(caught.value).headers["Retry-After"] == "5"
