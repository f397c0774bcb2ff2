"""Runs on a terminal: tables, a timeline, and times for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

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
_ORDER = {"live": 2, "stopped": 3, "deleted": 3, "duplicate": 3, "canceled": 3, "failed": 3, "rejected": 3}


def urgency(entry: dict[str, Any]) -> tuple[int, str]:
    """What to sort a listed run by: those that need a person, then those that move, live, and ended ones."""
    group = 0 if entry["needs_attention"] else _ORDER.get(entry["stage"], 1)
    return group, entry["run_id"]


def runs_table(entries: Iterable[dict[str, Any]], now: datetime) -> Table:
    """The list of runs."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("DATASET", "RUN", "STAGE", "AGE", "TIME LEFT", ""):
        table.add_column(heading, overflow="fold")
    for entry in sorted(entries, key=urgency):
        table.add_row(
            escape(entry["dataset"]),
            entry["run_id"],
            stage_text(entry["stage"]),
            _age(entry["opened_at"], now),
            _left(entry["expires_at"], now),
            Text(entry["suspended"] or "needs attention", style=WARN) if entry["needs_attention"] else "",
        )
    return table


def run_details(run: dict[str, Any], now: datetime) -> RenderableType:
    """One run: where it is, what is known of it, and what went wrong."""
    endpoint, metrics, report = run.get("endpoint"), run.get("metrics") or {}, run.get("report")
    facts = [
        (
            "dataset",
            ", ".join(f"{rows} {split}" for split, rows in report["rows"].items()) if report else None,
        ),
        ("base model", run["options"]["base_model"]),
        ("train loss", _decimal(metrics.get("train_loss"))),
        ("eval loss", _decimal(metrics.get("eval_loss"))),
        ("model", run["model"]["name"] if run.get("model") else None),
        ("time left", _left(endpoint["expires_at"], now) if endpoint and run["stage"] == "live" else None),
        ("smoke test", f"{len(tests)} answered" if (tests := run.get("smoke_test")) else None),
        *money_rows(run.get("cost")),
        ("job", run["job"]["studio_url"] if run.get("job") else None),
        ("ended", run.get("end_reason")),
    ]
    grid = Table.grid(padding=(0, 2))
    for name, value in facts:
        if value:
            grid.add_row(Text(name, style="dim"), Text(str(value), overflow="fold"))
    head = Text.assemble((run["run_id"], "bold"), "  ", stage_text(run["stage"]))
    return Group(head, "", timeline(run, now), "", grid, *_faults(run))


def money_rows(cost: dict[str, Any] | None) -> list[tuple[str, str]]:
    """Node hours of what costs money, and their price where it is known."""
    if cost is None:
        return []
    currency = f" {cost['currency']}" if cost["currency"] else ""
    rows = []
    for name in ("training", "endpoint", "saved"):
        hours, amount = cost[f"{name}_node_hours"], cost[f"{name}_cost"]
        if hours is not None:
            price = "" if amount is None else f", {amount:.2f}{currency}"
            rows.append((name, f"{hours:.2f} node hours{price}"))
    return rows


def timeline(run: dict[str, Any], now: datetime) -> Table:
    """Stages, when they were entered, and how long they took."""
    history: Sequence[dict[str, str]] = run["history"]
    table = Table.grid(padding=(0, 2))
    for entry, following in zip(history, [*history[1:], None], strict=True):
        began = datetime.fromisoformat(entry["at"])
        ended = datetime.fromisoformat(following["at"]) if following else None
        over = following is None and run["due"] is None
        took = "" if over else duration(((ended or now) - began).total_seconds())
        mark = "✓" if following else "●"
        table.add_row(
            Text(mark, style=_style(entry["stage"]) if not following else GOOD),
            Text(entry["stage"], style="" if following else f"bold {_style(entry['stage'])}"),
            Text(f"{began.astimezone():%Y-%m-%d %H:%M:%S}", style="dim"),
            Text(took, style="dim", justify="right"),
        )
    return table


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


def _faults(run: dict[str, Any]) -> list[Text]:
    error, fault = run.get("error"), run.get("last_fault") if run["failures"] else None
    shown = [(error, BAD), (fault, WARN)]
    said = [Text(f"\n{one['code']}: {one['message']}", style=style) for one, style in shown if one]
    return (
        [Text(f"\nsuspended: {suspended}", style=WARN), *said]
        if (suspended := run.get("suspended"))
        else said
    )


def _style(stage: str | None) -> str:
    return BAD if stage is None else STYLES.get(stage, MOVING)


def _age(opened: str | None, now: datetime) -> str:
    return duration((now - datetime.fromisoformat(opened)).total_seconds()) if opened else "unknown"


def _left(expires: str | None, now: datetime) -> str:
    return duration((datetime.fromisoformat(expires) - now).total_seconds()) if expires else ""


def _decimal(value: float | None) -> str | None:
    return None if value is None else f"{value:.4g}"
