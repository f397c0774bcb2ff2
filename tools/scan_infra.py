"""`make security` runs it: Checkov finds no insecure setting in the Bicep files, and reads all of them.

Checkov has an environment of its own, `.venv/checkov`, and looks nothing up. The checks that are left out are
listed, each with its reason, in `infra/.checkov.yaml`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).parent.parent
INFRA = CHECKOUT / "infra"
CHECKOV = CHECKOUT / ".venv" / "checkov" / "bin" / "checkov"

FEWEST_RESOURCES = 20
FEWEST_CHECKS = 20
"""A scan that read less than that proves nothing: a parser that is too old for a file leaves it out."""


def main() -> int:
    """Scan infra/ and say what is wrong.

    Returns:
        0 if nothing is, else 1.
    """
    done = subprocess.run(  # noqa: S603 - our own arguments
        [
            *(str(CHECKOV), "--directory", str(INFRA), "--config-file", str(INFRA / ".checkov.yaml")),
            *("--skip-download", "--output", "json"),
        ],
        cwd=CHECKOUT,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        report = json.loads(done.stdout)
    except ValueError:
        print(f"checkov: no report: {done.stderr or done.stdout}", file=sys.stderr)
        return 1
    problems = faults(report)
    for problem in problems:
        print(f"checkov: {problem}", file=sys.stderr)
    if not problems:
        summary = report["summary"]
        print(f"checkov: {summary['passed']} checks passed, {summary['resource_count']} resources read")
    return 1 if problems else 0


def faults(report: dict[str, Any]) -> list[str]:
    """What a report of Checkov's says against the files, or against itself.

    Args:
        report: As `--output json` prints it.
    """
    # Without a resource in any file, the report is its summary alone.
    summary = report.get("summary", report)
    problems = [
        f"{check['file_path']}: {check['resource']}: {check['check_name']} ({check['check_id']})"
        for check in report.get("results", {}).get("failed_checks", [])
    ]
    if summary["parsing_errors"]:
        problems.append(f"{summary['parsing_errors']} files could not be parsed")
    for what, least in (("resource_count", FEWEST_RESOURCES), ("passed", FEWEST_CHECKS)):
        if summary[what] < least:
            problems.append(f"{what} is {summary[what]}, at least {least} was expected: files were left out")
    return problems


if __name__ == "__main__":
    sys.exit(main())
