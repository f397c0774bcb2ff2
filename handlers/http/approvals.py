"""`/api/approvals/{token}`: the page that asks for a person's yes or no to a model, and takes the answer.

The token is all that a caller needs. GET only shows the question; the answer is a POST, which is written to
the run's record once. The page has measures, and no training text.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Literal
from urllib.parse import parse_qsl

import msgspec

from handlers.http.responses import Response
from shared.domain.errors import CorruptRunError, UnknownRunError
from shared.domain.run.approval import Token, is_genuine, read_token
from shared.domain.run.parts import Approval
from shared.domain.run.run import Run
from shared.domain.run.stages import Stage
from shared.domain.sanitize import plain_text
from shared.ports import Services
from shared.workflow.save_progress import update_run

HTML = "text/html"
FORM = "application/x-www-form-urlencoded"

LONGEST_NAME = 100
MOST_FIELDS = 10

ANSWERS: Mapping[str, Literal["yes", "no"]] = {"yes": "yes", "no": "no"}

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'",
    # The address is the permission.
    "Referrer-Policy": "no-referrer",
}

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:40rem;margin:3rem auto;padding:0 1rem;color:#1b1f24}"
    "dt{color:#57606a}dd{margin:0 0 .5rem}button{font:inherit;padding:.4rem 1.2rem;margin-right:.5rem}"
    "@media(prefers-color-scheme:dark){body{background:#0d1117;color:#e6edf3}dt{color:#9198a1}}"
)


class _NoAnswerError(Exception):
    """The link leads nowhere; the arguments are a status and a sentence."""


def show_approval(services: Services, token: str) -> Response:
    """Ask whether a model is to take its dataset's name; nothing is changed."""
    try:
        run = _run_of(token, services)
        _check_open(run, _parsed(token), services)
    except _NoAnswerError as fault:
        return _page(*fault.args)
    return _question(run)


def answer_approval(services: Services, token: str, body: bytes) -> Response:
    """Take the answer, once; the same answer again is the same answer."""
    form = _form(body)
    answer, by = ANSWERS.get(form.get("answer", "")), plain_text(form.get("by", "")).strip()[:LONGEST_NAME]
    if answer is None:
        return _page(400, "The answer must be yes or no. Open the link again and use one of its buttons.")

    def take(run: Run) -> Run:
        parsed = _parsed(token)
        if not is_genuine(parsed, run):
            raise _unknown()
        given = run.requests.approval
        if given is not None and given.answer == answer:
            return run
        _check_open(run, parsed, services)
        approval = Approval(at=services.now(), answer=answer, by=by or "the holder of the link")
        requests = msgspec.structs.replace(run.requests, approval=approval)
        return msgspec.structs.replace(run, requests=requests, due=services.now())

    try:
        run = update_run(services.runs, _parsed(token).run_id, take)
    except (UnknownRunError, CorruptRunError):
        return _page(*_unknown().args)
    except _NoAnswerError as fault:
        return _page(*fault.args)
    said = "takes the name" if answer == "yes" else "does not take the name"
    text = f"Thank you. {run.run_id} {said} {run.dataset}."
    return _page(200, text)._replace(advance=(run.run_id,))


def _form(body: bytes) -> dict[str, str]:
    """The fields of a form; none of one that no button of the page sends."""
    try:
        return dict(parse_qsl(body.decode("utf-8", "replace"), max_num_fields=MOST_FIELDS))
    except ValueError:
        return {}


def _parsed(token: str) -> Token:
    parsed = read_token(token)
    if parsed is None:
        raise _unknown()
    return parsed


def _run_of(token: str, services: Services) -> Run:
    parsed = _parsed(token)
    try:
        run = services.runs.load(parsed.run_id).run
    except (UnknownRunError, CorruptRunError):
        raise _unknown() from None
    if not is_genuine(parsed, run):
        raise _unknown()
    return run


def _check_open(run: Run, token: Token, services: Services) -> None:
    given = run.requests.approval
    if given is not None:
        message = f"Already answered: {given.by} said {given.answer} on {given.at:%Y-%m-%d %H:%M} UTC."
        raise _NoAnswerError(409, message)
    if run.stage is not Stage.LIVE:
        raise _NoAnswerError(410, f"{run.run_id} is {run.stage}: there is nothing to decide any more.")
    if token.expires <= services.now():
        message = f"This link expired on {token.expires:%Y-%m-%d %H:%M} UTC. Promote the model on the page."
        raise _NoAnswerError(410, message)


def _unknown() -> _NoAnswerError:
    return _NoAnswerError(404, "This link is not valid. Copy all of it, or decide on the page.")


def _question(run: Run) -> Response:
    comparison = run.evaluation.comparison if run.evaluation is not None else None
    facts = {"Dataset": run.dataset, "Run": run.run_id, "Compared": "with no other model"}
    if comparison is not None:
        facts["Compared"] = f"{comparison.words} against {comparison.against}"
        for name, span in comparison.differences.items():
            facts[f"{name}, difference"] = f"{span.value:+.1f} ({span.low:+.1f} to {span.high:+.1f})"
    for name, span in (run.evaluation.metrics if run.evaluation is not None else {}).items():
        facts[name] = f"{span.value:.3g} ({span.low:.3g} to {span.high:.3g})"
    listed = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in facts.items())
    form = (
        f'<form method="post"><p><label>Your name, for the history '
        f'<input name="by" maxlength="{LONGEST_NAME}"></label></p>'
        '<button name="answer" value="yes">Yes, use this model</button>'
        '<button name="answer" value="no">No</button></form>'
    )
    return _page(200, f"Is {run.run_id} to take the name {run.dataset}?", f"<dl>{listed}</dl>{form}")


def _page(status: int, title: str, content: str = "") -> Response:
    text = (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><meta name="robots" content="noindex">'
        f"<title>Approval</title><style>{_STYLE}</style><h1>{escape(title)}</h1>{content}</html>"
    )
    return Response(status, text.encode("utf-8", "replace"), HTML, HEADERS)
