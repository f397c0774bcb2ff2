"""Serves a host over HTTP on 127.0.0.1, from its first request to a signal."""

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Callable, Iterator

import uvicorn

from local.host.runtime import FunctionHost

log = logging.getLogger("host")

# The whole of stopping has to end within five seconds.
GRACE_SECONDS = 4.0

KEEP_ALIVE_SECONDS = 120


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
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await host.start()
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
