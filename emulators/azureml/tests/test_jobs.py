"""Pipeline jobs: what is refused at submission, and what becomes of the rest."""

from __future__ import annotations

from typing import Any

import pytest
from azureml_emulator import Emulator, ManualClock
from emulator_rest import Rest, conversation


def details(rest: Rest, job: str) -> dict[str, Any]:
    """The run history's details of a job."""
    path = f"//history/v1.0{rest.settings.workspace_arm_id}/runs/{job}/details"
    answer: dict[str, Any] = rest("GET", path, version="v1.0").json()
    return answer


def children(rest: Rest, job: str) -> dict[str, str]:
    """Statuses of a job's child runs by node."""
    path = f"//history/v1.0{rest.settings.workspace_arm_id}/runs/{job}/children"
    runs = rest("GET", path, version="v1.0").json()["value"]
    return {run["displayName"]: run["status"] for run in runs}


def test_a_submission_says_preparing_and_the_next_look_finds_it_done(rest: Rest) -> None:
    """At the instant pace everything is done at the first poll."""
    uri = rest.upload("t.jsonl", [conversation(number) for number in range(30)])
    submitted = rest.submit("job", {"train_file_path": uri})
    assert submitted.status_code == 201
    assert submitted.json()["properties"]["status"] == "Preparing"
    assert rest("GET", "/jobs/job").json()["properties"]["status"] == "Completed"


def test_the_pipeline_has_five_child_runs_in_its_own_order(rest: Rest) -> None:
    """The component's five nodes each have a run."""
    rest.train()
    assert children(rest, "job") == dict.fromkeys(
        (
            "ft_nlp_common_validation",
            "chat_completion_model_import",
            "chat_completion_datapreprocess",
            "chat_completion_finetune",
            "ft_nlp_model_converter",
        ),
        "Completed",
    )


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("num_train_epochs", "0", "minimum"),
        ("num_train_epochs", "two", "not of type integer"),
        ("learning_rate", "small", "not of type number"),
        ("learning_rate", "nan", "not of type number"),
        ("learning_rate", "1e400", "not of type number"),
        ("num_train_epochs", "1_0", "not of type integer"),
        ("max_grad_norm", "1_0", "not of type number"),
        ("precision", "8", "not one of"),
        ("task_name", "Translation", "not one of"),
        ("learning_rate_min", "5e-7", "not defined"),
        ("compute_finetune", "nowhere", "was not found"),
    ],
)
def test_inputs_are_checked_as_the_component_declares_them(
    rest: Rest, name: str, value: str, complaint: str
) -> None:
    """Unknown names, wrong types, enums, minimums and missing clusters are refused; no job comes to be."""
    uri = rest.upload("t.jsonl", [conversation(number) for number in range(30)])
    answer = rest.submit("job", {"train_file_path": uri, name: value})
    assert answer.status_code == 400
    assert complaint in answer.json()["error"]["message"]
    assert name in answer.json()["error"]["message"]
    assert rest("GET", "/jobs/job").status_code == 404


def test_an_unknown_base_model_is_refused(rest: Rest) -> None:
    """A model the registry has never had is refused at submission."""
    body = {"mlflow_model_path": "azureml://registries/azureml/models/Phi-9/versions/1"}
    assert "Phi-9" in rest.submit("job", body).json()["error"]["message"]


def test_the_same_job_again_is_accepted_and_another_under_its_name_is_not(rest: Rest) -> None:
    """A name stands for one body for ever."""
    uri = rest.upload("t.jsonl", [conversation(number) for number in range(30)])
    assert rest.submit("job", {"train_file_path": uri}).status_code == 201
    assert rest.submit("job", {"train_file_path": uri}, tags={"a": "1"}).status_code == 200
    assert rest.submit("job", {"train_file_path": uri}, tags={"b": "2"}).status_code == 200
    assert rest("GET", "/jobs/job").json()["properties"]["tags"] == {"a": "1", "b": "2"}
    other = rest.submit("job", {"train_file_path": uri, "num_train_epochs": "2"})
    assert other.status_code == 400
    assert other.json()["error"]["message"].startswith("A job with this name already exists.")


@pytest.mark.parametrize("token", [None, "nonsense", "arm"])
def test_a_pipeline_needs_a_token_for_azure_ml(rest: Rest, token: str | None) -> None:
    """A missing, malformed or differently meant x-azureml-token is refused."""
    headers = {} if token is None else {"x-azureml-token": rest.token if token == "arm" else token}
    answer = rest("PUT", "/jobs/job", rest.job_body({}), headers=headers)
    assert answer.status_code == 401


def test_data_that_is_not_there_fails_the_preprocessing(rest: Rest) -> None:
    """The job is accepted, and its run says what was not found."""
    rest.submit("job", {"train_file_path": "azureml://datastores/workspaceblobstore/paths/nothing.jsonl"})
    found = details(rest, "job")
    assert found["status"] == "Failed"
    assert "nothing.jsonl" in found["error"]["error"]["message"]
    states = children(rest, "job")
    assert states["chat_completion_datapreprocess"] == "Failed"
    assert "chat_completion_finetune" not in states
    assert "error" not in rest("GET", "/jobs/job").json()["properties"]


@pytest.mark.parametrize(
    ("words", "inputs", "status"),
    [(5_000, {}, "Failed"), (3_000, {}, "Completed"), (3_000, {"max_seq_length": "2048"}, "Failed")],
)
def test_rows_end_at_the_models_window_or_before(
    rest: Rest, words: int, inputs: dict[str, str], status: str
) -> None:
    """Phi-3-mini-4k takes 4,096 tokens, and `max_seq_length` can only make that less."""
    row = conversation(1)
    row["messages"][0]["content"] = "word " * words
    uri = rest.upload("t.jsonl", [row] * 20)
    rest.submit("job", {"train_file_path": uri, **inputs})
    assert rest("GET", "/jobs/job").json()["properties"]["status"] == status
    if status == "Failed":
        message = details(rest, "job")["error"]["error"]["message"]
        assert "No assistant tokens found after preprocessing" in message


@pytest.mark.parametrize(("size", "asked"), [("Standard_NC24ads_A100_v4", "2"), ("Standard_DS3_v2", "1")])
def test_more_gpus_than_a_node_has_fail_the_training(rest: Rest, size: str, asked: str) -> None:
    """The submission is accepted; the training node finds out."""
    rest.compute("small", size)
    trained = rest.train(compute_finetune="small", number_of_gpu_to_use_finetuning=asked)
    assert trained["properties"]["status"] == "Failed"
    assert "invalid device ordinal" in details(rest, "job")["error"]["error"]["message"]


def test_a_job_can_be_made_to_fail_in_a_node_of_choice(rest: Rest) -> None:
    """A fault names the node and the message; the job's own details carry it."""
    rest.emulator.add_fault(job={"child": "chat_completion_finetune", "message": "CUDA out of memory"})
    assert rest.train()["properties"]["status"] == "Failed"
    assert details(rest, "job")["error"]["error"]["message"] == "CUDA out of memory"
    assert children(rest, "job")["chat_completion_finetune"] == "Failed"
    assert rest.train("second")["properties"]["status"] == "Completed"


def test_states_follow_the_clock(rest_of: Any) -> None:
    """Nothing moves until the clock does; then nodes start and end one after the other."""
    clock = ManualClock()
    with Emulator(pace="timed", clock=clock) as emulator:
        rest = rest_of(emulator)
        assert rest.train()["properties"]["status"] == "Preparing"
        assert children(rest, "job") == {"ft_nlp_common_validation": "Queued"}
        clock.advance(100)
        assert rest("GET", "/jobs/job").json()["properties"]["status"] == "Running"
        clock.advance(81)
        assert children(rest, "job") == {"ft_nlp_common_validation": "Running"}
        clock.advance(60 + 240)
        assert children(rest, "job")["chat_completion_datapreprocess"] == "Running"
        clock.advance(300 + 600)
        assert children(rest, "job")["chat_completion_finetune"] == "Running"
        early = metric_names(rest)
        assert "loss" in early
        assert "train_loss" not in early
        # Training takes longer for each token.
        clock.advance(3600)
        assert rest("GET", "/jobs/job").json()["properties"]["status"] == "Completed"
        assert "train_loss" in metric_names(rest)


def metric_names(rest: Rest) -> set[str]:
    """What the job's runs have logged so far."""
    path = f"//mlflow/v2.0{rest.settings.workspace_arm_id}/api/2.0/mlflow/runs/search"
    body = {"experiment_ids": [], "filter": "tags.mlflow.rootRunId='job'"}
    runs = rest("POST", path, body, version=None).json()["runs"]
    return {metric["key"] for run in runs for metric in run["data"]["metrics"]}


def test_cancelling_stops_a_job_between_its_nodes(rest_of: Any) -> None:
    """CancelRequested until the cancellation is through, Canceled after; no further node starts."""
    clock = ManualClock()
    with Emulator(pace="timed", clock=clock) as emulator:
        rest = rest_of(emulator)
        rest.train()
        clock.advance(200)
        answer = rest("POST", "/jobs/job/cancel")
        assert answer.status_code == 202
        assert answer.content == b"null"
        assert rest("GET", "/jobs/job").json()["properties"]["status"] == "CancelRequested"
        assert rest("GET", answer.headers["Location"]).status_code == 202
        clock.advance(31)
        assert rest("GET", answer.headers["Location"]).status_code == 204
        assert rest("GET", "/jobs/job").json()["properties"]["status"] == "Canceled"
        assert children(rest, "job") == {"ft_nlp_common_validation": "Canceled"}
        clock.advance(10_000)
        assert rest("GET", "/jobs/job").json()["properties"]["status"] == "Canceled"


def test_no_node_starts_once_a_job_is_to_stop(rest_of: Any) -> None:
    """Even when the cancellation itself never comes through."""
    clock = ManualClock()
    with Emulator(pace="timed", clock=clock) as emulator:
        rest = rest_of(emulator)
        rest.train()
        clock.advance(200)
        emulator.add_fault(match={"operation": "job.cancel"}, operation={"status": "Never"})
        rest("POST", "/jobs/job/cancel")
        clock.advance(10_000)
        assert rest("GET", "/jobs/job").json()["properties"]["status"] == "CancelRequested"
        assert list(children(rest, "job")) == ["ft_nlp_common_validation"]
        assert emulator._state.blobs.list(f"azureml-blobstore-{rest.settings.workspace_id}", "azureml/") == []


def test_cancelling_what_is_over_changes_nothing(rest: Rest) -> None:
    """A finished job stays finished."""
    rest.train()
    assert rest("POST", "/jobs/job/cancel").status_code == 202
    assert rest("GET", "/jobs/job").json()["properties"]["status"] == "Completed"


def test_child_runs_have_no_job_of_their_own(rest: Rest) -> None:
    """ARM answers a child's name with properties null, which sends clients to the run history."""
    rest.train()
    path = f"//history/v1.0{rest.settings.workspace_arm_id}/runs/job/children"
    run = rest("GET", path, version="v1.0").json()["value"][0]["runId"]
    assert rest("GET", f"/jobs/{run}").json()["properties"] is None


def test_archived_jobs_are_left_out_of_lists(rest: Rest) -> None:
    """ActiveOnly is what a list shows unless it is asked for more."""
    rest.train()
    path = f"//history/v1.0{rest.settings.workspace_arm_id}/experiments/exp/runs/job"
    assert rest("PATCH", path, {"hidden": True}, version="v1.0").status_code == 200
    assert rest("GET", "/jobs").json()["value"] == []
    assert [job["name"] for job in rest("GET", "/jobs", listViewType="All").json()["value"]] == ["job"]


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"metric_for_best_model": "f1"}, "metric_for_best_model"),
        ({"learning_rate": "0"}, "learning rate is 0"),
        ({"max_seq_length": "0"}, "No assistant tokens found"),
        ({"apply_deepspeed": "true", "auto_find_batch_size": "true"}, "auto_find_batch_size"),
        ({"apply_early_stopping": "true", "evaluation_strategy": "disable"}, "EarlyStoppingCallback"),
        ({"apply_lora": "true", "apply_deepspeed": "true"}, "Lora is not supported for phi3"),
    ],
)
def test_combinations_fail_where_the_trainer_fails(rest: Rest, inputs: dict[str, str], words: str) -> None:
    """On the node that meets them, after the job was taken."""
    assert rest.train(**inputs)["properties"]["status"] == "Failed"
    assert words in details(rest, "job")["error"]["error"]["message"]


def test_epochs_show_in_the_metrics(rest: Rest) -> None:
    """The log's last epoch is the one asked for, and its losses fall."""
    rest.train(num_train_epochs="3", logging_steps="1")
    path = f"//mlflow/v2.0{rest.settings.workspace_arm_id}/api/2.0/mlflow"
    runs = rest("POST", f"{path}/runs/search", {"filter": "metrics.epoch > 0"}, version=None).json()["runs"]
    child, root = sorted(runs, key=lambda run: run["info"]["run_id"] == "job")
    assert root["data"]["metrics"] == child["data"]["metrics"]
    run = child["info"]["run_id"]
    assert {one["key"]: one["value"] for one in child["data"]["metrics"]}["epoch"] == 3
    history = rest("GET", f"{path}/metrics/get-history", version=None, run_id=run, metric_key="loss").json()
    losses = [one["value"] for one in history["metrics"]]
    assert losses[-1] < losses[0] / 2
