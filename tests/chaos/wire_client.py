"""Two PUTs over one connection with the wire in between: `wire_client.py CLIENT URL TROUBLE CA`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from chaos.wire import Strike, Trouble, Wire, watch

CONTENT = b"c" * 5_000


def main() -> None:
    """Make both calls and say what the second was told."""
    client, url, trouble, authority = sys.argv[1:]
    wire = Wire(lambda _trouble, _target: None, lambda: None)
    watch(wire)
    strike = Strike(Trouble(trouble), call=1, status=429, retry_after=7, body="{}")
    wire.plan([strike])
    if client == "requests":
        import requests

        session, failure = requests.Session(), requests.RequestException

        def put(path):
            return session.put(f"{url}{path}", data=CONTENT, timeout=10)

    elif client == "httpx, asynchronous":
        import asyncio
        import ssl

        import httpx

        failure = httpx.TransportError
        trust = ssl.create_default_context(cafile=authority)
        loop = asyncio.new_event_loop()
        waiting = httpx.AsyncClient(timeout=10, verify=trust)

        def put(path):
            return loop.run_until_complete(waiting.put(f"{url}{path}", content=CONTENT))

    else:
        import httpx

        pooled, failure = httpx.Client(timeout=10), httpx.TransportError

        def put(path):
            return pooled.put(f"{url}{path}", content=CONTENT)

    put("/first").raise_for_status()
    try:
        answer = put("/second")
    except failure:
        said = {"error": True}
    else:
        retry_after = answer.headers.get("Retry-After")
        said = {"status": answer.status_code, "retry_after": retry_after, "bytes": len(answer.content)}
    assert [target for _, target in wire.calls] == ["PUT /first", "PUT /second"]
    assert wire.struck == ["PUT /second"]
    print(json.dumps(said))  # noqa: T201


if __name__ == "__main__":
    main()
