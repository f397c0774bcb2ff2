"""The evaluation of a run, as a terminal shows it."""

from __future__ import annotations

from finetune.client.types import Evaluation, Interval

_MEASURES = {
    "chrf": ("chrF", ""),
    "rouge_l": ("ROUGE-L", ""),
    "exact_match": ("exact", " %"),
    "latency_p95": ("p95", " s"),
}


def evaluation_rows(evaluation: Evaluation | None) -> list[tuple[str, str]]:
    """How far the evaluation is; its main measures once it is complete."""
    if evaluation is None:
        return []
    if evaluation.ended is None:
        return [("evaluation", f"{evaluation.asked} of {evaluation.rows} test rows answered")]
    shown = [
        f"{label} {_span(evaluation.metrics[name])}{unit}"
        for name, (label, unit) in _MEASURES.items()
        if name in evaluation.metrics
    ]
    return [("evaluation", ", ".join([f"{evaluation.asked} of {evaluation.rows} rows", *shown]))]


def _span(measured: Interval) -> str:
    return f"{measured.value:.3g} ({measured.low:.3g} to {measured.high:.3g})"
