"""Estimates how many tokens the trainer will see from lengths alone: a tokenizer would take most of the time.

The ratios were fitted to the tokenizers of GPT-4 (cl100k, extended by Phi-4) and Llama 2 (used by Phi-3);
`docs/dataset-rules.md` gives the error on several kinds of text.
"""

import re
import string
from collections.abc import Iterable, Iterator, Sequence
from itertools import takewhile

from .conversation import Message

# A message costs its role and separators in the chat template besides its text.
_TOKENS_PER_MESSAGE = 4
_JSON_BYTES_PER_MESSAGE = len('{"content":"","role":"user"},') + 2
_BYTES_PER_TOKEN = 4
# For each byte of UTF-8 that a character takes beyond its first.
_TOKENS_PER_EXTRA_BYTE = 0.15

# How many tokens a text may be, by the kinds of its bytes. Llama 2 has a token for each digit and nearly each
# sign; a space is part of the word that follows it, as far as there are words.
_LOWER, _UPPER = string.ascii_lowercase.encode(), string.ascii_uppercase.encode()
_DIGITS = string.digits.encode()
_WORDS = string.ascii_letters.encode() + b" "
_NOT_ASCII = bytes(range(0x80, 0x100))
_TOKENS_PER_LOWER, _TOKENS_PER_UPPER, _TOKENS_PER_BYTE_BEYOND_ASCII = 0.36, 1.0, 0.65
# First bytes of emoji, and of scripts that the vocabularies lack: each of their bytes may be a token.
_FIRST_OF_FOUR, _FIRST_OF_THREE = bytes(range(0xF0, 0xF5)), b"\xe1"
# How far the sample of a text may be off.
_SAMPLING = 1.15
_LETTERS_PER_SPACE = 3.5
# Numbers, signs, hex and the like have three to four times the tokens that lengths tell; prose and code two.
_UNLIKE_PROSE = 2.5
# One byte of so many says what kinds of bytes a long row has; primes, as texts have periods.
_STEP, _WIDE_STEP = 29, 97
# Where there are so many digits among the letters, as in hex and base64, most letters are tokens of their
# own.
_MIXED = 0.12
# Of blanks alone, both vocabularies have tokens of up to sixteen.
_LONG_BLANK, _BLANKS = " " * 16, re.compile(" {2,}")
_LONG_BLANK_MARK = "\1"
# Whatever the vocabulary, no token reaches from one word into the next. A template adds two tokens a message.
_SPACE_OR_NOT = bytes(0x20 if chr(byte) in " \t\n\r\f\v" else 0x78 for byte in range(256))
_LEAST_PER_MESSAGE = 2


def estimate_tokens(encoded: bytes, turns: int) -> int:
    """Estimate the tokens of one conversation.

    Args:
        encoded: Its messages as compact JSON.
        turns: How many there are.

    Returns:
        Tokens, the chat template's included.
    """
    tokens = (
        len(encoded) - _JSON_BYTES_PER_MESSAGE * turns
    ) // _BYTES_PER_TOKEN + _TOKENS_PER_MESSAGE * turns
    if encoded.isascii():
        return tokens
    return tokens + int(_TOKENS_PER_EXTRA_BYTE * (len(encoded) - len(encoded.decode())))


def may_exceed(encoded: bytes, tokens: int, window: int) -> bool:
    """Whether a conversation of more bytes than a window has may have more tokens, too.

    Args:
        encoded: Its messages as compact JSON. No token is shorter than a byte.
        tokens: What `estimate_tokens` says of it.
        window: Tokens that the trainer keeps.
    """
    if 2 * tokens <= window:  # lengths tell half the tokens at least, where there are hardly any but letters
        sample = encoded[::_WIDE_STEP]
        if len(sample.translate(None, _WORDS)) * 8 <= len(sample) >= 3 * sample.count(b" "):
            return False
    return most_tokens(encoded[::_STEP]) * _STEP * _SAMPLING > window


def most_tokens(text: bytes) -> float:
    """Estimate how many tokens a text has at most: with the tokenizer that cuts it into the most."""
    rest = text.translate(None, _LOWER)
    lower = len(text) - len(rest)
    signs = rest.translate(None, _UPPER)
    upper = len(rest) - len(signs)
    spaces = signs.count(b" ")
    beyond = 0 if signs.isascii() else len(signs) - len(signs.translate(None, _NOT_ASCII))
    unknown = 4 * _count(signs, _FIRST_OF_FOUR) + 3 * _count(signs, _FIRST_OF_THREE) if beyond else 0
    digits = _count(signs, _DIGITS)
    per_lower = 1.0 if digits > _MIXED * (lower + upper) else _TOKENS_PER_LOWER
    tokens = per_lower * lower + _TOKENS_PER_UPPER * upper + _TOKENS_PER_BYTE_BEYOND_ASCII * beyond
    tokens += (1 - _TOKENS_PER_BYTE_BEYOND_ASCII) * unknown
    tokens += max(0.0, spaces - (lower + upper + beyond) / _LETTERS_PER_SPACE)
    return tokens + len(signs) - spaces - beyond


def _count(text: bytes, kinds: bytes) -> int:
    return len(text) - len(text.translate(None, kinds))


def most_tokens_of(messages: Iterable[Message]) -> int:
    """Estimate how many tokens messages have at most, the chat template's included."""
    return int(sum(_TOKENS_PER_MESSAGE + _most_tokens_of(message) for message in messages))


def _most_tokens_of(message: Message) -> float:
    text = _dense(message).encode()
    short_words = _words(text) - _TOKENS_PER_LOWER * _count(text, _LOWER)  # each is a token, however short
    return most_tokens(text) + max(0.0, short_words if text.count(b" ") * 2 < _words(text) else 0.0)


def likely_tokens(messages: Iterable[Message], estimate: int) -> int:
    """Correct the estimate of a long conversation whose bytes are of kinds that it is far off for."""
    most = most_tokens_of(messages)
    return most if most > _UNLIKE_PROSE * estimate else estimate


def may_truncate_answers(messages: Sequence[Message], window: int) -> bool:
    """Whether the first answer may begin beyond the window."""
    return most_tokens_of(_prompt(messages)) + _TOKENS_PER_MESSAGE >= window


def truncates_answers(messages: Sequence[Message], window: int) -> bool:
    """Whether the first answer begins beyond the window, whatever the tokenizer."""
    return sum(least_tokens(message) for message in _prompt(messages)) >= window


def least_tokens(message: Message) -> int:
    """How many tokens a message has at least under any vocabulary: one for each of its words."""
    return _LEAST_PER_MESSAGE + _words(message["content"].encode())


def _words(text: bytes) -> int:
    return (b" " + text.translate(_SPACE_OR_NOT)).count(b" x")


def _prompt(messages: Iterable[Message]) -> Iterator[Message]:
    return takewhile(lambda message: message["role"] != "assistant", messages)


def _dense(message: Message) -> str:
    return _BLANKS.sub("  ", message["content"].replace(_LONG_BLANK, _LONG_BLANK_MARK))
