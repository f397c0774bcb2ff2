"""What becomes of a row with secrets or personal data: warned of, masked or refused, as the rules say."""

from typing import NamedTuple

from .codes import Code
from .conversation import decode_messages, encode_messages
from .parsing import Finding
from .rules import SensitivePolicy, ValidationRules
from .sensitive import SensitiveKind, find_sensitive, mask_sensitive
from .sensitive_scan import SensitiveScanner

_WORDS = {
    "warn": (Code.SENSITIVE_KEPT, "has {what}, which the model may repeat to anybody"),
    "mask": (Code.SENSITIVE_MASKED, "had {what}, of which only the name is left"),
    "reject": (Code.SENSITIVE, "has {what}; remove it, or replace it by an invented one"),
}


class Screened(NamedTuple):
    """A row once it was looked at.

    Attributes:
        encoded: Its messages, masked if so asked.
        findings: What is to be said, at most one per code.
    """

    encoded: bytes
    findings: list[Finding]


def scanner_for(rules: ValidationRules) -> SensitiveScanner | None:
    """What looks for the classes that the rules do not leave alone; None if they leave both."""
    secrets, contacts = rules.sensitive_data != "off", rules.contact_data != "off"
    return SensitiveScanner(secrets=secrets, contacts=contacts) if secrets or contacts else None


def screen_row(encoded: bytes, scanner: SensitiveScanner, rules: ValidationRules) -> Screened:
    """Look for what is sensitive in a row's messages.

    Args:
        encoded: Its messages as JSON.
        scanner: Knows which kinds the messages have hints of.
        rules: Say what becomes of it.
    """
    kinds = scanner.kinds_in(encoded)
    if not kinds:
        return Screened(encoded, [])
    messages = decode_messages(encoded)
    found: dict[SensitivePolicy, dict[str, int]] = {}  # names and the first message that has them
    for number, message in enumerate(messages, 1):
        for place in find_sensitive(message["content"], kinds):
            found.setdefault(_policy(place.kind, rules), {}).setdefault(place.kind.name, number)
    if "mask" in found:
        masked = tuple(kind for kind in kinds if _policy(kind, rules) == "mask")
        messages = [{**one, "content": mask_sensitive(one["content"], masked)} for one in messages]
        encoded = encode_messages(messages)
    return Screened(encoded, [_finding(policy, names) for policy, names in found.items()])


def _policy(kind: SensitiveKind, rules: ValidationRules) -> SensitivePolicy:
    return rules.contact_data if kind.is_contact else rules.sensitive_data


def _finding(policy: SensitivePolicy, names: dict[str, int]) -> Finding:
    code, words = _WORDS[policy]
    what = " and ".join(f"{'an' if name[0] in 'AIe' else 'a'} {name}" for name in names)
    return Finding(code, f"message {min(names.values())} {words.format(what=what)}")
