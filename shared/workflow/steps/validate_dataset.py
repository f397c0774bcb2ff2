"""Validate an upload and write its snapshot, in one pass over the bytes that may take several invocations."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from shared.domain.dataset import (
    DatasetFile,
    DatasetReport,
    Split,
    ValidationRules,
    Validator,
    read_checkpoint,
    report_html,
    resumes_at,
)
from shared.domain.run.names import part_of_folder
from shared.domain.run.parts import summarize
from shared.domain.run.run import Run
from shared.ports import Services
from shared.workflow.steps.validation_turns import TURN_SECONDS, TURNS

CHECKPOINT_EVERY = timedelta(seconds=20)
"""Between checkpoints, which is also how soon a cancellation is noticed: a worker that dies loses so much."""

TURN = timedelta(seconds=TURN_SECONDS)

LONGEST_INVOCATION = timedelta(minutes=20)
"""After so long a validation goes on in another invocation: well under `functionTimeout` in host.json."""


def validate_dataset(run: Run, rules: ValidationRules, services: Services, *, smoke_rows: int) -> Run:
    """Read the upload, store the report, and write the snapshot if the dataset is accepted.

    Args:
        run: The run.
        rules: What the dataset is held to.
        services: The ports.
        smoke_rows: How many of the drawn test rows the record keeps for the smoke test.

    Returns:
        The run with its report; the run as it was if it is not its turn (`ValidationTurns`), if the
        validation is to go on later, or if a caller asked meanwhile for the run to end.

    Raises:
        UploadReplacedError: If the upload is no longer the version that the run was opened for.
        TransientServiceError: If storage could not be reached.
    """
    if not TURNS.begin(run.run_id, run.dataset):
        return run
    validated = run
    try:
        validated = _validate(run, rules, services, smoke_rows)
    finally:
        TURNS.end(run.run_id, finished=validated.report is not None)
    return validated


def _validate(run: Run, rules: ValidationRules, services: Services, smoke_rows: int) -> Run:
    began = services.now()
    names = [file.path for file in run.source.files]
    kept = services.datasets.load_checkpoint(run.run_id)
    state = read_checkpoint(kept, names, rules) if kept is not None else None
    files = [
        DatasetFile(
            name=file.path,
            split=_split_of(file.path),
            chunks=services.uploads.read(file, resumes_at(state, file.path)),
        )
        for file in run.source.files
    ]
    with services.datasets.open_snapshot(run.run_id, state.sinks if state else b"") as snapshot:
        validator = Validator(files, rules, snapshot.sinks)
        if state is not None:
            validator.resume(state)
        saved = began
        reading_since = None  # a compressed file has to be decompressed up to where it was left
        for _ in validator.steps():
            now = services.now()
            reading_since = reading_since or now
            if now - saved < CHECKPOINT_EVERY:
                continue
            if _is_to_end(run, services):
                services.datasets.delete_checkpoint(run.run_id)
                return run
            services.datasets.save_checkpoint(run.run_id, validator.checkpoint(snapshot.state()))
            saved = now
            turn = TURN if TURNS.others_wait(run.run_id) else LONGEST_INVOCATION
            if now - reading_since > turn:
                return run
        report = validator.report()
        if report.accepted:
            snapshot.commit(split for split, summary in report.splits.items() if summary.rows)
    size = sum(file.size for file in run.source.files) - (state.at.position if state else 0)
    seconds = (services.now() - began).total_seconds()
    services.telemetry.checked(rows=report.rows, size=max(size, 0), seconds=seconds)
    services.reports.save(run.run_id, json=_to_json(report), html=report_html(report))
    if saved > began or kept is not None:
        services.datasets.delete_checkpoint(run.run_id)
    return msgspec.structs.replace(
        run,
        report=summarize(report),
        smoke_sample=tuple(report.smoke_sample[:smoke_rows]),
    )


def _is_to_end(run: Run, services: Services) -> bool:
    requests = services.runs.load(run.run_id).run.requests
    return requests.cancel_at is not None or requests.delete_at is not None


def _to_json(report: DatasetReport) -> bytes:
    return msgspec.json.format(msgspec.json.encode(report), indent=2)


def _split_of(path: str) -> Split | None:
    part = part_of_folder(path)
    return Split(part.role.value) if part is not None else None
