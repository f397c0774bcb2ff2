"""Resolve msgspec's types before threads use them.

msgspec resolves the fields of a Struct when one is first decoded, and lets other threads see what is resolved
so far: two threads that decode their first request at once crash the process (seen with msgspec 0.22.0, in
one of two tries). Making a decoder resolves the type, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import msgspec


def resolve_struct_types() -> None:
    """Resolve each Struct that has been imported: a few milliseconds, and nothing when done again."""
    for kind in struct_types():
        # What msgspec cannot decode is decoded by no thread.
        with suppress(TypeError):
            msgspec.json.Decoder(kind)


def struct_types(below: type[msgspec.Struct] = msgspec.Struct) -> Iterator[type[msgspec.Struct]]:
    """Every Struct that has been imported."""
    for kind in below.__subclasses__():
        yield kind
        yield from struct_types(kind)
