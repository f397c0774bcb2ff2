"""A run from upload to teardown, and the ways in which it can end early, against Azurite and the emulator."""

from __future__ import annotations

import json
import ssl
import threading
import uuid
from dataclasses import replace

import httpx
import pytest
from azure.identity import DefaultAzureCredential
from azureml_emulator import INSTANT

from handlers.http.request_changes import cancel_run, delete_endpoint, extend_endpoint
from handlers.timers.reconcile_resources import reconcile_resources
from shared.adapters.azureml.arm import WorkspaceId
from shared.adapters.azureml.endpoints import ENDPOINT_VERSION, endpoint_body
from shared.bootstrap import build_services
from shared.domain.limits import Limits
from shared.domain.run.names import INSTALLATION_TAG, RUN_TAG
from shared.domain.run.run import Run
from shared.domain.run.stages import Stage
from tests.flow.conftest import ROOT, Flow, later

BROKEN = (ROOT / "local/samples/broken.jsonl").read_bytes()


def name() -> str:
    """A dataset name of its own for each test."""
    return f"d{uuid.uuid4().hex[:10]}"


def sample() -> bytes:
    """The sample dataset with one row more, so that no test's content is another's duplicate."""
    turns = [{"role": "user", "content": uuid.uuid4().hex}, {"role": "assistant", "content": "So be it."}]
    row = json.dumps({"prompt": turns[0]["content"], "prompt_id": "", "messages": turns})
    return (ROOT / "local/samples/ultrachat-sample.jsonl").read_bytes() + row.encode() + b"\n"


def stages(run: Run) -> list[str]:
    """The stages that a run went through, in order."""
    return [entry.stage.value for entry in run.history]


def test_an_upload_is_carried_to_a_live_endpoint_and_taken_away_when_its_time_is_up(flow: Flow) -> None:
    """Every stage in order; metrics, model and smoke test on the record; in the end nothing is left."""
    run_id = flow.upload(f"{name()}.jsonl", sample())
    threads = {thread.name for thread in threading.enumerate()}
    run = flow.drive(run_id, Stage.LIVE)
    left = {thread.name for thread in threading.enumerate()} - threads
    assert not {name for name in left if "poll" in name.lower() or name.startswith(("Thread-", "lease"))}

    assert run.metrics is not None
    assert run.metrics.train_loss is not None
    assert run.metrics.eval_loss is not None
    assert len(run.metrics.history["loss"]) > 1
    assert run.model is not None
    assert run.model.version == run_id
    assert run.smoke_tests
    assert all(test.reply for test in run.smoke_tests)
    assert run.endpoint is not None
    assert run.endpoint.scoring_uri.startswith("https://")

    later(flow, hours=23)
    extend_endpoint(run_id, {"hours": 2}, limits=Limits(), services=flow.services)
    later(flow, hours=2)
    assert flow.advance(run_id).stage is Stage.LIVE, "an extended endpoint outlives its first expiry"
    later(flow, hours=2)
    run = flow.drive(run_id, Stage.STOPPED)

    assert flow.services.endpoints.endpoint(run_id, run_id) is None
    assert run.end_reason == "its lifetime ended"
    assert stages(run) == [
        "received",
        "validated",
        "training",
        "trained",
        "registered",
        "deploying",
        "live",
        "deleting",
        "stopped",
    ]


def test_an_endpoint_that_nobody_uses_is_deleted(flow: Flow) -> None:
    """The idle limit counts from going live while there has been no request."""
    run_id = flow.upload(f"{name()}.jsonl", sample())
    flow.drive(run_id, Stage.LIVE)
    later(flow, minutes=61)
    assert flow.drive(run_id, Stage.STOPPED).end_reason == "not used for 60 minutes"


def test_a_broken_dataset_is_rejected_before_azure_ml_hears_of_it(flow: Flow) -> None:
    """The report lists every fault with its line; no call reaches the control plane."""
    run_id = flow.upload(f"{name()}.jsonl", BROKEN)
    run = flow.drive(run_id, Stage.REJECTED)
    report = flow.services.reports.load(run_id, html=False)
    assert run.error is not None
    assert report is not None
    assert all(issue["line"] for issue in json.loads(report)["issues"] if issue["code"].startswith("E"))
    assert not flow.calls("PUT", "/jobs/")


def test_an_upload_over_the_operators_bounds_is_refused(flow: Flow) -> None:
    """Its clusters, VMs, nodes and code are not even asked for; each is named with who may allow it."""
    folder = name()
    options = {
        "compute": folder,
        "instance_count": 32,
        "parameters": {"num_nodes_finetune": 10**300, "trust_remote_code": "true", "max_steps": 1e9},
    }
    run_json = flow.storage.get_blob_client("uploads", f"{folder}/run.json")
    run_json.upload_blob(json.dumps(options).encode())
    run = flow.services.runs.load(flow.upload(f"{folder}/train.jsonl", sample())).run
    assert run.stage is Stage.REJECTED
    assert run.error is not None
    for word in ("ALLOWED_COMPUTES", "MAX_INSTANCE_COUNT", "2^53", "ALLOWED_PARAMETERS", "MAX_STEPS"):
        assert word in run.error.message
    assert not flow.calls("PUT", "/computes/")
    assert not flow.calls("PUT", "/jobs/")


def test_the_same_content_again_is_a_duplicate_unless_forced(flow: Flow) -> None:
    """The second upload points to the first; with `force` it is trained all the same."""
    content = sample()
    first = flow.upload(f"{name()}.jsonl", content)
    flow.drive(first, Stage.LIVE)
    second = flow.upload(f"{name()}.jsonl", content)
    assert flow.drive(second, Stage.DUPLICATE).duplicate_of == first

    folder = name()
    flow.storage.get_blob_client("uploads", f"{folder}/run.json").upload_blob(b'{"force": true}')
    third = flow.upload(f"{folder}/train.jsonl", content)
    assert flow.drive(third, Stage.LIVE).duplicate_of is None


@pytest.mark.parametrize(
    ("fault", "code", "words", "end"),
    [
        (
            {"job": {"child": "chat_completion_finetune", "message": "CUDA out of memory."}},
            "JobFailed",
            "CUDA out of memory.",
            Stage.FAILED,
        ),
        (
            {"container": {"status": 500, "reason": "no template"}, "count": None},
            "ModelError",
            "no template",
            Stage.STOPPED,
        ),
    ],
)
def test_what_goes_wrong_in_azure_ml_ends_the_run_in_its_words(
    flow: Flow,
    fault: dict[str, object],
    code: str,
    words: str,
    end: Stage,
) -> None:
    """The run ends with the service's message and leaves no endpoint."""
    flow = flow.configured(deployment_deadline_minutes=20)
    flow.emulator.add_fault(**fault)
    run_id = flow.upload(f"{name()}.jsonl", sample())
    run = flow.drive(run_id, end)
    assert run.error is not None
    assert run.error.code == code
    assert words in run.error.message
    assert flow.services.endpoints.endpoint(run_id, run_id) is None


def test_quota_that_cannot_do_is_found_out_before_training(flow: Flow) -> None:
    """A deployment needs a fifth more than its instances: where no size has that, nothing is trained.

    Where another size of the list has it, the run is trained and served on that one.
    """
    flow.emulator.set_quota({"standardNCADSA100v4Family": 24})
    run_id = flow.upload(f"{name()}.jsonl", sample())
    run = flow.drive(run_id, Stage.FAILED)
    assert run.error is not None
    assert "needs 48 vCPUs of quota standardNCADSA100v4Family, which is 24" in run.error.message
    assert not flow.calls("PUT", "/jobs/")

    sizes = ("Standard_NC24ads_A100_v4", "Standard_NC40ads_H100_v5")
    flow = flow.configured(deployment_instance_type=sizes)
    run_id = flow.upload(f"{name()}.jsonl", sample())
    live = flow.drive(run_id, Stage.LIVE)
    assert (live.options.instance_type, live.size_changes[0].before) == (sizes[1], sizes[0])


def test_a_run_can_be_canceled_while_it_trains(flow: Flow) -> None:
    """The job is stopped before the run counts as canceled."""
    flow.emulator.set_pace(replace(INSTANT, job_queue=3600))
    run_id = flow.upload(f"{name()}.jsonl", sample())
    flow.drive(run_id, Stage.TRAINING)
    cancel_run(run_id, flow.services)
    flow.drive(run_id, Stage.CANCELED)
    job = flow.services.training.job(run_id, run_id)
    assert job is not None
    assert job.state.over


def test_reconciliation_removes_endpoints_whose_run_is_unknown(flow: Flow) -> None:
    """An endpoint of a run that once was, with no record, is deleted; a live run's is left alone."""
    run_id = flow.upload(f"{name()}.jsonl", sample())
    flow.drive(run_id, Stage.LIVE)
    with flow.services.run_lock.acquire("ft-orphan-0123456789"):
        pass
    flow.services.endpoints.create(
        "ft-orphan-0123456789",
        auth_mode="key",
        tags={"finetune-on-upload-run": "ft-orphan-0123456789"},
    )
    assert reconcile_resources(settings=flow.settings, services=flow.services) == [run_id]
    assert flow.services.endpoints.endpoint("ft-orphan-0123456789", "ft-orphan-0123456789") is None
    assert flow.services.endpoints.endpoint(run_id, run_id) is not None


def put_by_hand(flow: Flow, path: str, body: dict[str, object]) -> None:
    """Create something in the workspace that the app knows nothing of; `path` has the api-version."""
    token = DefaultAzureCredential().get_token(f"{flow.emulator.url}/.default").token
    workspace = WorkspaceId("00000000-0000-0000-0000-000000000001", "local", "local").path
    with httpx.Client(verify=ssl.create_default_context(cafile=flow.emulator.ca_bundle)) as arm:
        put = arm.put(
            f"{flow.emulator.url}{workspace}/{path}",
            json=body,
            headers={"Authorization": f"Bearer {token}"},
        )
    assert put.status_code == 201


def test_reconciliation_leaves_endpoints_of_other_installations_alone(flow: Flow) -> None:
    """Two installations may share a workspace; neither knows the other's runs."""
    theirs = "ft-theirs-0123456789"
    tags = {RUN_TAG: theirs, INSTALLATION_TAG: "another"}
    put_by_hand(
        flow,
        f"onlineEndpoints/{theirs}?api-version={ENDPOINT_VERSION}",
        endpoint_body("localregion", "key", tags, {}),
    )
    assert list(flow.services.endpoints.list_owned()) == []
    reconcile_resources(settings=flow.settings, services=flow.services)
    seen = flow.services.endpoints.endpoint(theirs, theirs)
    assert seen is not None
    assert seen.foreign


def test_a_datastore_over_another_account_is_not_used(flow: Flow) -> None:
    """Training must read the snapshot, and nobody else's container of that name."""
    run_id = flow.upload(f"{name()}.jsonl", sample())
    taken = flow.configured(datastore_name="taken")
    body = {
        "properties": {
            "datastoreType": "AzureBlob",
            "accountName": "theirs",
            "containerName": "datasets",
            "credentials": {"credentialsType": "None"},
        },
    }
    services = build_services(taken.settings, DefaultAzureCredential())
    put_by_hand(flow, "datastores/taken?api-version=2024-10-01-preview", body)
    other = Flow(flow.emulator, flow.storage, taken.settings, flow.services_of(services), flow.clock)
    run = other.drive(run_id, Stage.FAILED)
    assert run.error is not None
    assert run.error.code == "DatastoreTaken"
    assert "DATASTORE_NAME" in run.error.message


def test_a_live_run_whose_endpoint_was_deleted_by_hand_ends(flow: Flow) -> None:
    """`reconcile_resources` notices, and the run stops with its model."""
    run_id = flow.upload(f"{name()}.jsonl", sample())
    flow.drive(run_id, Stage.LIVE)
    flow.services.endpoints.delete(run_id)
    assert reconcile_resources(settings=flow.settings, services=flow.services) == [run_id]
    error = flow.drive(run_id, Stage.STOPPED).error
    assert error is not None
    assert error.code == "EndpointGone"


def test_deleting_an_endpoint_takes_everything_away(flow: Flow) -> None:
    """DELETE leads to a verified absence."""
    run_id = flow.upload(f"{name()}.jsonl", sample())
    flow.drive(run_id, Stage.LIVE)
    delete_endpoint(run_id, flow.services)
    flow.drive(run_id, Stage.DELETED)
    assert flow.services.endpoints.endpoint(run_id, run_id) is None
