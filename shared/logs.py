"""Log lines that name their run and their code wherever they are read."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import MutableMapping
from typing import Any

from shared.domain.errors import FinetuneError

TEXT_CHARACTERS = 200


def get_logger(name: str) -> logging.LoggerAdapter[logging.Logger]:
    """Open a logger whose lines carry their `extra` fields twice: as fields, and as `name=value` in the text.

    Fields reach Application Insights, but not the host's log stream, to which the worker sends text alone.
    An exception that is logged adds its `code`.
    """
    return _FieldsInText(logging.getLogger(name))


class _FieldsInText(logging.LoggerAdapter[logging.Logger]):
    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[str, MutableMapping[str, Any]]:
        """Append the fields to the message."""
        fields = dict(kwargs.get("extra") or {})
        fault = _exception(kwargs.get("exc_info"))
        if fault is not None:
            fields.setdefault(
                "code", fault.code if isinstance(fault, FinetuneError) else type(fault).__name__
            )
        text = " ".join([str(msg), *(f"{name}={_text(value)}" for name, value in fields.items())])
        return text, {**kwargs, "extra": fields}


def _exception(exc_info: Any) -> BaseException | None:
    """The exception that `exc_info` means, in each form that `logging` takes."""
    if isinstance(exc_info, BaseException):
        return exc_info
    if isinstance(exc_info, tuple):
        found = exc_info[1]
        return found if isinstance(found, BaseException) else None
    return sys.exc_info()[1] if exc_info else None


def _text(value: object) -> str:
    """A value that stays one word of one line: quoted where it has spaces or anything unprintable."""
    text = str(value)[:TEXT_CHARACTERS]
    if text and text.isprintable() and not set(text) & set(' "='):
        return text
    return json.dumps(text, ensure_ascii=not text.isprintable())
