"""`python -m emulators.functions`: serve a function app folder."""

import argparse
import asyncio
import os
import secrets
import sys
from pathlib import Path

from emulators.functions.keys import KEY_SETTING
from emulators.functions.worker import set_import_path

DESCRIPTION = """\
Serve an Azure Functions app (Python v2 model) on 127.0.0.1.

The folder holds function_app.py and host.json, as a checkout or an unpacked deployment package does.
App settings are the environment of this process; AzureWebJobsStorage must hold the connection string of
the storage that keeps the host's own queues. The function key is FUNCTIONS_EMULATOR_KEY, or a new one each
start: arguments are shown to everybody on the machine. Logs go to standard error, one JSON object a line.

  /api/*                       the app's HTTP functions (header x-functions-key, or ?code=)
  /runtime/webhooks/blobs      Event Grid's webhook for blob functions
  /runtime/webhooks/eventgrid  Event Grid's webhook for its own functions
"""


def main() -> int:
    """Run the host until a signal.

    Returns:
        0 after an orderly stop, 1 when the app cannot be served.
    """
    options = _options()
    set_import_path(options.app.resolve())
    # Only now, so that the app's own packages are found before this checkout's.
    from emulators.functions.server import run_host

    return asyncio.run(run_host(options))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m emulators.functions",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--app", type=Path, default=Path.cwd(), metavar="DIR", help="the app's folder (default: this one)")
    add("--port", type=int, default=7071, help="0 takes a free port (default: 7071, as func start)")
    add("--ready-file", type=Path, metavar="PATH", help="gets {url, function_key} once requests are answered")
    lease = "a message whose host died is delivered again after this time (default: 30; Azure: 600)"
    add("--message-lease", type=float, default=30.0, metavar="SECONDS", help=lease)
    options = parser.parse_args()
    options.key = os.environ.pop(KEY_SETTING, "") or secrets.token_hex(24)
    return options


if __name__ == "__main__":
    sys.exit(main())
