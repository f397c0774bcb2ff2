"""How much of a bad file is read until its verdict: no more than 16 MiB and the piece at hand."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from itertools import cycle, islice
from typing import Any

from shared.domain.dataset import DatasetFile, NoSink, Split, ValidationRules, validate_files

_PIECE = 1 << 20
_MEGABYTES = 200
_MOST = (16 << 20) + 2 * _PIECE
_GOOD: dict[str, Any] = {
    "messages": [
        {"role": "user", "content": "What is said of this? " * 20},
        {"role": "assistant", "content": "A good deal, and most of it true. " * 60},
    ]
}
_USER, _ASSISTANT = _GOOD["messages"]
# Each beside nine good rows.
BAD: dict[str, Any] = {
    "E213 tool calls": {**_GOOD, "tools": [{"type": "function"}]},
    "E401 preference data": {"prompt": "Hi", "chosen": "Hello", "rejected": "No"},
    "E402 images": {**_GOOD, "images": ["a.png"]},
    "E403 marks of a template": {"prompt": "[INST] Hi [/INST]", "completion": "Hello"},
    "E404 JSON in a text": {"messages": json.dumps([_USER, _ASSISTANT])},
    "E405 text alone": {"text": "Once upon a time"},
    "E406 a message per row": {"role": "user", "content": "Hi"},
    "E215 unknown key": {**_GOOD, "persona": "pirate"},
    "E212 empty answer": {"messages": [_USER, {"role": "assistant", "content": ""}]},
}


def measure_verdict() -> dict[str, Any]:
    """How much is read of a large file every tenth row of which is bad, and the CPU time until then."""
    found = {}
    for name, row in BAD.items():
        read = 0

        def pieces(row: Any = row) -> Iterator[bytes]:
            nonlocal read
            lines = [json.dumps(one).encode() + b"\n" for one in (row, *[_GOOD] * 9)]
            piece = b"".join(islice(cycle(lines), _PIECE // (sum(map(len, lines)) // 10)))
            for _ in range(_MEGABYTES):
                read += len(piece)
                yield piece

        start = time.process_time()
        file = DatasetFile("bad.jsonl", None, pieces())
        report = validate_files([file], ValidationRules(), dict.fromkeys(Split, NoSink()))
        seconds = time.process_time() - start
        early = not report.accepted and read <= _MOST
        found[name] = {
            "mebibytes_read": round(read / (1 << 20), 1),
            "seconds": round(seconds, 2),
            "met": early,
        }
    return {"of_mebibytes": _MEGABYTES, "at_most_mebibytes": _MOST >> 20, "kinds": found}
