"""From an upload in Azurite to its snapshot, beside a bare streamed copy of the same blob."""

from __future__ import annotations

import base64
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from azure.storage.blob import BlobBlock, BlobServiceClient

from bench.validation import DATA, MEGABYTE
from bench.validation_data import make_dataset
from local.azurite import Azurite
from shared.adapters.storage.account import CONTAINERS, READ_PIECE, UPLOADS
from shared.adapters.storage.datasets import BLOCK, IN_FLIGHT, BlobDatasets, BlobUploads
from shared.domain.dataset import DatasetFile, Split, ValidationRules, validate_files

TARGET = 1.10
_ROUNDS = 3


def measure_copy(megabytes: int) -> dict[str, Any]:
    """Wall time of both, the best of three rounds taken in turns.

    Args:
        megabytes: Size of the dataset.
    """
    path = DATA / f"ultrachat-{megabytes}.jsonl"
    make_dataset(path, megabytes * MEGABYTE)
    DATA.mkdir(exist_ok=True)
    with TemporaryDirectory(dir=DATA) as folder, Azurite(folder=Path(folder)) as azurite:
        sizes: dict[str, Any] = {"max_single_get_size": READ_PIECE, "max_chunk_get_size": READ_PIECE}
        with BlobServiceClient.from_connection_string(azurite.connection_string, **sizes) as service:
            for container in CONTAINERS:
                service.create_container(container)
            with path.open("rb") as file:
                service.get_blob_client(UPLOADS, path.name).upload_blob(file, max_concurrency=2)
            best = {"copy": float("inf"), "validation": float("inf")}
            for _ in range(_ROUNDS):
                best["copy"] = min(best["copy"], _timed(lambda: _copy(service, path.name)))
                best["validation"] = min(best["validation"], _timed(lambda: _validate(service, path.name)))
    ratio = best["validation"] / best["copy"]
    return {
        "megabytes": megabytes,
        "seconds": {name: round(seconds, 2) for name, seconds in best.items()},
        "validation_over_copy": {"ratio": round(ratio, 3), "target": TARGET, "met": ratio <= TARGET},
    }


def _copy(service: BlobServiceClient, name: str) -> None:
    """Download and upload in blocks of the same size, as many on their way at once as the app has."""
    target = service.get_blob_client("datasets", "copy.jsonl")
    blocks: list[BlobBlock] = []
    sending: deque[Future[Any]] = deque()
    with ThreadPoolExecutor(max_workers=2) as pool:
        for chunk in service.get_blob_client(UPLOADS, name).download_blob().chunks():
            while len(sending) >= IN_FLIGHT:
                sending.popleft().result()
            block = BlobBlock(base64.b64encode(b"%08d" % len(blocks)).decode())
            blocks.append(block)
            sending.append(pool.submit(target.stage_block, block.id, chunk, length=len(chunk)))
        while sending:
            sending.popleft().result()
    target.commit_block_list(blocks)


def _validate(service: BlobServiceClient, name: str) -> None:
    """What the app does with an upload, with its own adapters."""
    uploads, datasets = BlobUploads(service), BlobDatasets(service, "bench")
    upload = uploads.find(name).file
    if upload is None:
        raise LookupError(name)
    with datasets.open_snapshot("ft-bench-0123456789") as copy:
        report = validate_files(
            [DatasetFile(name, None, uploads.read(upload))], ValidationRules(), copy.sinks
        )
        if not report.accepted:
            raise ValueError(report.reason)
        copy.commit(Split)


def _timed(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


assert BLOCK == READ_PIECE, "the comparison takes equal block sizes for granted"
