"""`python -m tools.verify_azure --yes`: take a dozen rows through a deployed app, and say what Azure does.

It uploads them, waits for the run to be trained and deployed, streams one answer, and deletes what it
made, whatever happens in between. Then it prints each open question about Azure ML as confirmed, refuted, or
still open. Address, key and storage account are found as by `finetune`.
"""

from __future__ import annotations

import argparse
import json
import secrets
import signal
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from azure.core.exceptions import AzureError
from azure.storage.blob import ContainerClient

from finetune.cli.target import STORAGE_SETTING, add_app_arguments, connect, storage
from finetune.client import AT_REST, AppError, Client, Run, follow, reason_of
from finetune.client.follow import LOOK_SECONDS
from finetune.dataset.sending import UPLOADS, UploadError, blob_service
from shared.domain.run.names import run_id_for
from tools.azure_questions import Answer, Evidence, Finding, Stream, findings

DONE, NOT_WELL, USAGE, UNREACHABLE, LEFT_BEHIND = 0, 1, 2, 3, 4

ROWS = 12
MAX_STEPS = 2
LIFETIME_HOURS = 1.0
REPLY_TOKENS = 128
CLEAN_UP_SECONDS = 3600.0
"""Azure takes up to half an hour to delete an endpoint that is still being created."""

COST = f"""\
This trains a model on a GPU for {MAX_STEPS} steps and deploys it. It takes one to two hours, for about
one of which GPU VMs are paid; everything is deleted at the end. Run it again with --yes to begin."""


def main(arguments: list[str] | None = None, *, every_seconds: float = LOOK_SECONDS) -> int:
    """Walk through the whole flow once.

    Args:
        arguments: Instead of the process's own.
        every_seconds: Time between two looks at the run.

    Returns:
        0 if the run went live, all was cleaned up and nothing was refuted; 1 if not, or something was;
        2 without `--yes`; 3 if the app or the storage account cannot be reached; 4 if something is left
        behind, which is named.
    """
    options = _parser().parse_args(arguments)
    if not options.yes:
        print(COST, file=sys.stderr)
        return USAGE
    account = storage(options)
    if account is None:
        print(f"no storage account: set {STORAGE_SETTING}, or give --storage", file=sys.stderr)
        return USAGE
    try:
        with connect(options) as client, blob_service(*account) as service:
            client.check()
            container = service.get_container_client(UPLOADS)
            return verify(client, container, every_seconds)
    except (AppError, UploadError, AzureError) as fault:
        print(f"error: {fault}", file=sys.stderr)
        return UNREACHABLE


def verify(client: Client, container: ContainerClient, every_seconds: float) -> int:
    """Walk through the flow, clean up, print what was found; the exit code as `main` gives it."""
    name = f"verify-azure-{secrets.token_hex(4)}"
    left: list[str] = []
    try:
        run_id = _sent(container, name)
        run = _watched(client, run_id, every_seconds)
        stream = _streamed(client, run) if run.stage == "live" else None
    except AppError as fault:
        _say(f"error: {fault}")
        _clean_up(client, container, name, every_seconds, left)
        return LEFT_BEHIND if left else UNREACHABLE
    except BaseException:
        _clean_up(client, container, name, every_seconds, left)
        raise
    _clean_up(client, container, name, every_seconds, left)
    found = findings(Evidence(run, stream))
    _print(run, found)
    if left:
        return LEFT_BEHIND
    refuted = any(one.answer is Answer.REFUTED for one in found)
    return NOT_WELL if stream is None or refuted else DONE


def _clean_up(
    client: Client, container: ContainerClient, name: str, every_seconds: float, left: list[str]
) -> None:
    """End the dataset's runs and delete its files; say what could not be removed, and add it to `left`.

    The runs are found by the dataset: whether an upload whose answer was lost has opened one, nobody knows.
    """
    for blob in (f"{name}/run.json", f"{name}/train.jsonl"):
        _delete_blob(container, blob, left)
    try:
        for entry in [*client.runs(dataset=name)]:
            _end(client, entry.run_id, every_seconds, left)
    except AppError as fault:
        left.append(f"the runs of dataset {name}, which may have a job or an endpoint: {fault}")
    for one in left:
        _say(f"left behind: {one}")


def _sent(container: ContainerClient, name: str) -> str:
    """Upload the dataset; returns the run's id."""
    options: dict[str, Any] = {
        "parameters": {"max_steps": MAX_STEPS},
        "lifetime_hours": LIFETIME_HOURS,
        "force": True,
    }
    container.upload_blob(f"{name}/run.json", json.dumps(options))
    path = f"{name}/train.jsonl"
    answer = container.get_blob_client(path).upload_blob("".join(_rows(name)).encode())
    run_id = run_id_for(UPLOADS, path, str(answer["etag"]))
    _say(f"uploaded {path}, run {run_id}")
    return run_id


def _rows(name: str) -> Iterator[str]:
    for number in range(ROWS):
        messages = [
            {"role": "user", "content": f"What is step {number} of {name}?"},
            {"role": "assistant", "content": f"Step {number} is to look, and to write down what is there."},
        ]
        yield json.dumps({"messages": messages}) + "\n"


def _watched(client: Client, run_id: str, every_seconds: float) -> Run:
    """Follow the run until it is live or at rest, telling its stages."""
    told = 0
    run: Run | None = None
    for run in follow(
        client,
        run_id,
        until=lambda one: one.stage == "live",
        appears=True,
        every_seconds=every_seconds,
        trouble=lambda fault: _say(f"the app is asked again: {fault}"),
    ):
        for entry in run.history[told:]:
            _say(f"{entry.at:%H:%M:%S} {entry.stage}")
        told = len(run.history)
    assert run is not None
    if run.stage != "live":
        _say(f"{run.stage}: {reason_of(run) or 'no reason was given'}")
    return run


def _streamed(client: Client, run: Run) -> Stream | None:
    """Stream one answer, and time it."""
    request = {
        "messages": [{"role": "user", "content": "Write a few sentences about the sea."}],
        "max_tokens": REPLY_TOKENS,
    }
    began, times, tokens = time.monotonic(), list[float](), None
    try:
        for chunk in client.stream(run.run_id, request):
            if any(choice.delta.content for choice in chunk.choices):
                times.append(time.monotonic() - began)
            if chunk.usage is not None:
                tokens = chunk.usage.completion_tokens
    except AppError as fault:
        _say(f"no answer was streamed: {fault}")
    return Stream(len(times), times[0], times[-1], tokens) if times else None


def _end(client: Client, run_id: str, every_seconds: float, left: list[str]) -> None:
    """Cancel the run or delete its endpoint, and wait until nothing of it runs."""
    _say(f"cleaning up {run_id}")
    deadline = time.monotonic() + CLEAN_UP_SECONDS
    try:
        stage = _stop(client, run_id)
        for run in follow(
            client,
            run_id,
            until=lambda _: False,
            every_seconds=every_seconds,
            patience_seconds=CLEAN_UP_SECONDS,
        ):
            stage = run.stage
            if time.monotonic() > deadline:
                left.append(f"run {run_id} is still {stage}: `finetune follow {run_id}`")
                return
        if stage == "stopped":
            client.delete(run_id)
    except AppError as fault:
        left.append(f"run {run_id}, which may have an endpoint or a job: {fault}")


def _stop(client: Client, run_id: str) -> str:
    run = client.run(run_id)
    if run.stage in AT_REST:
        return run.stage
    return (client.delete(run_id) if run.stage == "live" else client.cancel(run_id)).stage


def _delete_blob(container: ContainerClient, blob: str, left: list[str]) -> None:
    try:
        container.delete_blob(blob)
    except AzureError as fault:
        if getattr(fault, "status_code", None) != 404:
            left.append(f"blob {UPLOADS}/{blob}: {fault}")


def _print(run: Run, found: list[Finding]) -> None:
    if run.model is not None:
        model = f"{run.model.name}:{run.model.version}"
        print(f"\nModel {model} stays registered. Its weights cost storage: delete it in studio.")
    print("\nTime in each stage:")
    for entry, after in pairwise(run.history):
        print(f"  {entry.stage:<10} {after.at - entry.at}")
    print("\nAbout Azure ML:")
    for one in found:
        print(f"  {one.answer:<9}  {one.question}\n             {one.seen}")


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tools.verify_azure", description=__doc__)
    parser.add_argument("--yes", action="store_true", help="begin; without it, say what it costs")
    parser.add_argument("--storage", help=f"the storage account ({STORAGE_SETTING})")
    add_app_arguments(parser)
    return parser


if __name__ == "__main__":
    for end in (signal.SIGTERM, signal.SIGHUP):
        # What is under way is cleaned up, as after Ctrl-C.
        signal.signal(end, signal.default_int_handler)
    sys.exit(main())
