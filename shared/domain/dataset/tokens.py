"""How many tokens the trainer will see, estimated from lengths alone: no tokenizer keeps up with the gate.

The ratios were fitted to the tokenizers of GPT-4 (cl100k, extended by Phi-4) and Llama 2 (used by Phi-3);
`docs/dataset-rules.md` gives the error on several kinds of text.
"""

from collections.abc import Iterable

from .conversation import Message

# A message costs its role and separators in the chat template besides its text.
_TOKENS_PER_MESSAGE = 4
_JSON_BYTES_PER_MESSAGE = len('{"content":"","role":"user"},') + 2
_BYTES_PER_TOKEN = 4
# For each byte of UTF-8 that a character takes beyond its first.
_TOKENS_PER_EXTRA_BYTE = 0.15


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


def estimate_prompt_tokens(messages: Iterable[Message]) -> int:
    """Estimate the tokens before the first answer."""
    tokens = 0.0
    for message in messages:
        tokens += _TOKENS_PER_MESSAGE
        if message["role"] == "assistant":
            break
        text = message["content"]
        size = len(text.encode())
        tokens += size / _BYTES_PER_TOKEN + _TOKENS_PER_EXTRA_BYTE * (size - len(text))
    return int(tokens)
