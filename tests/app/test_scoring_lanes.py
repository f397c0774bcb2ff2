"""Many requests at once spread over HTTP clients; few share one."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
from azure.core.credentials import AccessToken

from shared.adapters.scoring import LANE, EndpointScoring
from shared.ports import ScoringTarget

TARGET = ScoringTarget("ft-support-0123456789", "https://endpoint.test/score", "aad_token")


class Tokens:
    """A credential."""

    def get_token(self, *_: str, **__: Any) -> AccessToken:
        """Always the same."""
        return AccessToken("token", 2**31)


class Counted(EndpointScoring):
    """Scores against an endpoint in memory, and counts the clients that it opens.

    Attributes:
        opened: Clients so far.
        most: Most requests that one client had under way.
    """

    def __init__(self) -> None:
        super().__init__(Tokens(), None)  # type: ignore[arg-type]
        self.opened = 0
        self.most = 0

    def _open(self) -> httpx.AsyncClient:
        self.opened += 1
        under_way = 0

        async def answer(_: httpx.Request) -> httpx.Response:
            nonlocal under_way
            under_way += 1
            self.most = max(self.most, under_way)
            await asyncio.sleep(0)
            under_way -= 1
            return httpx.Response(200, json={"output": "Hi"})

        return httpx.AsyncClient(transport=httpx.MockTransport(answer))


async def test_requests_one_after_the_other_share_a_client() -> None:
    """Their connection stays warm."""
    scoring = Counted()
    for _ in range(3 * LANE):
        assert await scoring.score_async(TARGET, {}) == {"output": "Hi"}
    assert scoring.opened == 1
    await scoring.close()


async def test_no_client_has_more_than_its_share() -> None:
    """A burst opens as many clients as it needs, and the next burst finds them."""
    scoring = Counted()
    for _ in range(2):
        await asyncio.gather(*(scoring.score_async(TARGET, {}) for _ in range(5 * LANE)))
    assert scoring.opened == 5
    assert scoring.most <= LANE
    await scoring.close()
