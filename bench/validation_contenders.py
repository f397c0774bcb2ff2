"""Validation and what it is measured against: each takes a file and returns its seconds of CPU.

Run as `python -m bench.validation_contenders NAME FILE`, so that each has a process of its own.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import msgspec

from shared.domain.dataset import DatasetFile, NoSink, Split, ValidationRules, validate_files

CHUNK = 4 << 20
_COOKBOOK_ROLES = ("system", "user", "assistant", "function")
_COOKBOOK_KEYS = ("role", "content", "name", "function_call", "weight")


class Message(msgspec.Struct):
    """A message as ultrachat_200k has them."""

    role: str
    content: str


class Row(msgspec.Struct):
    """A row as ultrachat_200k has them."""

    prompt: str
    prompt_id: str
    messages: list[Message]


def bare_decoding(path: Path) -> float:
    """`msgspec` decodes lines, which were cut beforehand, into typed rows; nothing is done with them."""
    lines = path.read_bytes().splitlines()
    decode = msgspec.json.Decoder(Row).decode
    return _timed(lambda: deque(map(decode, lines), maxlen=0))


def validation(path: Path) -> float:
    """All rules, hashing, splitting, and writing to sinks that keep nothing."""
    chunks = list(_chunks(path))
    return _timed(lambda: _run_validation(chunks))


def validation_without_secrets(path: Path) -> float:
    """The same, but for the look for secrets."""
    chunks = list(_chunks(path))
    return _timed(lambda: _run_validation(chunks, ValidationRules(sensitive_data="off")))


def validation_from_disk(path: Path) -> float:
    """The same, reading as it goes: for its memory."""
    return _timed(lambda: _run_validation(_chunks(path)))


def pandas_read_json(path: Path) -> float:
    """The notebook's way to look at a dataset."""
    import pandas as pd  # type: ignore[import-untyped]

    return _timed(lambda: pd.read_json(path, lines=True))


def datasets_load(path: Path) -> float:
    """Hugging Face `datasets` makes an Arrow table of it, in threads whose time all counts."""
    from datasets.load import load_dataset
    from datasets.utils.tqdm import disable_progress_bars

    disable_progress_bars()
    with tempfile.TemporaryDirectory() as cache:
        return _timed(lambda: load_dataset("json", data_files=str(path), cache_dir=cache, split="train"))


def cookbook_checks(path: Path) -> float:
    """The checks of OpenAI's cookbook for chat fine-tuning data, on `json`, over lines cut beforehand."""
    lines = path.read_bytes().splitlines()
    return _timed(lambda: _count_cookbook_faults(lines))


def idle(path: Path) -> float:  # noqa: ARG001
    """The process with everything imported, and nothing done: what memory is compared with."""
    _run_validation([])
    return 0.0


CONTENDERS: dict[str, Callable[[Path], float]] = {
    function.__name__: function
    for function in (
        bare_decoding,
        validation,
        validation_without_secrets,
        validation_from_disk,
        pandas_read_json,
        datasets_load,
        cookbook_checks,
        idle,
    )
}


def _run_validation(chunks: Iterable[bytes], rules: ValidationRules | None = None) -> None:
    files = [DatasetFile("bench.jsonl", None, chunks)]
    validate_files(files, rules or ValidationRules(), dict.fromkeys(Split, NoSink()))


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


def _count_cookbook_faults(lines: list[bytes]) -> dict[str, int]:
    faults: dict[str, int] = {}

    def count(name: str) -> None:
        faults[name] = faults.get(name, 0) + 1

    for line in lines:
        row = json.loads(line)
        if not isinstance(row, dict):
            count("data_type")
            continue
        messages = row.get("messages")
        if not messages:
            count("missing_messages_list")
            continue
        for message in messages:
            if "role" not in message or "content" not in message:
                count("message_missing_key")
            if any(key not in _COOKBOOK_KEYS for key in message):
                count("message_unrecognized_key")
            if message.get("role") not in _COOKBOOK_ROLES:
                count("unrecognized_role")
            content = message.get("content")
            if (not content and not message.get("function_call")) or not isinstance(content, str):
                count("missing_content")
        if not any(message.get("role") == "assistant" for message in messages):
            count("example_missing_assistant_message")
    return faults


def _timed(work: Callable[[], object]) -> float:
    start = _cpu_seconds()
    work()
    return _cpu_seconds() - start


def _cpu_seconds() -> float:
    """CPU time so far: of all threads, in the kernel too, and of the child processes that have ended."""
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def _peak_bytes() -> int:
    """Most resident memory so far. Linux counts a parent's into `ru_maxrss`, but not into VmHWM."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    seconds = CONTENDERS[sys.argv[1]](Path(sys.argv[2]))
    print(json.dumps({"seconds": seconds, "peak_bytes": _peak_bytes()}))
