"""`func start`: the function host of Azure Functions Core Tools, where they are installed."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import httpx

from local.processes import ChildProcess

START_SECONDS = 120.0  # a first start may fetch the extension bundle


def start_core_tools(app: Path, port: int, environment: Mapping[str, str], log: Path) -> ChildProcess:
    """Start `func` for an app and wait until it answers.

    Args:
        app: The app's folder.
        port: Where it is to listen; `func` takes no 0 for a free one.
        environment: Its whole environment; this interpreter is put first on its PATH.
        log: Where its output goes.

    Raises:
        ProcessError: It ended, or did not answer in time.
    """
    path = f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', '')}"
    command = ["func", "start", "--port", str(port)]
    process = ChildProcess("functions", command, log, {**environment, "PATH": path}, app)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            process.wait_ready(lambda: _answers(client), START_SECONDS)
    except BaseException:
        process.stop()
        raise
    return process


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/admin/host/status").status_code < 500
    except httpx.HTTPError:
        return False
