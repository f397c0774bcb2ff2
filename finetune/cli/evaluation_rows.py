"""The evaluation of a run, as a terminal shows it."""

from __future__ import annotations

from finetune.client.types import Evaluation, Interval, Promotion

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
    rows = [("evaluation", ", ".join([f"{evaluation.asked} of {evaluation.rows} rows", *shown]))]
    for found in filter(None, (evaluation.comparison, evaluation.base_comparison)):
        difference = f"chrF {_span(found.differences['chrf'])}" if "chrf" in found.differences else ""
        rows.append(("compared", f"{found.words} against {found.against}: {difference}"))
    return rows


def promotion_rows(promotion: Promotion | None) -> list[tuple[str, str]]:
    """Whether the model took its dataset's name."""
    if promotion is None:
        return []
    taken = "has taken the dataset's name" if promotion.promoted else "has not taken the dataset's name"
    return [("promotion", f"{taken}: {promotion.why}")]


def _span(measured: Interval) -> str:
    return f"{measured.value:.3g} ({measured.low:.3g} to {measured.high:.3g})"
