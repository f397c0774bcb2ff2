"""Runs on a terminal: tables, a timeline, and times for people."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from finetune.cli.evaluation_rows import evaluation_rows, promotion_rows
from finetune.client import AT_REST, Run, RunEntry
from finetune.client.types import Cost, Estimate, HoursEstimate, Metrics, Quote, Span

GOOD, BAD, MOVING, CALM, WARN = "green", "red", "blue", "dim", "yellow"
STYLES = {
    "live": GOOD,
    "failed": BAD,
    "rejected": BAD,
    "deleting": WARN,
    "stopped": WARN,
    "deleted": CALM,
    "duplicate": CALM,
    "canceled": CALM,
}
_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
_ORDER = {"live": 2} | dict.fromkeys(AT_REST, 3)


def urgency(entry: RunEntry) -> tuple[int, str]:
    """What to sort a listed run by: those that need a person, then those that move, live, and ended ones."""
    group = 0 if entry.needs_attention else _ORDER.get(entry.stage or "", 1)
    return group, entry.run_id


def runs_table(entries: Iterable[RunEntry], now: datetime) -> Table:
    """The list of runs; ids are copied, so that they stay on one line however narrow the terminal is."""
    shown = sorted(entries, key=urgency)
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("DATASET", "RUN", "STAGE", "AGE", "TIME LEFT", ""):
        whole = heading in {"RUN", "STAGE"}
        width = max((len(entry.run_id) for entry in shown), default=0) if heading == "RUN" else None
        table.add_column(heading, overflow="fold", no_wrap=whole, min_width=width)
    for entry in shown:
        table.add_row(
            escape(entry.dataset),
            entry.run_id,
            stage_text(entry.stage),
            duration((now - entry.opened_at).total_seconds()) if entry.opened_at else "unknown",
            _left(entry.expires_at, now),
            _remark(entry),
        )
    return table


def _remark(entry: RunEntry) -> Text:
    if entry.needs_attention:
        return Text(entry.suspended or entry.reason or "needs attention", style=WARN)
    if entry.stage in {"failed", "rejected"} and entry.reason:
        return Text(entry.reason, style=CALM)
    return Text(f"waiting for {entry.waiting_for}" if entry.waiting_for else "", style=CALM)


def run_details(run: Run, now: datetime) -> RenderableType:
    """One run: where it is, what is known of it, and what went wrong."""
    endpoint, metrics = run.endpoint, run.metrics or Metrics()
    rows = run.report.rows.items() if run.report else ()
    live = run.stage == "live"
    facts = [
        ("dataset", ", ".join(f"{count} {split}" for split, count in rows)),
        ("base model", run.options.base_model),
        *((("training", progress_text(run, now)),) if run.stage == "training" else ()),
        ("train loss", _decimal(metrics.train_loss)),
        ("eval loss", _decimal(metrics.eval_loss)),
        ("model", run.model and run.model.name),
        ("waiting for", run.waiting_for),
        *(
            (f"{one.option} {one.after}", f"instead of {one.before}: {one.reason}")
            for one in run.size_changes
        ),
        ("time left", _left(endpoint.expires_at, now) if endpoint and live else None),
        ("smoke test", f"{len(run.smoke_test)} answered" if run.smoke_test else None),
        *evaluation_rows(run.evaluation),
        *promotion_rows(run.promotion),
        *(quote_rows(run.quote) if not live else ()),
        *money_rows(run.cost),
        ("job", run.job and run.job.studio_url),
        ("same as run", run.duplicate_of),
        ("ended", run.end_reason),
    ]
    # Lines are whole, so that addresses and ids in them can be copied: the terminal may break them.
    lines = [
        Text.assemble((f"{name:<11} ", "dim"), str(value), no_wrap=True, overflow="ignore")
        for name, value in facts
        if value
    ]
    head = Text.assemble((run.run_id, "bold"), "  ", stage_text(run.stage))
    return Group(head, "", timeline(run, now), "", *lines, *_faults(run))


def progress_text(run: Run, now: datetime) -> str:
    """How far training is: `step 120, epoch 1.20 of 3, loss 0.8123, ends in 12 min`; empty if not known."""
    known = run.progress
    if known is None:
        return ""
    if known.began is None:
        return "waits for its first node"
    of = f" of {known.epochs:g}" if known.epochs else ""
    told = [
        f"step {known.step}{f' of {known.steps}' if known.steps else ''}" if known.step else None,
        f"epoch {known.epoch:.2f}{of}" if known.epoch is not None else None,
        f"loss {known.train_loss:.4g}" if known.train_loss is not None else None,
        f"evaluation loss {known.eval_loss:.4g}" if known.eval_loss is not None else None,
        f"ends in {duration((known.ends_at - now).total_seconds())}" if known.ends_at else None,
        known.diverged,
    ]
    return ", ".join(filter(None, told)) or "no loss was logged yet"


def quote_rows(quote: Quote | None) -> list[tuple[str, str]]:
    """What a run is estimated to take and to cost."""
    if quote is None:
        return []
    hours, cost = quote.training_hours, quote.training_cost
    took = "unknown until a run of this model and size has trained"
    if hours is not None:
        runs = f"{hours.runs} earlier run{'s' if hours.runs != 1 else ''}"
        took = f"{_span(hours, ' h')}{_paid(cost, quote.currency)}, by {runs}"
    serves = f"{quote.endpoint_hours:g} h on {quote.endpoint_nodes} x {quote.endpoint_size}"
    if quote.endpoint_cost is not None:
        serves += f", {quote.endpoint_cost:.2f}{_unit(quote.currency)}"
    rows = [("est. train", took), ("est. serve", serves)]
    if quote.total_cost is not None:
        rows.append(("est. total", f"{_span(quote.total_cost, _unit(quote.currency))}"))
    return rows


def estimate_rows(estimate: Estimate) -> list[tuple[str, str]]:
    """An estimate without a run, and whether such a run may be."""
    rows = [("tokens", f"{estimate.quote.trained_tokens:,} to train on"), *quote_rows(estimate.quote)]
    if estimate.month is not None:
        month = estimate.month
        rows.append((month.month, f"{month.used:.2f} of {month.cap:g} used or committed"))
    if estimate.refusal is not None:
        rows.append(("rejected", f"{estimate.refusal.code}: {estimate.refusal.message}"))
    return rows


def _span(span: Span | HoursEstimate, unit: str) -> str:
    """`2.5 h`, and between what it lies where that is known."""
    likely = f"{span.likely:.2f}{unit}"
    return likely if span.low == span.high else f"{likely} ({span.low:.2f} to {span.high:.2f})"


def _paid(cost: Span | None, currency: str | None) -> str:
    return "" if cost is None else f", {_span(cost, _unit(currency))}"


def _unit(currency: str | None) -> str:
    return f" {currency}" if currency else ""


def money_rows(cost: Cost | None) -> list[tuple[str, str]]:
    """Node hours of what costs money, and their price where it is known."""
    if cost is None:
        return []
    currency = _unit(cost.currency)
    used = (
        ("training", cost.training_node_hours, cost.training_cost),
        ("endpoint", cost.endpoint_node_hours, cost.endpoint_cost),
        ("saved", cost.saved_node_hours, cost.saved_cost),
    )
    rows = []
    for name, hours, amount in used:
        if hours is not None:
            price = "" if amount is None else f", {amount:.2f}{currency}"
            rows.append((name, f"{hours:.2f} node hours{price}"))
    return rows


def timeline(run: Run, now: datetime) -> Table:
    """Stages, when they were entered, and how long they took."""
    table = Table.grid(padding=(0, 2))
    for entry, following in zip(run.history, [*run.history[1:], None], strict=True):
        ended = following.at if following else None
        over = following is None and run.due is None
        took = "" if over else duration(((ended or now) - entry.at).total_seconds())
        mark = "✓" if following else "●"
        table.add_row(
            Text(mark, style=_style(entry.stage) if not following else GOOD),
            Text(entry.stage, style="" if following else f"bold {_style(entry.stage)}"),
            Text(f"{entry.at.astimezone():%Y-%m-%d %H:%M:%S}", style="dim"),
            Text(took, style="dim", justify="right"),
        )
    return table


def followed(run: Run, now: datetime) -> RenderableType:
    """What is shown of a run while it is watched: its stages, and how far training is."""
    told = progress_text(run, now) if run.stage == "training" else ""
    return Group(timeline(run, now), Text(told, style="dim")) if told else timeline(run, now)


def stage_text(stage: str | None) -> Text:
    """A stage in its colour."""
    return Text(stage or "unreadable", style=_style(stage))


def duration(seconds: float) -> str:
    """Seconds in the two largest units that matter: `2 d 4 h`, `3 min 5 s`, `0.4 s`."""
    if seconds < 10:
        return f"{max(seconds, 0):.1f} s"
    rest = round(seconds)
    first = next(at for at, (size, _) in enumerate(_UNITS) if rest >= size)
    parts = []
    for size, unit in _UNITS[first : first + 2]:
        whole, rest = divmod(rest, size)
        if whole:
            parts.append(f"{whole} {unit}")
    return " ".join(parts)


def utc_now() -> datetime:
    """The present moment, by this machine's clock."""
    return datetime.now(UTC)


def _faults(run: Run) -> list[Text]:
    shown = [(run.error, BAD), (run.last_fault if run.failures else None, WARN)]
    said = [Text(f"\n{one.code}: {one.message}", style=style) for one, style in shown if one]
    return [Text(f"\nsuspended: {run.suspended}", style=WARN), *said] if run.suspended else said


def _style(stage: str | None) -> str:
    return BAD if stage is None else STYLES.get(stage, MOVING)


def _left(expires: datetime | None, now: datetime) -> str:
    return duration((expires - now).total_seconds()) if expires else ""


def _decimal(value: float | None) -> str | None:
    return None if value is None else f"{value:.4g}"
