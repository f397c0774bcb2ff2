"""Hold the API's description against Redocly's rules: `python -m tools.lint_openapi`, part of `make check`.

Redocly's linter also validates every example, and reads patterns as JavaScript does.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec

from handlers.http.openapi.document import openapi_document
from handlers.http.routes import ROUTES

CHECKOUT = Path(__file__).parents[1]
LINTER = CHECKOUT / "node_modules" / ".bin" / "redocly"


def main() -> int:
    """Lint the description as the app makes it.

    Returns:
        0 if there is nothing to say of it.
    """
    with tempfile.TemporaryDirectory(prefix="finetune-openapi-") as folder:
        document = Path(folder) / "openapi.json"
        document.write_bytes(msgspec.json.format(msgspec.json.encode(openapi_document(ROUTES)), indent=2))
        linted = subprocess.run(  # noqa: S603 - a program of this checkout
            [LINTER, "lint", document, "--config", CHECKOUT / "redocly.yaml"],
            # Checks report to nobody, and ask nobody for a newer version.
            env={**os.environ, "REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"},
            capture_output=True,
            text=True,
            check=False,
        )
    if linted.returncode:
        print(linted.stdout, linted.stderr, sep="\n", file=sys.stderr)
    else:
        print("OpenAPI description: no findings")
    return linted.returncode


if __name__ == "__main__":
    sys.exit(main())
