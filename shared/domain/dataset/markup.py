"""Marks in a text of what is no text: turns of chat templates, slots of images, messages as JSON."""

import re

# Phi, Llama 2 and 3, Mistral, Gemma, ChatML, DeepSeek; `<s>` is HTML as well, so it counts at a text's ends
# only.
_MARKUP = re.compile(
    rb"<\|[A-Za-z0-9_]{1,40}\|>|<\xef\xbd\x9c[^<>\"]{1,60}\xef\xbd\x9c>|\[/?INST\]|\[\|(?:Human|AI)\|\]|<</?SYS>>"
    rb"|<(?:start|end)_of_turn>|<(?:[be]os|unk|pad)>"
    rb'|"content":"\s*<s>|</s>\s*"[,}]'
)
# Places of images and sounds, as vision datasets have them: `<audio>` and `<video>` are HTML as well.
_MEDIA_MARK = re.compile(
    rb'(?:"content":"|\\n)<image>(?!<)|"content":"<(?:audio|video)>(?!<)|<(?:image|audio|video)>"[,}]'
    rb"|<img>[^<\"]{1,200}</img>|\]\(data:(?:image|audio|video)/|<image>\\n"
)
_JSON = re.compile(rb'"content":"\s*\[\s*\{\s*\\"(?:role|from|type)\\"\s*:')
# A mark that opens a turn, with the role and the line end after it, or any other mark.
_STRIPPED = re.compile(
    r"<\|(?:im_start|start_header_id)\|>\s*(?:system|user|assistant)?(?:<\|(?:im_sep|end_header_id)\|>)?\s*"
    r"|<start_of_turn>\s*(?:user|model)?\s*"
    r"|\s*(?:<\|[A-Za-z0-9_]{1,40}\|>|<\uff5c[^<>]{1,60}\uff5c>|\[/?INST\]|\[\|(?:Human|AI)\|\]|<</?SYS>>|<end_of_turn>"
    r"|<(?:[be]os|unk|pad)>)\s*|\A\s*<s>\s*|\s*</s>\s*\Z"
)
# How templates of plain words end a question: Alpaca, Vicuna, Anthropic's older API and their like.
_OPEN_TURNS = (
    *("### Response:", "### Assistant:", "### Answer:", "### Output:"),
    *("Assistant:", "ASSISTANT:", "<bot>:"),
)
MAY_END_OPEN = (":", " ", "\n")
"""Ends of a text for which `ends_in_open_turn` is worth its call."""

_LONGEST_END = 24
_PLAIN = re.compile(
    r"\A\s*(?:### (?:Instruction|Human|User|Question):|(?:Human|HUMAN|User|USER):)\s*"
    r"|\s*(?:### (?:Response|Assistant|Answer|Output):|Assistant:|ASSISTANT:|<bot>:)\s*\Z"
)
_INNER_TURN = re.compile(
    r"(?:### (?:Response|Assistant|Instruction|Human):|\n\n(?:Human|Assistant):|ASSISTANT:)"
)


def has_markup(encoded: bytes) -> bool:
    """Whether encoded messages hold marks of a template or of media, or messages as JSON."""
    return bool(_MARKUP.search(encoded) or _MEDIA_MARK.search(encoded) or _JSON.search(encoded))


def ends_in_open_turn(question: str) -> bool:
    """Whether a question ends as a template of plain words does, with the name of who speaks next."""
    end = question[-_LONGEST_END:].rstrip()
    return end.endswith(":") and end.endswith(_OPEN_TURNS)


def find_markup(encoded: bytes) -> str | None:
    """The first mark of a template in encoded messages, or None."""
    found = _MARKUP.search(encoded)
    return found.group().decode().removeprefix('"content":"').rstrip('",}') if found else None


def has_media_mark(encoded: bytes) -> bool:
    """Whether encoded messages hold the place of an image or a sound."""
    return _MEDIA_MARK.search(encoded) is not None


def has_json_messages(encoded: bytes) -> bool:
    """Whether a text is a list of messages, or of their parts, written as JSON."""
    return _JSON.search(encoded) is not None


def strip_markup(text: str) -> str:
    """A text less the marks of templates, and the roles that go with them."""
    return _STRIPPED.sub("", text).strip()


def strip_open_turn(question: str) -> str | None:
    """A question less the words of a template around it; None if there are more turns within."""
    stripped = _PLAIN.sub("", question).strip()
    return None if _INNER_TURN.search(stripped) else stripped
