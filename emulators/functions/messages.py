"""The messages between a Functions host and its worker, without gRPC.

The worker takes the module of generated messages as an argument and only makes and reads their fields, so
plain objects do. Names and fields: FunctionRpc.proto,
https://github.com/Azure/azure-functions-language-worker-protobuf
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any


class Message:
    """A message of whatever type: its fields are attributes, and a field that was not set is missing."""

    def __init__(self, **fields: Any) -> None:
        """Set the fields."""
        self.__dict__.update(fields)

    if TYPE_CHECKING:  # the fields differ from type to type

        def __getattr__(self, name: str) -> Any: ...

    def WhichOneof(self, group: str) -> str | None:  # noqa: N802 - protobuf's name
        """The field of a group of alternatives that is set, or None.

        Args:
            group: `data` of a `TypedData`, or `rpc_data` of a `ParameterBinding`.
        """
        if group == "rpc_data":
            return "data"
        return next((name for name, value in self.__dict__.items() if value is not None), None)


class BindingInfo(Message):
    """One binding of a function; directions as in `azure.functions.BindingDirection`."""

    out = 1
    inout = 2


class StatusResult(Message):
    """How a request to the worker ended."""

    Failure = 0
    Success = 1


class Messages:
    """Stands for the module of generated messages; each name that it does not hold is a plain message."""

    BindingInfo = BindingInfo
    StatusResult = StatusResult

    def __getattr__(self, name: str) -> type[Message]:
        """The type of a message."""
        return Message


def request(**content: Any) -> Message:
    """A request as the worker's process hands it on, e.g. `request(invocation_request=Message(…))`."""
    return Message(request=Message(**content), properties={"host": "127.0.0.1", "protos": Messages()})
