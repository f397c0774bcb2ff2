"""What a cold worker must have done before its threads decode their first records at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
UNRESOLVED = """
import gc
import msgspec
import function_app
from shared import bootstrap
from shared.domain.run.run import Run
from shared.struct_types import struct_types

def unresolved():
    return [
        kind.__name__ for kind in struct_types()
        if not any(type(part).__name__ == "StructInfo" for part in gc.get_referents(kind))
    ]

assert Run.__name__ in unresolved(), "importing the app has decoded a record"
bootstrap.app()
print(unresolved())
"""


def test_no_two_threads_resolve_a_type() -> None:
    """Building the app resolves every type, and none crashes the process when it is freed."""
    values = json.loads((ROOT / "local.settings.json.example").read_text())["Values"]
    storage = "DefaultEndpointsProtocol=http;AccountName=a;AccountKey=YQ==;BlobEndpoint=http://127.0.0.1:9/a"
    # With this allocator whatever uses freed memory crashes: the process ends in good order, too.
    environment = {**os.environ, **values, "TrainingStorage": storage, "PYTHONMALLOC": "debug"}
    command = [sys.executable, "-c", UNRESOLVED]
    ended = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, "[]\n"), ended.stderr
