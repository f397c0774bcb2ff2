"""Secrets and personal data in texts: what they look like, and texts without them.

Only what has a checksum or a prefix of its own counts, so that prose and code hardly ever do; e-mail
addresses and phone numbers have neither, and are a class of their own. Sources: ISO/IEC 7812 (Luhn), ISO
13616 (IBAN), RFC 7468 and 7519, and the issuers' documentation of their keys' prefixes.
"""

import base64
import json
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple


class SensitiveKind(NamedTuple):
    """One kind of sensitive data.

    Attributes:
        name: As reports call it.
        pattern: Finds it in a text; each match is bounded, so that a search takes linear time.
        hint: What every text with a match has, as Hyperscan reads patterns.
        sensitive_length: How much of a match is sensitive indeed: 0 if its checksum is wrong.
        is_contact: Whether it is of the class of contact data.
    """

    name: str
    pattern: re.Pattern[str]
    hint: str
    sensitive_length: Callable[[str], int] = len
    is_contact: bool = False


def _card_length(text: str) -> int:
    digits = [int(sign) for sign in text if sign.isdigit()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return len(text) if (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0 and len(set(digits)) > 1 else 0


def _iban_length(text: str) -> int:
    length = _IBAN_LENGTHS.get(text[:2], 0)
    positions = [at for at, sign in enumerate(text) if sign != " "][:length]
    signs = "".join(text[at] for at in positions)
    valid = (
        len(signs) == length > 0
        and int("".join(str(int(sign, 36)) for sign in signs[4:] + signs[:4])) % 97 == 1
    )
    return positions[-1] + 1 if valid else 0


def _token_length(text: str) -> int:
    head = text.partition(".")[0]
    try:
        header = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    except (ValueError, RecursionError):
        return 0
    return len(text) if isinstance(header, dict) and "alg" in header else 0


_IBANS = """
AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 EE20
EG29 ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30
KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23
PK24 PL28 PS29 PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26
UA29 VA22 VG24 XK20 YE30
"""  # countries and the lengths of their account numbers
_IBAN_LENGTHS = {entry[:2]: int(entry[2:]) for entry in _IBANS.split()}
# Lengths and first digits by network, in groups as they are printed or in one piece.
_CARD = (
    r"(?<![\da-f.])(?<!\d[ -])(?:"
    r"(?:4\d{3}|5[1-5]\d\d|2[2-7]\d\d|35\d\d|6(?:011|4[4-9]\d|5\d\d|2\d\d))([ -]?)\d{4}\1\d{4}\1\d{4}"
    r"|3[47]\d\d([ -]?)\d{6}\2\d{5}|3(?:0[0-5]|[68]\d)\d([ -]?)\d{6}\3\d{4}|4\d{12}"
    r")(?![ -]?\d)"
)
# A word in front of it ends a key, as far as it is a letter or a digit.
_ALONE = r"(?<![A-Za-z0-9])"
_KEYS = (
    (r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}(?![A-Za-z0-9])", r"A(?:KIA|SIA|BIA|CCA)[A-Z2-7]{16}"),
    (r"gh[pousr]_[A-Za-z0-9]{36,255}", r"gh[pousr]_[A-Za-z0-9]{36}"),
    (r"github_pat_[A-Za-z0-9_]{36,255}", r"github_pat_"),
    (r"glpat-[A-Za-z0-9_.-]{20,255}", r"glpat-[A-Za-z0-9_-]{20}"),
    (r"xox[abeoprs]-[A-Za-z0-9-]{10,255}", r"xox[abeoprs]-[A-Za-z0-9-]{10}"),
    (r"AIza[A-Za-z0-9_-]{35}", r"AIza[A-Za-z0-9_-]{35}"),
    (r"sk-(?=[A-Za-z_-]{0,40}\d)[A-Za-z0-9_-]{20,255}", r"sk-[A-Za-z0-9_-]{20}"),
    (r"[sr]k_(?:live|test)_[A-Za-z0-9]{16,255}", r"[sr]k_(?:live|test)_"),
    (r"whsec_[A-Za-z0-9+/]{24,255}", r"whsec_"),
    (r"SG\.[A-Za-z0-9_-]{16,64}\.[A-Za-z0-9_-]{16,128}", r"SG\.[A-Za-z0-9_-]{16}"),
    (r"npm_[A-Za-z0-9]{36}", r"npm_[A-Za-z0-9]{36}"),
    (r"pypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{50,255}", r"pypi-AgEI"),
    (r"hf_[A-Za-z0-9]{30,64}", r"hf_[A-Za-z0-9]{30}"),
    (r"do[opr]_v1_[a-f0-9]{64}", r"do[opr]_v1_"),
    (r"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}", r"shp(?:at|ca|pa|ss)_"),
    (r"EAACEdEose0cBA[A-Za-z0-9]{1,255}", r"EAACEdEose0cBA"),
    (r"[A-Za-z0-9_~.-]{3}[78]Q~[A-Za-z0-9_~.-]{31,34}", r"[78]Q~[A-Za-z0-9_~.-]{31}"),
    (r"[A-Za-z0-9]{52}JQQJ99[A-Za-z0-9]{26}", r"JQQJ99"),
    (r"(?:AccountKey|SharedAccessKey)=[A-Za-z0-9+/]{43,86}={1,2}", r"A(?:ccount|ccess)Key="),
    (
        r"(?:aws_secret_access_key|AWS_SECRET_ACCESS_KEY)[\"' ]{0,3}[=:][\"' ]{0,3}[A-Za-z0-9/+]{40}",
        r"(?i:aws_secret_access_key)",
    ),
    (r"sig=[A-Za-z0-9%+/]{40,128}(?:=|%3[dD])", r"sig=[A-Za-z0-9%+/\\]{40}"),
)

COARSE_HINTS = (
    r"-----BEGIN",
    r"\.eyJ",
    r"AIza[A-Za-z0-9_-]{8}",
    r"SG\.[A-Za-z0-9_-]{16}",
    r"JQQJ99",
    r"_access_key",
    r"_ACCESS_KEY",
    r"[-_=~][A-Za-z0-9_/+%]{16}",
    r"A(?:KIA|SIA|BIA|CCA)[A-Z2-7]{8}",
    r"[^0-9a-f][23456]\d{3}(?:[ -]?\d){9}|[A-Z]{2}\d\d(?: ?[A-Z0-9]{4}){2}",
)
"""What every line with a secret has: patterns that Hyperscan finds with its fast engines alone."""

KINDS = (
    SensitiveKind(
        "private key",
        re.compile(
            r"-----BEGIN (?:[A-Z0-9]{1,20} ){0,4}PRIVATE KEY(?: BLOCK)?-----"
            r"(?:[^-]{0,65536}-----END [A-Z0-9 ]{1,80}-----|[A-Za-z0-9+/=\s\\]*)"
        ),
        r"PRIVATE KEY(?: BLOCK)?-----",
    ),
    *(SensitiveKind("API key", re.compile(_ALONE + pattern), hint) for pattern, hint in _KEYS),
    SensitiveKind(
        "JSON Web Token",
        re.compile(
            r"(?<![A-Za-z0-9_.-])eyJ[A-Za-z0-9_-]{8,4096}\.eyJ[A-Za-z0-9_-]{8,65536}\.[A-Za-z0-9_-]{8,8192}"
        ),
        r"eyJ[A-Za-z0-9_-]{8,}\.eyJ",
        _token_length,
    ),
    SensitiveKind("card number", re.compile(_CARD), r"[23456]\d{3}(?:[ -]?\d){9}", _card_length),
    SensitiveKind(
        "IBAN",
        re.compile(_ALONE + r"[A-Z]{2}\d\d(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?![A-Za-z0-9])"),
        r"[A-Z]{2}\d\d(?: ?[A-Z0-9]{4}){2}",
        _iban_length,
    ),
    SensitiveKind(
        "e-mail address",
        re.compile(
            r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}(?![A-Za-z])"
        ),
        r"[A-Za-z0-9_%+-]@[A-Za-z0-9-]",
        is_contact=True,
    ),
    SensitiveKind(
        "phone number",
        re.compile(
            r"(?<![\w+])(?:\+\d{1,3}(?:[ .()/-]{0,2}\d){7,12}"
            r"|\(\d{3}\) ?\d{3}[ .-]\d{4}|\d{3}([.-])\d{3}\1\d{4})(?!\d)"
        ),
        r"(?:\+\d|\(\d{3}\)|\d{3}[.-]\d{3}[.-]\d{4})",
        is_contact=True,
    ),
)


class Found(NamedTuple):
    """A place in a text."""

    kind: SensitiveKind
    begin: int
    end: int


def find_sensitive(text: str, kinds: tuple[SensitiveKind, ...]) -> list[Found]:
    """Every place in a text, in order and without overlaps."""
    found = sorted(_matches(text, kinds), key=lambda place: (place.begin, -place.end))
    kept: list[Found] = []
    for place in found:
        if not kept or place.begin >= kept[-1].end:
            kept.append(place)
    return kept


def mask_sensitive(text: str, kinds: tuple[SensitiveKind, ...]) -> str:
    """A text with the names of kinds in place of what is sensitive, as in `[card number]`."""
    parts: list[str] = []
    at = 0
    for kind, begin, end in find_sensitive(text, kinds):
        parts += (text[at:begin], f"[{kind.name}]")
        at = end
    return "".join((*parts, text[at:])) if parts else text


def _matches(text: str, kinds: tuple[SensitiveKind, ...]) -> Iterator[Found]:
    for kind in kinds:
        for match in kind.pattern.finditer(text):
            if length := kind.sensitive_length(match.group()):
                yield Found(kind, match.start(), match.start() + length)
