"""Serves a host over HTTP on 127.0.0.1, from its first request to a signal."""

import argparse
import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator

import uvicorn

from emulators.functions import UnservableAppError
from emulators.functions.host import FunctionHost
from emulators.functions.host_json import read_host_json
from emulators.functions.logs import configure_logging
from emulators.functions.worker import Worker, WorkerError

log = logging.getLogger("host")

GRACE_SECONDS = 4.0
"""The whole of stopping has to end within five seconds."""

KEEP_ALIVE_SECONDS = 120
"""Longer than clients keep idle connections: closing one as a request comes in would lose it."""


async def run_host(options: argparse.Namespace) -> int:
    """Run the host as the command line says, until a signal; see `__main__.main`."""
    folder = options.app.resolve()
    configure_logging()
    try:
        host_json = read_host_json(folder / "host.json", os.environ)
        worker = await Worker.start(folder)
        configure_logging(worker.current_invocation)
        host = FunctionHost(worker, host_json, os.environ, options.key, lease=options.message_lease)
        listener = _listen(options.port)
        ended = await _serve(host, listener, lambda: _announce(worker, listener, options))
    except WorkerError as error:
        log.error("Worker refuses the app", extra={"error": str(error), "exception": error.trace})  # noqa: TRY400
        return 1
    except (UnservableAppError, OSError) as error:
        # The message says what to do; a trace of this host would only hide it.
        log.error("Host cannot start", extra={"error": str(error)})  # noqa: TRY400
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


def _listen(port: int) -> socket.socket:
    # The protocol is named because asyncio switches Nagle's algorithm off only where it is: 40 ms a call.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(512)
    return listener


async def _serve(host: FunctionHost, listener: socket.socket, ready: Callable[[], None]) -> bool:
    """Serve until SIGINT or SIGTERM, then let invocations end; returns whether all did in time."""
    config = uvicorn.Config(
        host.application(),
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        lifespan="off",
        timeout_graceful_shutdown=round(GRACE_SECONDS) - 1,
    )
    server = _Server(config)
    stop = asyncio.Event()
    await host.start()
    # After the worker's HTTP server, which takes the signals for itself.
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    serving.add_done_callback(lambda _ended: stop.set())
    # The socket listens already: who connects before the server has started only waits.
    ready()
    await stop.wait()
    log.info("Host stops")
    server.should_exit = True
    _, ended = await asyncio.gather(serving, host.stop(GRACE_SECONDS))
    return ended


def _announce(worker: Worker, listener: socket.socket, options: argparse.Namespace) -> None:
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    names = [function.name for function in worker.functions]
    log.info("Host is ready", extra={"url": url, "functions": names})
    if options.ready_file is not None:
        # It holds a key, and whoever waits for it must never read half of it.
        unfinished = options.ready_file.with_suffix(".unfinished")
        unfinished.touch(mode=0o600)
        unfinished.write_text(json.dumps({"url": url, "function_key": options.key}))
        unfinished.replace(options.ready_file)
