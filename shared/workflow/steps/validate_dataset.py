"""Validate an upload and write its snapshot, in one pass over the bytes."""

from __future__ import annotations

import msgspec

from shared.domain.dataset import (
    DatasetFile,
    DatasetReport,
    Split,
    ValidationRules,
    report_html,
    validate_files,
)
from shared.domain.run.names import SUFFIXES
from shared.domain.run.run import Run, summarize
from shared.ports import Services


def validate_dataset(run: Run, rules: ValidationRules, services: Services) -> Run:
    """Read the upload, store the report, and write the snapshot if the dataset is accepted.

    Raises:
        UploadReplacedError: If the upload is no longer the version that the run was opened for.
        TransientServiceError: If storage could not be reached.
    """
    files = [
        DatasetFile(name=file.path, split=_split_of(file.path), chunks=services.uploads.read(file))
        for file in run.source.files
    ]
    began = services.now()
    with services.datasets.open_snapshot(run.run_id) as snapshot:
        report = validate_files(files, rules, snapshot.sinks)
        if report.accepted:
            snapshot.commit(split for split, summary in report.splits.items() if summary.rows)
    size = sum(file.size for file in run.source.files)
    seconds = (services.now() - began).total_seconds()
    services.telemetry.checked(rows=report.rows, size=size, seconds=seconds)
    services.reports.save(run.run_id, json=_to_json(report), html=report_html(report))
    return msgspec.structs.replace(
        run,
        report=summarize(report),
        smoke_sample=tuple(report.smoke_sample),
    )


def _to_json(report: DatasetReport) -> bytes:
    return msgspec.json.format(msgspec.json.encode(report), indent=2)


def _split_of(path: str) -> Split | None:
    folder, separator, name = path.rpartition("/")
    if not (folder and separator):
        return None
    stem = name
    for suffix in SUFFIXES:
        stem = stem.removesuffix(suffix)
    return Split(stem)
