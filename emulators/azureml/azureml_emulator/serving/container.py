"""What every container is to the front door, and how it fails."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import msgspec

HTTP_PROBE = "HTTP probe failed with statuscode: {status}"


class ContainerCrashedError(Exception):
    """The container does not start.

    Attributes:
        probe: What the platform saw: the end of the operation's message.
        log: What the container's log says.
    """

    def __init__(self, log: str, probe: str = HTTP_PROBE.format(status=502)) -> None:
        super().__init__(log)
        self.log, self.probe = log, probe


class ContainerStatusError(Exception):
    """The container answers with a status other than 200, which the front door turns into 424."""

    def __init__(self, status: int, reason: str, body: Any = None) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason
        self.body = body if body is not None else {"message": reason}


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerRequest:
    """A request that the front door lets through.

    Attributes:
        port: Of the container's server that it goes to.
        deadline: When the request times out, by ``time.monotonic``.
    """

    method: str
    path: str
    port: int
    headers: dict[str, str]
    body: bytes
    deadline: float

    def document(self) -> Any:
        """The body's JSON.

        Raises:
            ContainerStatusError: 400.
        """
        try:
            return msgspec.json.decode(self.body)
        except msgspec.DecodeError as error:
            raise ContainerStatusError(400, f"The request body is not valid JSON: {error}") from None


@dataclass(frozen=True, slots=True)
class EventStream:
    """Server-sent events, one chunk each."""

    chunks: Generator[bytes, None, None]


class Container(ABC):
    """A started container.

    Attributes:
        workers: Requests that it works on at once; None: as many as the platform lets in.
    """

    workers: int | None = 1

    @abstractmethod
    def respond(self, request: ContainerRequest) -> Any:
        """The answer's document, or an ``EventStream``.

        Raises:
            ContainerStatusError: Another status than 200.
            TimeoutError: The request's deadline passed.
        """


def whole_number(environment: dict[str, str], name: str, default: int) -> int:
    """A setting of the container's environment.

    Raises:
        ContainerCrashedError: It is no whole number above 0.
    """
    given = environment.get(name)
    if given is None:
        return default
    if not given.isdigit() or int(given) < 1:
        raise ContainerCrashedError(f"ValueError: {name} is {given!r}; it must be a whole number above 0")
    return int(given)
