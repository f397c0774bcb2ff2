"""Serves a host over HTTP on 127.0.0.1, from its first request to a signal."""

import argparse
import asyncio
import contextlib
import json
import logging
import os
import secrets
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import uvicorn
from azure.core.exceptions import AzureError

from emulators.functions.host import FunctionHost
from emulators.functions.host_json import HostSettings
from emulators.functions.indexing import IndexingError
from emulators.functions.requests import Keys
from emulators.functions.storage import ConnectionSettingError
from emulators.functions.timers import ScheduleError
from emulators.functions.worker import Worker

log = logging.getLogger("host")

# The whole of stopping has to end within five seconds.
GRACE_SECONDS = 4.0

KEEP_ALIVE_SECONDS = 120


EXPECTED = (IndexingError, ConnectionSettingError, ScheduleError, OSError)


async def run_host(folder: Path, worker: Worker, host_json: HostSettings, options: argparse.Namespace) -> int:
    """Run the host until a signal.

    Args:
        folder: The app's root.
        worker: Has indexed the app.
        host_json: The app's.
        options: Of the command line.

    Returns:
        0 after an orderly stop, 1 when the app cannot be served.
    """
    try:
        keys = Keys(options.key or secrets.token_urlsafe(24), options.master_key or secrets.token_urlsafe(24))
        host = FunctionHost(folder, worker, host_json, os.environ, keys, lease=options.message_lease)
        listener = listen(options.port)
    except EXPECTED as error:
        # The message says what to do; a trace of this host would only hide it.
        log.error("Host cannot start", extra={"error": str(error)})  # noqa: TRY400
        return 1

    def ready() -> None:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        functions = [function.name for function in worker.functions]
        log.info("Host is ready", extra={"url": url, "functions": functions, "routes": host.addresses})
        if options.ready_file is not None:
            _write_ready_file(options.ready_file, url, keys)

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


class _Server(uvicorn.Server):
    """Leaves signals to the host, which stops its listeners before its server."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def listen(port: int) -> socket.socket:
    """A socket on 127.0.0.1; port 0 takes a free one.

    Raises:
        OSError: The port is taken.
    """
    # The protocol is named because asyncio switches Nagle's algorithm off only where it is: 40 ms a call.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(512)
    return listener


async def serve(host: FunctionHost, listener: socket.socket, ready: Callable[[], None]) -> bool:
    """Serve until SIGINT or SIGTERM, then let invocations end.

    Args:
        host: What to serve.
        listener: Where; it is closed at the end.
        ready: Called once requests are answered and messages are taken.

    Returns:
        Whether everything ended in time.
    """
    config = uvicorn.Config(
        host.application(),
        log_config=None,
        access_log=False,
        server_header=False,
        # Longer than clients keep idle connections: closing one as a request comes in would lose it.
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        lifespan="off",
        timeout_graceful_shutdown=round(GRACE_SECONDS) - 1,
    )
    server = _Server(config)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    await host.start()
    # After the worker's HTTP server, which takes the signals for itself.
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started and not serving.done():
        await asyncio.sleep(0.01)
    if not serving.done():
        ready()
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    log.info("Host stops")
    stopping.cancel()
    server.should_exit = True
    _, ended = await asyncio.gather(serving, host.stop(GRACE_SECONDS))
    return ended


def _write_ready_file(path: Path, url: str, keys: Keys) -> None:
    content = {"url": url, "function_key": keys.function, "master_key": keys.master, "pid": os.getpid()}
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    path.parent.mkdir(parents=True, exist_ok=True)
    # It holds keys, and whoever waits for it must never read half of it.
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(content, file)
    unfinished.replace(path)
