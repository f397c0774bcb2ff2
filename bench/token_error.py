"""How far the token estimates are off: `python -m bench.token_error [FILE …]`, `.jsonl` or plain text.

Counts with two tokenizers that npm has whole: GPT-4's cl100k, which Phi-4's extends, and Llama 2's, which
Phi-3 uses. They are installed into a temporary folder. Not one of the benchmarks: it measures no time.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from shared.domain.dataset.conversation import Message, encode_messages
from shared.domain.dataset.tokens import estimate_tokens

SAMPLE = Path(__file__).parents[1] / "local" / "samples" / "ultrachat-sample.jsonl"
_PACKAGES = ("gpt-tokenizer@4.0.0", "llama-tokenizer-js@1.2.2")
_COUNT = """
import { readFileSync } from "node:fs";
import { countTokens } from "gpt-tokenizer/encoding/cl100k_base";
import llama from "llama-tokenizer-js";
const texts = JSON.parse(readFileSync(0, "utf8"));
const sum = count => texts.reduce((total, text) => total + count(text), 0);
console.log(JSON.stringify([sum(countTokens), sum(text => llama.encode(text, false, false).length)]));
"""
_FRAME = estimate_tokens(encode_messages([{"role": "user", "content": ""}]), 1)


def main() -> None:
    """Print each file's error against both tokenizers, in percent of what they count."""
    with TemporaryDirectory() as folder:
        subprocess.run(["npm", "install", "--silent", "--prefix", folder, *_PACKAGES], check=True)
        script = Path(folder) / "count.mjs"
        script.write_text(_COUNT)
        for path in map(Path, sys.argv[1:] or [str(SAMPLE)]):
            conversations = list(_conversations(path))
            texts = [message["content"] for messages in conversations for message in messages]
            estimate = sum(estimate_tokens(encode_messages(row), len(row)) for row in conversations)
            estimate -= _FRAME * len(texts)  # what a chat template adds is no text
            answer = subprocess.run(
                ["node", script], input=json.dumps(texts), check=True, capture_output=True, text=True
            )
            cl100k, llama2 = (100 * (estimate / count - 1) for count in json.loads(answer.stdout))
            print(f"{path.name}: {len(texts)} texts, cl100k {cl100k:+.0f} %, Llama 2 {llama2:+.0f} %")


def _conversations(path: Path) -> Iterator[list[Message]]:
    """A dataset's rows, or a whole text as one message."""
    text = path.read_text()
    if path.suffix != ".jsonl":
        yield [{"role": "user", "content": text}]
        return
    for line in text.split("\n"):
        if line:
            yield json.loads(line)["messages"]


if __name__ == "__main__":
    main()
