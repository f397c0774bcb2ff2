"""Speed of validation by the rows' layout and by their fault, beside that of clean rows of equal size."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from shared.domain.dataset import DatasetFile, NoSink, Split, ValidationRules, validate_files

MOST_OVER_CLEAN = {"layouts": 2.0, "faults": 10.0}
_ROW_BYTES = (84, 2_000)
_ROWS = 8_000
_ROUNDS = 3
_BOM = b"\xef\xbb\xbf"

Make = Callable[[str, str], bytes]


def _turns(question: Any, answer: Any, **keys: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": question, **keys}, {"role": "assistant", "content": answer, **keys}]


def _json(**row: Any) -> bytes:
    return json.dumps(row, separators=(",", ":")).encode()


def _clean(question: str, answer: str) -> bytes:
    return _json(messages=_turns(question, answer))


LAYOUTS: dict[str, Make] = {
    "clean": _clean,
    "spaced": lambda q, a: json.dumps({"messages": _turns(q, a)}).encode(),
    "extra_keys": lambda q, a: _json(id="1", messages=_turns(q, a)),
    "windows_line_ends": lambda q, a: _clean(q, a) + b"\r",
    "byte_order_marks": lambda q, a: _BOM + _clean(q, a),
    "spaces_around": lambda q, a: b" " + _clean(q, a) + b" ",
    "named_messages": lambda q, a: _json(messages=_turns(q, a, name="x")),
    "developer_role": lambda q, a: _json(messages=[{"role": "developer", "content": "s"}, *_turns(q, a)]),
    "parts_of_text": lambda q, a: _json(messages=_turns([{"type": "text", "text": q}], a)),
    "sharegpt": lambda q, a: _json(
        conversations=[{"from": "human", "value": q}, {"from": "gpt", "value": a}]
    ),
    "alpaca": lambda q, a: _json(instruction=q, input="", output=a),
    "prompt_completion": lambda q, a: _json(prompt=q, completion=a),
    "question_answer": lambda q, a: _json(question=q, answer=a),
    "vertex": lambda q, a: _json(
        contents=[{"role": "user", "parts": [{"text": q}]}, {"role": "model", "parts": [{"text": a}]}]
    ),
}
FAULTS: dict[str, Make] = {
    "empty_object": lambda _q, _a: b"{}",
    "blank_line": lambda _q, _a: b"",
    "cut_off": lambda q, a: _clean(q, a)[:-1],
    "not_utf8": lambda q, a: _clean(q, a)[:-8] + b"\xe9" + _clean(q, a)[-8:],
    "array": lambda q, a: b"[" + _clean(q, a) + b"]",
    "key_twice": lambda q, a: _clean(q, a)[:-1] + b',"messages":[]}',
    "unknown_role": lambda q, a: _clean(q, a).replace(b"user", b"bot"),
    "empty_answer": lambda q, _a: _json(messages=_turns(q, "")),
    "wrong_order": lambda q, a: _json(messages=_turns(q, a)[::-1]),
    "null_answer": lambda q, _a: _json(messages=_turns(q, None)),
    "tools": lambda q, a: _json(messages=_turns(q, a), tools=[{"type": "function"}]),
    "nul_character": lambda q, a: _json(messages=_turns(q, a + "\0")),
    "half_surrogate": lambda q, a: _json(messages=_turns(q, a + "\ud800")),
    "unknown_key": lambda q, a: _json(messages=_turns(q, a), lang="de"),
    "preference": lambda q, a: _json(prompt=q, chosen=a, rejected=a),
    "unknown_layout": lambda q, a: _json(title=q, body=a),
}


def measure_rows() -> dict[str, Any]:
    """CPU time of a row of each kind, in microseconds and over a clean row's: the best of three rounds."""
    result: dict[str, Any] = {}
    for size in _ROW_BYTES:
        words = "word " * (max(0, size - 76) // 10)
        files = {
            name: [make(f"{number}{words}", f"a{words}") + b"\n" for number in range(_ROWS)]
            for name, make in (LAYOUTS | FAULTS).items()
        }
        best = dict.fromkeys(files, float("inf"))
        for _ in range(_ROUNDS):
            for name, lines in files.items():
                best[name] = min(best[name], _microseconds_per_row(lines))
        result[f"rows_of_{size}_bytes"] = {
            kind: {name: _beside(best[name], best["clean"], MOST_OVER_CLEAN[kind]) for name in names}
            for kind, names in (("layouts", LAYOUTS), ("faults", FAULTS))
        }
    return result


def _microseconds_per_row(lines: list[bytes]) -> float:
    chunk = b"".join(lines)
    rules = ValidationRules(max_blank_lines=len(lines))
    began = time.process_time()
    validate_files([DatasetFile("bench.jsonl", None, [chunk])], rules, dict.fromkeys(Split, NoSink()))
    return (time.process_time() - began) / len(lines) * 1e6


def _beside(value: float, clean: float, target: float) -> dict[str, Any]:
    return {
        "microseconds_per_row": round(value, 1),
        "over_clean": round(value / clean, 2),
        "met": value <= target * clean,
    }
