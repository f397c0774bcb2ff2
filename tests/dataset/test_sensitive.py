"""Secrets and personal data: found, masked or refused, and nowhere to be read afterwards."""

import base64
import json
import random
import time
from typing import Any

import msgspec
import pytest

from shared.domain.dataset import RowPolicy, Split, ValidationRules, report_html
from shared.domain.dataset.sensitive import KINDS, mask_sensitive
from tests.dataset.checking import Checked, assistant, check_bytes, check_lines, good_rows, row, user

_RANDOM = random.Random(5)
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def _of(letters: str, count: int) -> str:
    return "".join(_RANDOM.choice(letters) for _ in range(count))


def _token(header: Any) -> str:
    parts = (json.dumps(header), '{"sub":"1234567890"}', "signature-of-it")
    return ".".join(base64.urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in parts)


# Put together from parts, so that no scanner of repositories takes them for real ones.
SECRETS = {
    "private key": "-----BEGIN RSA PRIVATE " + "KEY-----\nMIIEow\nIBAAKC\n-----END RSA PRIVATE KEY-----",
    "private key without an end": "-----BEGIN " + "PRIVATE KEY-----\n" + "MIIEvQIBADANBgkqhkiG9w0BAQEF" * 3,
    "AWS": "AKIA" + _of("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 16),
    "AWS's secret": "aws_secret_access_key = " + _of(LETTERS + "0123456789/+", 40),
    "AWS's secret in YAML": "AWS_SECRET_ACCESS_KEY: '" + _of(LETTERS + "0123456789/+", 40) + "'",
    "GitHub": "ghp_" + _of(LETTERS + "0123456789", 36),
    "GitHub, fine-grained": "github_pat_" + _of(LETTERS + "0123456789", 22) + "_" + _of(LETTERS, 59),
    "GitLab": "glpat-" + _of(LETTERS + "0123456789", 20),
    "Slack": "xoxb-" + _of("0123456789", 12) + "-" + _of(LETTERS + "0123456789", 24),
    "Google": "AIza" + _of(LETTERS + "0123456789_-", 35),
    "OpenAI": "sk-proj-" + _of(LETTERS + "0123456789", 48),
    "Anthropic": "sk-ant-api03-" + _of(LETTERS + "0123456789", 80),
    "Stripe": "sk_live_" + _of(LETTERS + "0123456789", 24),
    "SendGrid": "SG." + _of(LETTERS, 22) + "." + _of(LETTERS, 43),
    "npm": "npm_" + _of(LETTERS + "0123456789", 36),
    "Hugging Face": "hf_" + _of(LETTERS, 34),
    "Azure storage": "AccountKey=" + _of(LETTERS + "0123456789+/", 86) + "==",
    "Azure service bus": "SharedAccessKey=" + _of(LETTERS + "0123456789+/", 43) + "=",
    "Azure client secret": "abc8Q~" + _of(LETTERS + "0123456789", 34),
    "Azure AI": _of(LETTERS, 52) + "JQQJ99" + _of(LETTERS + "0123456789", 26),
    "shared access signature": "?sv=2024&sig=" + _of(LETTERS + "0123456789", 43) + "%3D",
    "JSON Web Token": _token({"alg": "HS256", "typ": "JWT"}),
    "card": "4111 1111 1111 1111",
    "card in one piece": "5555555555554444",
    "card with dashes": "3782-822463-10005",
    "IBAN": "DE89 3704 0044 0532 0130 00",
    "IBAN in one piece": "GB82WEST12345698765432",
}
CONTACTS = {
    "e-mail address": "ann.lee+chat@mail.example.com",
    "phone number": "+49 (0)30 901820-12",
    "phone number of the US": "(555) 010-4477",
}
ORDINARY = [
    "The order 4111 1111 1111 1112 and the number 1234567890123456 are none.",
    "4444444444444444",
    "GB82WEST12345698765431",
    "ISBN 978-3-16-148410-0, build 20240102030405, 1700000000000",
    "sk-learn-and-scipy-are-libraries-for-python",
    "A task-specific disk-based_approach with AKIA in it",
    f"{_of('0123456789abcdef', 64)} is a hash; eyJhbGciOiJub25lIn0 alone is no token",
    _token({"no": "algorithm"}),
    "-----BEGIN CERTIFICATE-----\nMIIEow\n-----END CERTIFICATE-----",
    "version 1.2.3, mail@, user @ home, 10.0.0.1, 555-0104",
]


def _holding(canary: str) -> list[bytes]:
    """The same canary in a question, in an answer, and behind escapes that JSON allows."""
    escaped = row(user("Q"), assistant("X")).replace(
        b"X", b"".join(b"\\u%04x" % ord(sign) for sign in canary)
    )
    return [
        row(user(f"Mine is {canary}, is it safe?"), assistant("No.")),
        row(user("Show one."), assistant(f"({canary})")),
        escaped,
    ]


def _faulty(canary: str) -> list[bytes]:
    """Rows that are refused for other reasons, whose excerpts and messages might show it."""
    return [
        row(user(canary)),
        json.dumps({"messages": [user("a"), {"role": canary, "content": "b"}]}).encode(),
        json.dumps({"messages": [user("a"), assistant(f"{canary} {'x' * 300}")], canary: 1}).encode(),
        json.dumps(canary).encode(),
        b'{"messages": "' + json.dumps(canary).encode()[1:-1],
    ]


def _everything(checked: Checked) -> str:
    report = msgspec.json.encode(checked.report).decode()
    pages = report_html(checked.report)
    return "".join((report, pages, checked.report.reason, *(data.decode() for data in checked.copy.values())))


def _pieces(canary: str) -> list[str]:
    """The canary in the spellings of JSON and HTML, and its longest part."""
    return [canary, json.dumps(canary)[1:-1], max(canary.replace("\n", " ").split(), key=len)]


@pytest.mark.parametrize("name", SECRETS | CONTACTS)
@pytest.mark.parametrize("policy", ["mask", "reject"])
def test_what_is_masked_or_refused_is_nowhere(name: str, policy: Any) -> None:
    """Neither in the snapshot nor in the report, its page, its excerpts, its messages and its keys."""
    canary = (SECRETS | CONTACTS)[name]
    rules = ValidationRules(
        sensitive_data=policy,
        contact_data=policy,
        row_policy=RowPolicy.DROP,
        max_dropped_percent=90,
        min_evaluation_rows=1,
    )
    checked = check_lines([*good_rows(30), *_holding(canary), *_faulty(canary)], rules)
    everything = _everything(checked)
    assert not [piece for piece in _pieces(canary) if piece in everything]
    assert checked.report.accepted, checked.report.reason
    assert checked.report.counts["R114" if policy == "mask" else "E218"] >= 3, checked.report.counts
    kept = [text for text in checked.conversations() if "is it safe?" in text]
    assert len(kept) == (policy == "mask")
    assert all("[" in text for text in kept)


def test_by_default_rows_are_kept_and_warned_of() -> None:
    """Their secrets train, and are in no excerpt; contact data are not looked for."""
    canary = SECRETS["GitHub"]
    checked = check_lines([*good_rows(30), *_holding(canary), *_holding(CONTACTS["e-mail address"])])
    assert checked.report.counts == {"W109": 3}
    assert checked.found("W109")[0] == (31, "message 1 has an API key, which the model may repeat to anybody")
    assert canary not in msgspec.json.encode(checked.report.issues).decode()
    assert sum(canary in text for text in checked.conversations()) == 3
    off = ValidationRules(sensitive_data="off", min_evaluation_rows=1)
    assert check_lines([*good_rows(30), *_holding(canary)], off).report.counts == {}


def test_one_row_refused_rejects_a_strict_dataset() -> None:
    """As any fault does."""
    rules = ValidationRules(sensitive_data="reject", min_evaluation_rows=1)
    report = check_lines([*good_rows(30), _holding(SECRETS["card"])[0]], rules).report
    assert not report.accepted
    assert "E218" in report.reason


@pytest.mark.parametrize("text", ORDINARY)
def test_what_only_looks_like_it_is_left_alone(text: str) -> None:
    """Wrong sums, prefixes in words, hashes, certificates."""
    assert mask_sensitive(text, KINDS) == text
    lines = [*good_rows(30), row(user(text), assistant("Yes."))]
    assert check_lines(lines, ValidationRules(contact_data="warn", min_evaluation_rows=1)).report.counts == {}


def test_a_row_wherever_its_file_is_cut() -> None:
    """The same rows are masked whatever the chunks, and in a row among thousands."""
    rules = ValidationRules(sensitive_data="mask", min_evaluation_rows=1)
    rows = good_rows(4_000)
    rows[2_345] = _holding(SECRETS["Stripe"])[0]
    data = b"\n".join(rows) + b"\n"
    at = data.index(b"sk_live_") + 4
    whole = check_bytes(data, rules=rules)
    assert check_bytes(data, rules=rules, chunks=[at]).copy == whole.copy
    assert whole.report.counts == {"R114": 1}
    assert whole.found("R114")[0][0] == 2_346
    assert sum("[API key]" in text for text in whole.conversations()) == 1
    assert sum(len(whole.rows(split)) for split in Split) == 4_000


@pytest.mark.parametrize(
    "unit",
    ["4", "4 1", "sk-", "-eyJ", "eyJa.eyJ", "AB12 ", "a@", "+1 ", "-----BEGIN PRIVATE KEY-----", "gh_A8Q~"],
)
def test_long_texts_take_time_in_proportion(unit: str) -> None:
    """Twice the text takes about twice the time, whatever it repeats."""
    mask_sensitive(unit * 10, KINDS)
    seconds = []
    for count in (30_000, 120_000):
        text = unit * (count // len(unit))
        began = time.process_time()
        mask_sensitive(text, KINDS)
        seconds.append(time.process_time() - began)
    assert seconds[1] < 12 * seconds[0] + 0.2, seconds
