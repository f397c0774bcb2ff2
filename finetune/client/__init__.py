"""A typed client of the app's HTTP API; it needs httpx and msgspec, and nothing of the app.

    from finetune.client import Client

    with Client("https://<app>.azurewebsites.net", key) as app:
        for run in app.runs(stage="live"):
            print(run.dataset, run.run_id)

Errors:
    AppError
    ├── RefusedError      the app answers with an error, whose code and words it has
    └── UnreachableError  nothing answers, or not as the app would
"""

from finetune.client.client import Client
from finetune.client.errors import AppError, RefusedError, UnreachableError
from finetune.client.follow import arrived_live, follow, reason_of, went_live
from finetune.client.types import AT_REST, ENDED, STAGES, Chunk, Preflight, Report, Run, RunEntry

__all__ = [
    "AT_REST",
    "ENDED",
    "STAGES",
    "AppError",
    "Chunk",
    "Client",
    "Preflight",
    "RefusedError",
    "Report",
    "Run",
    "RunEntry",
    "UnreachableError",
    "arrived_live",
    "follow",
    "reason_of",
    "went_live",
]
