"""Server-sent events, read as their bytes come.

Source: HTML Standard, "Server-sent events", section "Parsing an event stream"; of an event, its data alone.
"""

from __future__ import annotations

EVENT_LIMIT_BYTES = 1024 * 1024
"""The longest event that is kept until its end comes: a token has a few hundred bytes."""


class EventTooLongError(ValueError):
    """An event goes on without an end."""


class EventStreamParser:
    """Puts chunks together to events."""

    def __init__(self) -> None:
        self._line = bytearray()
        self._data: list[bytes] = []
        self._after_return = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take the next bytes; returns the data of each event that ends in them.

        Raises:
            EventTooLongError: If an event is over `EVENT_LIMIT_BYTES`.
        """
        if self._after_return and chunk.startswith(b"\n"):
            chunk = chunk[1:]
        self._after_return = chunk.endswith(b"\r")
        *lines, rest = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        found = []
        for line in lines:
            event = self._take(bytes(self._line) + line)
            self._line.clear()
            if event is not None:
                found.append(event)
        self._line += rest
        if len(self._line) + sum(map(len, self._data)) > EVENT_LIMIT_BYTES:
            raise EventTooLongError(f"an event is over {EVENT_LIMIT_BYTES // 1024} KiB")
        return found

    def _take(self, line: bytes) -> bytes | None:
        if line:
            name, _, value = line.partition(b":")
            if name == b"data":
                self._data.append(value.removeprefix(b" "))
            return None
        event = b"\n".join(self._data) if self._data else None
        self._data.clear()
        return event
