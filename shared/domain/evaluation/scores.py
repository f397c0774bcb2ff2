"""Score a reply against the expected answer, in percent.

chrF is sacrebleu's (Popović 2015, "chrF: character n-gram F-score for automatic MT evaluation"): it needs no
tokenizer and so treats all languages alike. ROUGE-L is the F-measure of the longest common subsequence of
words (Lin 2004), found by rapidfuzz. Token F1 and exact match are SQuAD's (Rajpurkar et al. 2016), without
its English articles. Words are runs of letters and digits in any script, in lower case.

The libraries load in a second, so that nothing but the step that evaluates imports this module.
"""

from __future__ import annotations

import re
from collections import Counter

from rapidfuzz.distance import LCSseq
from sacrebleu.metrics.chrf import CHRF

PRIMARY = "chrf"
"""The metric that decides which of two models is better."""

QUALITY = (PRIMARY, "rouge_l", "token_f1", "exact_match")

_WORD = re.compile(r"\w+")
_CHRF = CHRF()


def scores_of(reply: str, expected: str) -> dict[str, float]:
    """The score of one reply by each metric of `QUALITY`."""
    said, wanted = _words(reply), _words(expected)
    return {
        PRIMARY: float(_CHRF.sentence_score(reply, [expected]).score),
        "rouge_l": 100 * _f_measure(LCSseq.similarity(said, wanted), len(said), len(wanted)),
        "token_f1": 100 * _f_measure((Counter(said) & Counter(wanted)).total(), len(said), len(wanted)),
        "exact_match": 100.0 * (said == wanted),
    }


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _f_measure(common: int, said: int, wanted: int) -> float:
    if not said or not wanted:
        return float(said == wanted)
    return 2 * common / (said + wanted)
