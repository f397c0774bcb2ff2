"""`python -m emulators.functions`: serve a function app folder."""

import argparse
import asyncio
import logging
import os
import sys
from pathlib import Path

from emulators.functions.host_json import HostJsonError, read_host_json
from emulators.functions.logs import configure_logging
from emulators.functions.worker import Worker, WorkerError

log = logging.getLogger("host")

DESCRIPTION = """\
Serve an Azure Functions app (Python v2 model) on 127.0.0.1.

The folder holds function_app.py and host.json, as a checkout or an unpacked deployment package does.
App settings are the environment of this process; AzureWebJobsStorage must hold the connection string of
the storage that keeps the host's own queues. Logs go to standard error, one JSON object a line.

  /api/*                    the app's HTTP functions (header x-functions-key, or ?code=)
  /admin/functions/{name}   POST {"input": "..."} runs any other function (master key)
  /admin/host/status        (master key)
  /runtime/webhooks/blobs      Event Grid's webhook for blob functions
  /runtime/webhooks/eventgrid  Event Grid's webhook for its own functions
"""


def main(arguments: list[str] | None = None) -> int:
    """Run the host until a signal.

    Returns:
        0 after an orderly stop, 1 when the app cannot be served.
    """
    return asyncio.run(_run(_parser().parse_args(arguments)))


async def _run(options: argparse.Namespace) -> int:
    folder = options.app.resolve()
    configure_logging("INFO")
    try:
        host_json = read_host_json(folder / "host.json", os.environ)
        configure_logging(host_json.log_level)
        worker = await Worker.start(folder)
    except HostJsonError as error:
        log.error("Host cannot start", extra={"error": str(error)})  # noqa: TRY400
        return 1
    except WorkerError as error:
        log.error("Worker refuses the app", extra={"error": str(error), "exception": error.trace})  # noqa: TRY400
        return 1
    configure_logging(host_json.log_level, worker.current_invocation)
    # Only now, so that the app's own packages are found before this checkout's.
    from emulators.functions.server import run_host

    return await run_host(folder, worker, host_json, options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m emulators.functions",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--app", type=Path, default=Path.cwd(), metavar="DIR", help="the app's folder (default: this one)"
    )
    parser.add_argument(
        "--port", type=int, default=7071, help="0 takes a free port (default: 7071, as func start)"
    )
    parser.add_argument("--key", help="the function key (default: a new one each start)")
    parser.add_argument("--master-key", help="the master key (default: a new one each start)")
    parser.add_argument(
        "--ready-file",
        type=Path,
        metavar="PATH",
        help="write {url, function_key, master_key, pid} here, once requests are answered",
    )
    parser.add_argument(
        "--message-lease",
        type=float,
        default=30.0,
        metavar="SECONDS",
        help="a message whose host died is delivered again after this time (default: 30; Azure: 600)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
