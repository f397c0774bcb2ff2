"""`python -m tools.verify_azure` against the whole local stack, and what it makes of other answers."""

from datetime import UTC, datetime
from typing import Any

import pytest
from azure.storage.blob import ContainerClient

from finetune.client import Client, Run, RunEntry, UnreachableError
from finetune.client.types import Endpoint, FailedAttempt, Options, Serving, StageEntry
from tests.live_stack import LiveStack
from tools import verify_azure
from tools.azure_questions import Answer, Evidence, Stream, findings

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_healthy_service_confirms_and_nothing_is_left(
    live_stack: LiveStack, capsys: pytest.CaptureFixture[str]
) -> None:
    """One run goes live, answers, and is deleted with its uploads; no question that it reaches is refuted."""
    stack = live_stack.stack
    where = ["--url", stack.functions_url, "--key", stack.function_key]
    code = verify_azure.main(["--yes", *where, "--storage", stack.blob_connection_string], every_seconds=0.2)
    out, err = capsys.readouterr()
    assert code == verify_azure.DONE, out + err
    assert "confirmed  the vLLM image serves the model in an environment of the workspace" in out
    assert "confirmed  it passes on `extra-parameters`" in out
    assert "open       Azure's MLflow image serves it" in out
    with Client(stack.functions_url, stack.function_key) as app:
        ours = [run for run in app.runs() if run.dataset.startswith("verify-azure-")]
        assert [run.stage for run in ours] == ["deleted"]
    with ContainerClient.from_connection_string(stack.blob_connection_string, "uploads") as uploads:
        assert list(uploads.list_blob_names(name_starts_with="verify-azure-")) == []


def test_nothing_happens_without_consent(capsys: pytest.CaptureFixture[str]) -> None:
    """It says what it would cost."""
    assert verify_azure.main([]) == verify_azure.USAGE
    assert "GPU" in capsys.readouterr().err


class _Uploads:
    """A container that notes what it is asked for."""

    def __init__(self) -> None:
        self.blobs: dict[str, Any] = {}

    def upload_blob(self, name: str, content: str) -> None:
        self.blobs[name] = content

    def get_blob_client(self, name: str) -> "_Blob":
        return _Blob(self, name)

    def delete_blob(self, name: str) -> None:
        del self.blobs[name]


class _Blob:
    def __init__(self, container: _Uploads, name: str) -> None:
        self._container, self._name = container, name

    def upload_blob(self, content: bytes) -> dict[str, str]:
        self._container.blobs[self._name] = content
        return {"etag": '"0x1"'}


class _Interrupted:
    """A client whose caller presses Ctrl-C while the run trains; its runs are found by their dataset."""

    def __init__(self) -> None:
        self.looks, self.asked = 0, list[str]()

    def runs(self, *, dataset: str) -> list[RunEntry]:
        return [RunEntry(run_id=f"ft-{dataset}", dataset=dataset, stage="training")]

    def run(self, run_id: str) -> Run:
        self.looks += 1
        if self.looks == 1:
            raise KeyboardInterrupt
        return _run(run_id, "canceled" if self.asked else "training")

    def cancel(self, run_id: str) -> Run:
        self.asked.append(run_id)
        return _run(run_id, "deleting")


def test_an_interrupted_walk_ends_its_run_and_deletes_its_files() -> None:
    """Whatever stops it, nothing is to go on costing money."""
    client, uploads = _Interrupted(), _Uploads()
    with pytest.raises(KeyboardInterrupt):
        verify_azure.verify(client, uploads, every_seconds=0)  # type: ignore[arg-type]
    assert len(client.asked) == 1
    assert uploads.blobs == {}


def test_what_cannot_be_cleaned_up_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """An app that stops to answer: the run may go on, so it is said which one."""

    class _Gone(_Interrupted):
        def run(self, run_id: str) -> Run:
            if self.looks:
                raise _GoneError("the app does not answer")
            self.looks += 1
            return _run(run_id, "stopped")

    class _GoneError(UnreachableError):
        retryable = False

    assert verify_azure.verify(_Gone(), _Uploads(), every_seconds=0) == verify_azure.LEFT_BEHIND  # type: ignore[arg-type]
    assert "left behind: run ft-verify-azure-" in capsys.readouterr().err


def _run(run_id: str, stage: str, serving: Serving | None = None) -> Run:
    return Run(
        run_id=run_id,
        dataset="d",
        stage=stage,
        history=[StageEntry(stage=stage, at=NOW)],
        options=Options(base_model="Phi-4"),
        serving=serving,
        endpoint=Endpoint(name=run_id, live_since=NOW) if stage == "live" else None,
    )


def _answers(serving: Serving | None, stream: Stream | None) -> dict[str, Answer]:
    return {one.question: one.answer for one in findings(Evidence(_run("r", "live", serving), stream))}


def _failed(strategy: str, code: str, message: str = "why") -> Serving:
    failed = FailedAttempt(strategy=strategy, code=code, message=message, at=NOW)
    return Serving(order=[strategy, "mlflow"], failed=[failed], strategy="mlflow")


def _works(strategy: str) -> Serving:
    return Serving(order=[strategy], failed=[], strategy=strategy)


@pytest.mark.parametrize(
    ("serving", "stream", "refuted"),
    [
        (None, None, set()),
        (
            _failed("vllm-environment", "ModelNotServable", "it is in folder 'x'"),
            None,
            {"vLLM image", "folder"},
        ),
        (_failed("vllm-model-image", "ModelNotServable", "the component is old"), None, {"metadata name"}),
        (_failed("vllm-environment", "OutOfQuota"), None, set()),
        (_failed("vllm-environment", "DeploymentFailed"), None, {"vLLM image"}),
        (_failed("vllm-model-image", "DeploymentFailed"), None, {"metadata name"}),
        (None, Stream(chunks=40, first=0.2, last=3.0, tokens=40), set()),
        (None, Stream(chunks=40, first=2.95, last=3.0, tokens=40), {"single events"}),
        (None, Stream(chunks=40, first=0.2, last=3.0, tokens=None), set()),
        (
            _works("vllm-environment"),
            Stream(chunks=40, first=0.2, last=3.0, tokens=None),
            {"extra-parameters"},
        ),
        (None, Stream(chunks=40, first=0.1, last=0.1, tokens=40), set()),
    ],
)
def test_a_question_is_refuted_by_what_refutes_it(
    serving: Serving | None, stream: Stream | None, refuted: set[str]
) -> None:
    """And by nothing else: what was not seen stays open."""
    found = {question for question, answer in _answers(serving, stream).items() if answer is Answer.REFUTED}
    assert len(found) == len(refuted)
    assert all(any(word in question for question in found) for word in refuted)
