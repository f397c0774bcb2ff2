"""Two POSTs over one connection with the wire in between: `wire_client.py CLIENT URL FAULT_KINDS CA`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from chaos.wire import FaultKind, Injection, Wire, watch

CONTENT = b"c" * 5_000


async def opened(aiohttp, trust):
    """A session of the loop that runs."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=trust), timeout=aiohttp.ClientTimeout(total=10)
    )


def main() -> None:
    """Make both calls and say what the second was told."""
    client, url, fault, authority = sys.argv[1:]
    wire = Wire(lambda _trouble, _target: None, lambda: None)
    watch(wire)
    injection = Injection(FaultKind(fault), call=1, status=429, retry_after=7, body="{}")
    wire.plan([injection], "received")
    if client == "requests":
        import requests

        session, failure, late = requests.Session(), requests.RequestException, requests.Timeout

        def post(path):
            answer = session.post(f"{url}{path}", data=CONTENT, timeout=10)
            return answer.status_code, answer.headers, answer.content

    else:
        import asyncio
        import ssl

        import aiohttp

        failure, late = (aiohttp.ClientError, TimeoutError), TimeoutError
        trust = ssl.create_default_context(cafile=authority or None)
        loop = asyncio.new_event_loop()
        waiting = loop.run_until_complete(opened(aiohttp, trust))

        async def send(path):
            async with waiting.post(f"{url}{path}", data=CONTENT) as answer:
                return answer.status, answer.headers, await answer.read()

        def post(path):
            return loop.run_until_complete(send(path))

    assert post("/first")[0] == 200
    try:
        status, headers, body = post("/second")
    except failure as fault:
        said = {"error": "timeout" if isinstance(fault, late) else "connection"}
    else:
        said = {"status": status, "retry_after": headers.get("Retry-After"), "bytes": len(body)}
    assert [target for _, target in wire.calls] == ["POST /first", "POST /second"]
    assert wire.hit_calls == ["POST /second"]
    print(json.dumps(said))  # noqa: T201


if __name__ == "__main__":
    main()
