"""OpenAssistant's conversations: a thread is a list of messages, a tree has the replies within each.

Source: LAION-AI/Open-Assistant, oasst-data/README.md.
"""

from typing import Any


class BranchError(ValueError):
    """A message has several replies, so that the tree holds several conversations. Becomes a finding."""

    retryable = False


def thread(value: Any) -> Any:
    """The messages of a thread, or of a tree without branches, in order; anything else as it is.

    Raises:
        BranchError: Naming the message that has several replies.
    """
    if isinstance(value, list):
        return [_message(turn) for turn in value]
    turns: list[Any] = []
    node = value
    while isinstance(node, dict):
        replies = node.get("replies") or []
        turns.append(_message({key: item for key, item in node.items() if key != "replies"}))
        if not isinstance(replies, list):
            return value
        if len(replies) > 1:
            raise BranchError(f"message {len(turns)} has {len(replies)} replies")
        node = replies[0] if replies else None
    return turns if turns and node is None else value


def _message(turn: Any) -> Any:
    """A message less what says nothing: that nobody has deleted it."""
    if isinstance(turn, dict) and turn.get("deleted") is False:
        return {key: value for key, value in turn.items() if key != "deleted"}
    return turn
