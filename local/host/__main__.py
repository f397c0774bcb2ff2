"""`python -m local.host`: serve a function app folder."""

import argparse
import asyncio
import json
import logging
import os
import secrets
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from azure.core.exceptions import AzureError

from local.host.host_json import HostJsonError, read_host_json
from local.host.indexing import IndexingError, load_functions
from local.host.keys import Keys
from local.host.logs import configure_logging
from local.host.runtime import FunctionHost
from local.host.server import listen, serve
from local.host.storage import ConnectionSettingError
from local.host.timers import ScheduleError

log = logging.getLogger("host")

EXPECTED = (HostJsonError, IndexingError, ConnectionSettingError, ScheduleError, OSError)

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
    options = _parser().parse_args(arguments)
    folder = options.app.resolve()
    configure_logging("INFO")
    try:
        host_json = read_host_json(folder / "host.json", os.environ)
        configure_logging(host_json.log_level)
        keys = Keys(options.key or secrets.token_urlsafe(24), options.master_key or secrets.token_urlsafe(24))
        functions = load_functions(folder, os.environ)
        host = FunctionHost(folder, functions, host_json, os.environ, keys, lease=options.message_lease)
        listener = listen(options.port)
    except EXPECTED as error:
        # The message says what to do; a trace of this host would only hide it.
        log.error("Host cannot start", extra={"error": str(error)})  # noqa: TRY400
        return 1
    except Exception:  # an app may raise anything while it is imported
        log.exception("Importing the app failed")
        return 1

    def ready() -> None:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        log.info(
            "Host is ready",
            extra={
                "url": url,
                "functions": [function.name for function in functions],
                "routes": host.addresses,
            },
        )
        if options.ready_file is not None:
            _write_ready_file(options.ready_file, url, keys)

    return asyncio.run(_run(host, listener, ready))


async def _run(host: FunctionHost, listener: socket.socket, ready: Callable[[], None]) -> int:
    try:
        ended = await serve(host, listener, ready)
    except AzureError as error:
        log.error("Storage cannot be reached", extra={"error": str(error)})  # noqa: TRY400
        return 1
    if not ended:
        log.warning("Work did not end in time; its messages will be delivered again")
        # A thread is still busy, in a function or with a storage that does not answer, and Python would
        # wait for it without end.
        logging.shutdown()
        os._exit(0)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m local.host", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
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


def _write_ready_file(path: Path, url: str, keys: Keys) -> None:
    content = {"url": url, "function_key": keys.function, "master_key": keys.master, "pid": os.getpid()}
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    path.parent.mkdir(parents=True, exist_ok=True)
    # It holds keys, and whoever waits for it must never read half of it.
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(content, file)
    unfinished.replace(path)


if __name__ == "__main__":
    sys.exit(main())
