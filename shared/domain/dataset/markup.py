"""Marks of chat templates in a text: tokenizers take them for the marks themselves, wherever they stand."""

import re

# Phi, Llama 2 and 3, Mistral, Gemma, ChatML; `<s>` is HTML as well, so it counts at a text's ends only.
_MARKUP = re.compile(
    rb"<\|[A-Za-z0-9_]{1,40}\|>|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>|<[be]os>"
    rb'|"content":"\s*<s>|</s>\s*"[,}]'
)
# Places of images and sounds, alone on a line as vision datasets have them.
_MEDIA_MARK = re.compile(rb'(?:"content":"|\\n)<(?:image|audio|video)>(?:\\n|"[,}])')
# A mark that opens a turn, with the role and the line end after it, or any other mark.
_STRIPPED = re.compile(
    r"<\|(?:im_start|start_header_id)\|>\s*(?:system|user|assistant)?(?:<\|(?:im_sep|end_header_id)\|>)?\s*"
    r"|<start_of_turn>\s*(?:user|model)?\s*"
    r"|\s*(?:<\|[A-Za-z0-9_]{1,40}\|>|\[/?INST\]|<</?SYS>>|<end_of_turn>|<[be]os>)\s*|\A\s*<s>\s*|\s*</s>\s*\Z"
)


def has_markup(encoded: bytes) -> bool:
    """Whether encoded messages hold marks of a template or of media."""
    return bool(_MARKUP.search(encoded) or _MEDIA_MARK.search(encoded))


def find_markup(encoded: bytes) -> str | None:
    """The first mark of a template in encoded messages, or None."""
    found = _MARKUP.search(encoded)
    return found.group().decode().removeprefix('"content":"').rstrip('",}') if found else None


def has_media_mark(encoded: bytes) -> bool:
    """Whether encoded messages hold the place of an image or a sound."""
    return _MEDIA_MARK.search(encoded) is not None


def strip_markup(text: str) -> str:
    """A text less the marks of templates, and the roles that go with them."""
    return _STRIPPED.sub("", text).strip()
