"""The report as a page that needs nothing but itself: no scripts, no other files, no network."""

from collections import defaultdict
from collections.abc import Iterable
from html import escape

from .codes import Code
from .plots import Bar, bar_chart
from .report import Bucket, DatasetReport, Issue
from .report_style import STYLE
from .rules import Split

_MOST_BARS = 12
_NOTHING_KEPT = (
    "What the copy would have held",
    "There is no copy, and nothing is trained on: a rejected dataset is uploaded again, corrected.",
)
_CONTENT_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def report_html(report: DatasetReport) -> str:
    """Render a report.

    Args:
        report: What `validate_files` returned.

    Returns:
        A whole HTML document; every text of the dataset in it is escaped.
    """
    names = ", ".join(file.name for file in report.files) or "no file"
    body = "".join(
        (_verdict(report, names), _figures(report), _findings(report), _plots(report), _kept(report))
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{_CONTENT_POLICY}">'
        f"<title>{escape(report.verdict.capitalize())}: {escape(names)}</title><style>{STYLE}</style></head>"
        f"<body><main>{body}</main></body></html>\n"
    )


def _verdict(report: DatasetReport, names: str) -> str:
    return (
        f'<header class="{report.verdict}"><p class="kicker">Dataset report · {escape(names)}</p>'
        f"<h1>{report.verdict.capitalize()}</h1><p>{escape(report.reason)}</p></header>"
    )


def _figures(report: DatasetReport) -> str:
    tokens = report.tokens
    figures = [
        (f"{report.rows:,}", "rows read"),
        (f"{report.rows_kept:,}", "can be trained on"),
        (f"{report.rows_dropped:,}", "cannot"),
        (f"{tokens.total:,}", "tokens, estimated"),
        (f"{tokens.truncated_rows:,}", f"rows over {tokens.context_window:,} tokens"),
    ]
    tiles = "".join(f"<div><b>{value}</b><span>{escape(name)}</span></div>" for value, name in figures)
    return f'<section class="figures">{tiles}</section>'


def _findings(report: DatasetReport) -> str:
    if not report.counts:
        return "<section><h2>Findings</h2><p>None: every line is as it should be.</p></section>"
    listed: dict[str, list[Issue]] = defaultdict(list)
    for issue in report.issues:
        listed[issue.code].append(issue)
    left_out = ", ".join(
        f"<code>{escape(key)}</code> ({rows:,})" for key, rows in report.left_out_keys.items()
    )
    kinds = (("E", "Faults"), ("W", "Warnings"), ("R", "Repaired in the copy that training reads"))
    parts = []
    for letter, heading in kinds:
        codes = [code for code in report.counts if code.startswith(letter)]
        if codes:
            groups = "".join(_group(Code(code), report.counts[code], listed[code]) for code in codes)
            parts.append(f"<section><h2>{heading}</h2>{groups}</section>")
    if left_out:
        parts.append(f"<section><h2>Keys left out</h2><p>With their rows: {left_out}.</p></section>")
    return "".join(parts)


def _group(code: Code, count: int, issues: list[Issue]) -> str:
    rows = "".join(_issue_row(issue) for issue in issues)
    more = f'<p class="more">and {count - len(issues):,} more</p>' if count > len(issues) else ""
    is_open = " open" if code.is_error else ""
    return (
        f'<details{is_open}><summary><code class="{code[0]}">{code}</code> {escape(code.label)}'
        f'<span class="count">{count:,}</span></summary><table>{rows}</table>{more}</details>'
    )


def _issue_row(issue: Issue) -> str:
    place = escape(issue.file or "dataset") + (f":{issue.line}" if issue.line is not None else "")
    excerpt = f"<pre>{escape(issue.excerpt)}</pre>" if issue.excerpt else ""
    return f'<tr><td class="place">{place}</td><td>{escape(issue.message)}{excerpt}</td></tr>'


def _plots(report: DatasetReport) -> str:
    window, longest = report.tokens.context_window, report.tokens.longest_row
    turns = [Bar(_range(bucket), bucket.rows) for bucket in _merged(report.turns_per_row)]
    tokens = [
        Bar(_power(bucket), bucket.rows, marked=min(bucket.high, longest) > window)
        for bucket in _merged(report.tokens_per_row)
    ]
    splits = [Bar(split, report.splits[split].rows) for split in Split]
    charts = (
        ("Messages in a row", bar_chart(turns, title="Rows by their number of messages", axis="messages")),
        ("Tokens in a row", bar_chart(tokens, title="Rows by their estimated tokens", axis="tokens, up to")),
        ("Rows in each split", bar_chart(splits, title="Rows in each split", axis="split")),
    )
    figures = "".join(f"<figure><figcaption>{name}</figcaption>{chart}</figure>" for name, chart in charts)
    return f'<section><h2>What training would see</h2><div class="plots">{figures}</div></section>'


def _merged(buckets: list[Bucket]) -> Iterable[Bucket]:
    """At most `_MOST_BARS` buckets: those at the upper end become one."""
    if len(buckets) <= _MOST_BARS:
        return buckets
    rest = buckets[_MOST_BARS - 1 :]
    return [*buckets[: _MOST_BARS - 1], Bucket(rest[0].low, rest[-1].high, sum(b.rows for b in rest))]


def _range(bucket: Bucket) -> str:
    return str(bucket.low) if bucket.low == bucket.high else f"{bucket.low} to {bucket.high}"


def _power(bucket: Bucket) -> str:
    top = bucket.high + 1
    return f"{top // 1024:,}k" if top >= 1024 else str(top)


def _kept(report: DatasetReport) -> str:
    rows = "".join(
        f"<tr><td>{split}</td><td>{summary.rows:,}</td><td>{summary.bytes:,}</td>"
        f"<td><code>{summary.digest}</code></td></tr>"
        for split, summary in report.splits.items()
    )
    files = "".join(
        f"<tr><td>{escape(file.name)}</td><td>{file.lines:,}</td><td>{file.rows_kept:,} of {file.rows:,}</td>"
        f"<td>{file.bytes:,}</td></tr>"
        for file in report.files
    )
    heading, words = ("What the trainer keeps", _lost(report)) if report.accepted else _NOTHING_KEPT
    return (
        f"<section><h2>{heading}</h2><p>{words}</p>"
        f"{_grid('Split', 'Rows', 'Bytes', 'XXH3-128')}{rows}</table>"
        "<h2>What was uploaded</h2>"
        f"{_grid('File', 'Lines', 'Rows kept', 'Bytes')}{files}</table>"
        f'<p class="more">Fingerprint of the training data: <code>{report.fingerprint}</code></p></section>'
    )


def _lost(report: DatasetReport) -> str:
    tokens = report.tokens
    lost = (
        f"It truncates {tokens.truncated_rows:,} rows at {tokens.context_window:,} tokens and so loses about"
        f" {tokens.truncated_tokens:,} tokens."
        if tokens.truncated_rows
        else "It truncates none of them."
    )
    doubtful = report.counts.get(Code.MAY_BE_LOST)
    but = f", though it may drop those under W106 ({doubtful:,})" if doubtful else ""
    return f"Every row of the copy below{but}. {lost} Rows with faults are left out; duplicates are kept."


def _grid(*headings: str) -> str:
    cells = "".join(f"<th>{heading}</th>" for heading in headings)
    return f'<table class="grid"><tr>{cells}</tr>'
