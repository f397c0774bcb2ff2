"""Open the run of an uploaded dataset."""

from __future__ import annotations

import msgspec

from shared.config import Settings
from shared.domain.fields import Problem
from shared.domain.run.names import COMPANIONS, OPTIONS_FILE, SUFFIXES, Upload, parse_upload, run_id_for
from shared.domain.run.options import RunOptions
from shared.domain.run.parts import Failure, Source, SourceFile
from shared.domain.run.run import Run, enter, open_run
from shared.domain.run.run_json import OPTIONS_LIMIT_BYTES, override_options
from shared.domain.run.stages import Stage
from shared.logs import get_logger
from shared.ports import Services
from shared.workflow.notifications import enqueue_stage_changes

_log = get_logger(__name__)


def open_run_for_upload(path: str, *, container: str, settings: Settings, services: Services) -> str | None:
    """Open the run of an uploaded file; the same path and ETag open it once, however often they are told.

    Args:
        path: The blob's name in the uploads container.
        container: That container's name.
        settings: They hold where the upload's `run.json` says nothing.
        services: The ports.

    Returns:
        The run's id, new or not; None for a blob that does not open a run.
    """
    upload = parse_upload(path)
    if upload is None:
        _log.info(
            "upload ignored: it opens no run",
            extra={"blob": path[:256]},
        )
        return None
    train = services.uploads.find(path)
    if train is None:
        _log.info("upload ignored: it is gone", extra={"blob": path})
        return None
    run_id = run_id_for(container, path, train.etag)
    extra = {"run_id": run_id, "blob": path, "etag": train.etag}
    options, problems = _options(upload, settings, services)
    source = Source(container=container, files=(train.file, *_companions(upload, services)))
    run = open_run(run_id, upload.dataset, source, options, services.now())
    run = msgspec.structs.replace(run, trace=services.telemetry.begin(run_id))
    if problems:
        run = _rejected(run, problems, services)
    enqueue_stage_changes(run, 0, services)
    if services.runs.create(run):
        _log.info("run opened", extra=extra)
    else:
        _log.info("run is open already", extra=extra)
    return run_id


def _companions(upload: Upload, services: Services) -> list[SourceFile]:
    if upload.folder is None:
        return []
    found = []
    for name in COMPANIONS:
        # The one that is compressed like the training file wins; another is better than none.
        for suffix in sorted(SUFFIXES, key=lambda suffix: suffix != upload.suffix):
            file = services.uploads.find(f"{upload.folder}{name}{suffix}")
            if file is not None:
                found.append(file.file)
                break
    return found


def _options(upload: Upload, settings: Settings, services: Services) -> tuple[RunOptions, list[Problem]]:
    defaults = settings.default_options()
    if upload.folder is None:
        return defaults, []
    file = services.uploads.find(f"{upload.folder}{OPTIONS_FILE}")
    if file is None:
        return defaults, []
    text = services.uploads.read_small(file.file, OPTIONS_LIMIT_BYTES)
    return override_options(defaults, text, settings.bounds())


def _rejected(run: Run, problems: list[Problem], services: Services) -> Run:
    now = services.now()
    error = Failure(code="InvalidOptions", message="; ".join(map(str, problems)), stage=run.stage, at=now)
    return msgspec.structs.replace(enter(run, Stage.REJECTED, now, error))
