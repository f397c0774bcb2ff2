"""What the keys of rows and messages mean: one table that validation, the upload tool and the docs share.

A key that is in none of these lists may change what a row means, so a row that has it is refused until the
uploader allows the key (`ignore_keys`). Keys whose value is null or empty mean nothing.
"""

import re
from typing import Any

# Keys of a row that have no effect on what is trained: identifiers, origins, measures.
_IDENTIFIERS = (
    *("id", "_id", "idx", "index", "uid", "uuid", "guid", "row_id", "prompt_id", "question_id"),
    *("conversation_id", "conv_id", "example_id", "session_id", "hash", "conversation_hash"),
    *("dialog_id", "dialogue_id", "sample_id", "source_id", "dataset_id", "custom_id"),
    *("__index_level_0__", "Unnamed: 0", ""),  # of pandas: an index without a name
)
_ORIGINS = (
    *("source", "data_source", "dataset", "dataset_name", "origin", "url", "license", "author"),
    *("created", "created_at", "timestamp"),
    *("date", "category", "model", "metadata", "meta", "schemaVersion"),
)
_MEASURES = ("score", "num_turns", "turn", "turns", "num_tokens", "n_tokens", "token_count", "length")
HARMLESS_ROW_KEYS = frozenset((*_IDENTIFIERS, *_ORIGINS, *_MEASURES))
# Keys of a message that have no effect here. `name` tells participants apart, which these templates cannot.
HARMLESS_MESSAGE_KEYS = frozenset(
    ("id", "_id", "index", "message_id", "turn_id", "parent_id", "name", "timestamp", "created_at", "date")
)

# Keys of a message as OpenAssistant exports it: one that has `message_id` and `text`.
HARMLESS_OASST_KEYS = frozenset(
    (
        *("user_id", "created_date", "lang", "review_count", "rank", "synthetic", "model_name", "emojis"),
        *("labels", "events", "detoxify", "message_tree_id", "tree_state"),
    )
)
OASST_WEIGHT_KEY = "review_result"  # false: the reviewers turned the message down

# Keys that say how much of a row or an answer is learned. 1 and true, the trainer's own way, mean nothing.
WEIGHT_KEYS = frozenset(
    (
        *("weight", "loss_weight", "loss", "loss_mask"),
        *("train", "train_mask", "trainable", "training", "learn", "train_on_turn"),
    )
)

SYSTEM_KEYS = (
    "system",
    "system_prompt",
    "system_message",
    "preamble",
    "system_instruction",
    "systemInstruction",
)
CONTEXT_KEYS = ("input", "context")
HISTORY_KEYS = ("history", "chat_history")
# A question and its answer in one object, in place of two turns.
PAIR_KEYS = (("input", "output"), ("human", "assistant"), ("user", "assistant"), ("question", "answer"))
ROLE_KEYS = ("role", "from")
CONTENT_KEYS = ("content", "value", "text", "parts", "message")

ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "prompter": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "model": "assistant",
    "chatbot": "assistant",
}
ROLES |= {role.capitalize(): name for role, name in ROLES.items()}
ROLES |= {role.upper(): name for role, name in ROLES.items()}
TOOL_ROLES = frozenset(
    ("tool", "function", "function_call", "observation", "tool_call", "tool_result", "ipython")
)

TOOL_ROW_KEYS = frozenset(
    ["tools", "functions", "tool_choice", "function_call", "tool_calls", "parallel_tool_calls"]
)
TOOL_MESSAGE_KEYS = frozenset(["tool_calls", "tool_call_id", "function_call", "tool_call", "tool_responses"])
# Answers beside each other, of which some are bad: names as TRL, OpenAI, UltraFeedback, HH-RLHF and
# SHP-like datasets have them.
PREFERENCE_KEY = re.compile(
    r"(?:.*_)?(?:chosen|rejected|reject|preferred|preference|winner|loser|worse|better|label|labels)(?:_.*)?"
    r"|(?:response|answer|completion|output|model|conversation|score|rating)s?_(?:[ab]|\d+|j|k)(?:_.*)?"
    r"|(?:win|lose|winning|losing|good|bad|pos|neg|positive|negative)(?:_(?:response|answer|completion|output)s?)?"
    r"|generations|candidates|summaries|(?:in)?correct_answers"
    r"|y_[wl]|human_ref_[AB]|kto_tag|non_preferred_output|margin|ranking|rankings|responses|completions"
)
MEDIA_KEY = re.compile(
    r"(?:.*_)?(?:image|images|img|audio|audios|video|videos|pixel_values|picture|pictures)(?:_(?:path|url|id|file)s?)?"
)
# Text that the model thinks before it answers.
REASONING_KEY = re.compile(
    r"(?:.*_)?(?:reasoning|thinking|thought|thoughts|cot|chain_of_thought)(?:_content)?"
)


def is_empty(value: Any) -> bool:
    """Whether a key's value says as little as the key's absence: null, or an empty text, list or object."""
    return value is None or (isinstance(value, str | list | dict) and not value)


def learns_fully(value: Any) -> bool:
    """Whether a weight asks for what the trainer does anyway, or for nothing; `True` counts as 1."""
    return is_empty(value) or (isinstance(value, bool | int | float) and value == 1)
