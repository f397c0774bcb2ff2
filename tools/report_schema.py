"""Writes `docs/report.schema.json`, the JSON Schema of the validation report, from the report's types.

Run it as `python -m tools.report_schema` after a change to them.
"""

from pathlib import Path

import msgspec

from shared.domain.dataset import DatasetReport

SCHEMA = Path(__file__).parents[1] / "docs" / "report.schema.json"


def report_schema() -> bytes:
    """The schema as it is kept in the documentation."""
    return msgspec.json.format(msgspec.json.encode(msgspec.json.schema(DatasetReport)), indent=2) + b"\n"


if __name__ == "__main__":
    SCHEMA.write_bytes(report_schema())
