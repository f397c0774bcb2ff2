"""Rows like those of ultrachat_200k, from a seed: `prompt`, `prompt_id` and `messages`, about 6 kB each."""

from __future__ import annotations

import json
import random
from pathlib import Path

_SEED = 20_240_807
_ACCENTED_ROWS = 0.15  # rows with a character beyond ASCII, roughly as in ultrachat_200k
_WORDS = """
the of and to in is you that it for on are as with they at be this have from or one had by but not
what all were when your can there use each which she do how their if will up other about out many
then them these so some would make like him into time has look two more write go see number no way
could people my than first water been who oil its now find long down day did get come made may part
over new sound take only little work know place year live back give most very after thing our just
name good sentence man think say great where help through much before line right too mean old any
same tell boy follow came want show also around form three small set put end does another well large
must big even such because turn here why ask went men read need land different home move try kind
hand picture again change off play spell air away animal house point page letter mother answer found
study still learn should world chemistry interesting environment relationship
""".split()  # noqa: SIM905 - easier to read than a list of 200 strings


def make_dataset(path: Path, size: int) -> int:
    """Write a dataset unless a whole one is there already.

    Args:
        path: The file.
        size: Its least size in bytes.

    Returns:
        The number of its rows.
    """
    count_file = path.with_suffix(".rows")
    if path.exists() and path.stat().st_size >= size and count_file.exists():
        return int(count_file.read_text())
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = random.Random(_SEED)
    sentences = [_sentence(rng) for _ in range(4_000)]
    written = rows = 0
    with path.open("wb") as file:
        while written < size:
            written += file.write(_row(rng, sentences))
            rows += 1
    count_file.write_text(str(rows))
    return rows


def _sentence(rng: random.Random) -> str:
    words = [rng.choice(_WORDS) for _ in range(rng.randint(6, 24))]
    if rng.random() < 0.1:
        place = rng.randrange(len(words))
        words[place] = f'"{words[place]}"'
    return " ".join(words).capitalize() + rng.choice(".....?!")


def _text(rng: random.Random, sentences: list[str], size: int, accent: str) -> str:
    parts: list[str] = []
    length = 0
    while length < size:
        sentence = rng.choice(sentences)
        parts.append(sentence)
        length += len(sentence) + 1
        if rng.random() < 0.12:
            parts.append("\n\n")
    return accent + " ".join(parts)


def _row(rng: random.Random, sentences: list[str]) -> bytes:
    accent = "Café — " if rng.random() < _ACCENTED_ROWS else ""
    messages = []
    for _ in range(rng.choice((2, 3, 3, 3, 4))):
        messages.append({"content": _text(rng, sentences, rng.randint(60, 400), accent), "role": "user"})
        messages.append({"content": _text(rng, sentences, rng.randint(600, 2_400), ""), "role": "assistant"})
    prompt_id = f"{rng.getrandbits(256):064x}"
    row = {"prompt": messages[0]["content"], "prompt_id": prompt_id, "messages": messages}
    return json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
