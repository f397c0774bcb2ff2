"""Bounds on tokens, held to what the tokenizers of GPT-4 (cl100k) and Llama 2 make of texts of many kinds."""

import base64
import random

import pytest

from shared.domain.dataset import DatasetFile, Split, ValidationRules
from shared.domain.dataset.conversation import encode_messages
from shared.domain.dataset.tokens import estimate_tokens, least_tokens, may_exceed, most_tokens_of
from tests.dataset.checking import assistant, check, check_lines, good_rows, jsonl, row, user

_RANDOM = random.Random(3)


def _of(letters: str, count: int) -> str:
    return "".join(_RANDOM.choice(letters) for _ in range(count))


TEXTS = {
    "hex": _of("0123456789abcdef", 4_300),
    "alternating hex": "".join(_of("abcdef", 1) + _of("0123456789", 1) for _ in range(2_150)),
    "capital hex": _of("0123456789ABCDEF", 4_300),
    "base64": base64.b64encode(_RANDOM.randbytes(3_200)).decode(),
    "identifiers": " ".join(
        _of("0123456789abcdef", 8) + "-" + _of("0123456789abcdef", 12) for _ in range(200)
    ),
    "emoji": "".join(_RANDOM.choice(["😀", "🎉", "🚀", "👩🏽‍🚀", "🧑‍🤝‍🧑", "🫠"]) for _ in range(900)),
    "flags": "🇩🇪🇫🇷" * 400,
    "spaces": " " * 6_000,
    "letters apart": ("a" + " " * 2) * 2_000,
    "letters far apart": ("a" + " " * 5) * 900,
    "line ends": "\n" * 4_300,
    "line ends and spaces": "\n " * 2_200,
    "tabs": "\t" * 4_300,
    "empty lines": "\n\n\na" * 1_100,
    "prose": "The lessee shall, at its own expense, keep the premises in good repair at all times. " * 60,
    "a table": "| a | b | c |\n|---|---|---|\n" * 200,
    "rules": ("-" * 80 + "\n") * 60,
    "capitals": "THE QUICK FOX " * 300,
    "single letters": "a b c d " * 600,
    "Chinese": "今天天气很好我们去公园玩吧" * 110,
    "Thai": "สวัสดีครับวันนี้อากาศดี" * 70,
    "Hebrew": "שלום עולם מה שלומך היום " * 100,
    "runes": "ᚠᚢᚦᚨᚱᚲ" * 250,
    "digits apart": "5 " * 2_000,
    "digits": "123456789" * 480,
    "accents": "éàüñçøß" * 350,
    "signs": "!@#$%^&*()_+{}|:<>?" * 220,
}

# Counted with the npm packages gpt-tokenizer 4.0.0 and llama-tokenizer-js 1.2.2.
COUNTED = {
    "hex": (2460, 3833),
    "alternating hex": (4300, 4300),
    "capital hex": (2481, 3866),
    "base64": (3051, 3516),
    "identifiers": (2660, 3940),
    "emoji": (5403, 6614),
    "flags": (4800, 6400),
    "spaces": (48, 375),
    "letters apart": (4000, 4000),
    "letters far apart": (1800, 1800),
    "line ends": (135, 4300),
    "line ends and spaces": (1101, 4400),
    "tabs": (269, 4300),
    "empty lines": (2200, 4400),
    "prose": (1201, 1321),
    "a table": (2800, 3200),
    "rules": (120, 360),
    "capitals": (901, 2101),
    "single letters": (2401, 2401),
    "Chinese": (1870, 2530),
    "Thai": (1540, 1610),
    "Hebrew": (2201, 2400),
    "runes": (4500, 4500),
    "digits apart": (4000, 4000),
    "digits": (1440, 4320),
    "accents": (2450, 2450),
    "signs": (2861, 3300),
}


@pytest.mark.parametrize("name", TEXTS)
def test_the_bounds_hold_under_both_vocabularies(name: str) -> None:
    """No text has fewer tokens than the least, or more than the most, and none escapes the closer look."""
    messages = [user(TEXTS[name])]
    encoded = encode_messages(messages)
    least, most = least_tokens(messages[0]) - 2, most_tokens_of(messages)
    assert least <= min(COUNTED[name])
    assert max(COUNTED[name]) <= most
    window = max(COUNTED[name]) - 1
    assert len(encoded) <= window or may_exceed(encoded, estimate_tokens(encoded, 1), window)


@pytest.mark.parametrize("name", ["hex", "alternating hex", "emoji", "empty lines", "runes"])
@pytest.mark.parametrize("split", [Split.TRAIN, Split.VALIDATION])
@pytest.mark.parametrize("at", [0, 1, 20])
def test_a_row_that_may_be_dropped_is_at_neither_end(name: str, split: Split, at: int) -> None:
    """Of training and of validation: the job fails when the trainer drops the first or last row of a file."""
    doubtful = row(user(TEXTS[name]), assistant("Yes."))
    lines = [*good_rows(at), *[doubtful] * 2, *good_rows(20 - at, first=at)]
    files = [
        DatasetFile(
            f"d/{each}.jsonl", each, [jsonl(lines if each is split else good_rows(12, first=100 * place))]
        )
        for place, each in enumerate(Split, 1)
    ]
    checked = check(*files, rules=ValidationRules(context_window=min(max(COUNTED[name]), 4_096)))
    assert checked.report.accepted
    assert checked.report.counts["W106"] == 2
    rows = checked.rows(split)
    assert len(rows) == 22
    assert all(len(str(rows[end])) < 500 for end in (0, -1))


@pytest.mark.parametrize(("sure", "warned"), [(0, True), (1, True), (2, False)])
def test_too_few_rows_that_are_sure_to_be_kept_draw_a_warning(sure: int, warned: bool) -> None:
    """Two are needed, for both ends, where any row may be lost; the warning names the split."""
    doubtful = row(user(TEXTS["hex"]), assistant("Yes."))
    parts = {
        Split.TRAIN: good_rows(12),
        Split.VALIDATION: [doubtful, *good_rows(sure, first=50), doubtful],
        Split.TEST: [doubtful],
    }
    files = [DatasetFile(f"d/{split}.jsonl", split, [jsonl(rows)]) for split, rows in parts.items()]
    checked = check(*files, rules=ValidationRules(context_window=3_000, min_evaluation_rows=1))
    assert checked.report.accepted
    assert ("W110" in checked.report.counts) == warned
    assert all("row of validation may not fit" in message for _, message in checked.found("W110"))


def test_only_rows_that_no_vocabulary_can_fit_are_faults() -> None:
    """Long prose, tables and rules of dashes may fit after all; words more than the window cannot."""
    texts = (
        "The lessee shall keep the premises. " * 650,
        "| a | b |\n|---|---|\n" * 600,
        ("-" * 80 + "\n") * 400,
    )
    for text in texts:
        assert "E214" not in check_lines([*good_rows(30), row(user(text), assistant("Yes."))]).report.counts
    words = row(user("word " * 4_100), assistant("Yes."))
    assert check_lines([*good_rows(30), words]).report.counts["E214"] == 1
