"""How many tokens the trainer will see, estimated from lengths alone: no tokenizer keeps up with the gate."""

from collections.abc import Sequence

from .conversation import Message

# A message costs its role and separators in the chat template besides its text.
_TOKENS_PER_MESSAGE = 4
_JSON_BYTES_PER_MESSAGE = len('{"role":"user","content":""},') + 2
_ASCII_BYTES_PER_TOKEN = 4.4
_OTHER_BYTES_PER_TOKEN = 2.4


def estimate_tokens(encoded: bytes, turns: int) -> int:
    """Estimate the tokens of one conversation.

    Args:
        encoded: Its messages as compact JSON.
        turns: How many there are.

    Returns:
        Tokens, the chat template's included.
    """
    size = len(encoded) - _JSON_BYTES_PER_MESSAGE * turns
    tokens = _TOKENS_PER_MESSAGE * turns + size / _ASCII_BYTES_PER_TOKEN
    if not encoded.isascii():
        beyond_ascii = len(encoded) - len(encoded.decode())
        tokens += beyond_ascii * (1 / _OTHER_BYTES_PER_TOKEN - 1 / _ASCII_BYTES_PER_TOKEN)
    return int(tokens)


def estimate_prompt_tokens(messages: Sequence[Message]) -> int:
    """Estimate the tokens before the first answer."""
    size, count = 0.0, 0
    for message in messages:
        count += 1
        if message["role"] == "assistant":
            break
        content = message["content"]
        data = content.encode()
        size += len(data) / _ASCII_BYTES_PER_TOKEN
        if not content.isascii():
            beyond_ascii = len(data) - len(content)
            size += beyond_ascii * (1 / _OTHER_BYTES_PER_TOKEN - 1 / _ASCII_BYTES_PER_TOKEN)
    return int(_TOKENS_PER_MESSAGE * count + size)
