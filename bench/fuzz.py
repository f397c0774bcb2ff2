"""Coverage-guided bytes for dataset validation: `make fuzz`, which runs it for a minute.

Whatever comes in, `validate_files` answers with a report that can be written down. Arguments are libFuzzer's;
what it learns stays in `.local/fuzz`. Not one of the benchmarks.
"""

import sys
from pathlib import Path

import atheris  # type: ignore[import-not-found] # `make fuzz` installs it: it has wheels for few machines
import msgspec

with atheris.instrument_imports(include=["shared.domain.dataset", "json"]):
    from shared.domain.dataset import DatasetFile, Split, ValidationRules, report_html, validate_files

_CORPUS = Path(__file__).parents[1] / ".local" / "fuzz"
_NAMES = ("x.jsonl", "x.jsonl.gz", "x.jsonl.zst")
_RULES = ValidationRules(context_window=64, max_line_bytes=4_096, max_blank_lines=20, min_training_rows=1)
_SEEDS = (
    b'\x00{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}\n' * 3,
    b'\x00{"conversations":[{"from":"human","value":"a"},{"from":"gpt","value":"\\ud83d"}],"system":"s"}\r\n',
    b'\x00\xef\xbb\xbf {"instruction":"a","input":"b","output":"c","history":[["d","e"]],"weight":1}\n',
    b'\x00{"prompt":"a","completion":"b","prompt":"c","\\ud800":[],"tools":[]}\n',
)


def check(data: bytes) -> None:
    """Check bytes as a file; the first of them says how it is compressed."""
    name = _NAMES[data[0] % len(_NAMES)] if data else _NAMES[0]
    copy: dict[Split, list[bytes]] = {split: [] for split in Split}
    sinks = {split: pieces.append for split, pieces in copy.items()}
    report = validate_files([DatasetFile(name, None, [data[1:]])], _RULES, sinks)
    assert report.rows == report.rows_kept + report.rows_dropped
    assert msgspec.json.decode(msgspec.json.encode(report), type=type(report)) == report
    assert report_html(report).encode()
    for split, pieces in copy.items():
        rows = [msgspec.json.decode(line) for line in b"".join(pieces).splitlines()]
        assert len(rows) == report.splits[split].rows


if __name__ == "__main__":
    _CORPUS.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(_SEEDS):
        (_CORPUS / f"seed-{number}").write_bytes(seed)
    atheris.Setup([*sys.argv, str(_CORPUS)], check)
    atheris.Fuzz()
