"""What `make dev` tells once the stack is up: the page, and commands to paste, each as it runs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from local.settings import ROOT

SAMPLE = "local/samples/ultrachat-sample.jsonl"
DATASET = "ultrachat-sample"


class Running(Protocol):
    """What is told of a running stack."""

    folder: Path
    functions_url: str
    function_key: str
    continued: bool


def next_steps(stack: Running, own: Iterable[str] = ()) -> str:
    """The text for a running stack.

    The page takes its key from the part of the address after `#`, which no browser sends to a server, and
    removes it from there.

    Args:
        stack: The stack.
        own: Names of the settings that the developer gave.
    """
    url, key = stack.functions_url, stack.function_key
    names = ", ".join(sorted(own))
    lines = [
        f"The app runs{', with what was here last time' if stack.continued else ''}. Ctrl-C stops it.",
        "",
        f"  Page     {url}/api/dashboard#key={quote(key)}",
        "",
        "In another terminal, in this folder:",
        "",
        f"  bin/finetune upload {SAMPLE} --follow",
        f"  bin/finetune chat {DATASET}",
        "  bin/finetune --help",
        "",
        "With curl, or any other client:",
        "",
        f"  export FINETUNE_URL={url} FINETUNE_KEY={key} FINETUNE_API_KEY={key}",
        '  curl -s -H "x-functions-key: $FINETUNE_KEY" "$FINETUNE_URL/api/runs"',
        '  curl -s -H "Authorization: Bearer $FINETUNE_API_KEY" "$FINETUNE_URL/api/v1/models"',
        "",
        "Azure ML is emulated: a small stand-in model shows the flow, not the quality of what Azure trains.",
        f"Logs: {_shown(stack.folder / 'logs')}. All addresses: {_shown(stack.folder / 'stack.json')}.",
    ]
    if names:
        lines.append(f"Settings taken from the environment and .env: {names}.")
    return "\n".join(lines)


def _shown(path: Path) -> str:
    return str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)
