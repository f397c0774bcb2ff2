"""What nobody may read in a log: training text, prompts, answers, keys and tokens."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from pathlib import Path

import httpx

from local.azurite import ACCOUNT_KEY
from local.stack import Stack
from tests.e2e.runs import follow, run_of, upload

ROWS = 24
TOKEN = re.compile(
    rb"eyJ[A-Za-z0-9_-]{20,}\.[A-Za-z0-9_-]{20,}\.|(?i:bearer|sharedkey) [A-Za-z0-9._~+/-]{16,}"
)


def _rows() -> bytes:
    turns = [
        [
            {"role": "user", "content": f"Kwestionmark {number}: where does the quokkasecret live?"},
            {"role": "assistant", "content": f"In the wombatsecret, at door {number}."},
        ]
        for number in range(ROWS)
    ]
    return b"".join(json.dumps({"messages": messages}).encode() + b"\n" for messages in turns)


def test_no_log_has_text_keys_or_tokens(stack: Stack, api: httpx.Client) -> None:
    """A run goes all the way, is scored, meets a refusal, and is torn down; every log is searched."""
    upload(stack, "quiet.jsonl", _rows())
    upload(stack, "quiet-broken.jsonl", b'{"messages": [{"role": "user", "content": "brokensecret"}]}\n')
    run_id = run_of(api, "quiet")
    follow(api, run_id, "live")
    asked = {"messages": [{"role": "user", "content": "promptsecret, where is the quokkasecret?"}]}
    answer = api.post(f"/api/endpoints/{run_id}/score", json=asked)
    assert answer.status_code == 200
    assert (
        api.post(f"/api/endpoints/{run_id}/score", content=b'{"messages": "promptsecret').status_code == 400
    )
    follow(api, run_of(api, "quiet-broken"), "rejected")
    assert api.delete(f"/api/endpoints/{run_id}").status_code == 202
    follow(api, run_id, "deleted")

    logs = sorted((stack.folder / "logs").glob("*.log"))
    assert len(logs) >= 3, "every part of the stack logs"
    found = b"".join(log.read_bytes() for log in logs)
    assert run_id.encode() in found, "the run itself is in the logs"
    words = [b"quokkasecret", b"wombatsecret", b"promptsecret", b"brokensecret"]
    for secret in (*words, ACCOUNT_KEY.encode(), stack.function_key.encode()):
        assert secret not in found, f"{secret[:12]!r}… is in a log"
    assert not TOKEN.search(found), "a token is in a log"


def test_no_key_is_an_argument_of_a_process(stack: Stack) -> None:
    """Everybody on the machine sees those (`ps`)."""
    listed = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            listed.append(path.read_bytes())
    # Each process of this stack names a file in its folder; others' stacks are not looked at.
    of_stack = b"".join(arguments for arguments in listed if str(stack.folder).encode() in arguments)
    for module in (b"emulators.functions", b"azureml_emulator", b"local.event_grid"):
        assert module in of_stack
    for secret in (ACCOUNT_KEY, stack.function_key):
        assert secret.encode() not in of_stack
