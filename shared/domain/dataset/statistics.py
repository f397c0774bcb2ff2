"""Running figures of the rows that were kept."""

from typing import NamedTuple

from .report import Bucket, TokenSummary

_MOST_TURNS = 32  # longer conversations share the last bucket


class StatisticsState(NamedTuple):
    """The figures so far, to be written down."""

    turns: list[int]
    most_turns: int
    tokens: list[int]
    longest: int
    total: int
    truncated_rows: int
    truncated_tokens: int


class Statistics:
    """Turns and tokens per row, in fixed memory."""

    def __init__(self, context_window: int) -> None:
        self._window = context_window
        self._turns = [0] * (_MOST_TURNS + 1)
        self._most_turns = 0
        self._tokens = [0] * 65  # by bit length
        self._longest = 0
        self._total = 0
        self._truncated_rows = 0
        self._truncated_tokens = 0

    def add(self, turns: int, tokens: int) -> None:
        """Count one row."""
        self._turns[turns if turns < _MOST_TURNS else _MOST_TURNS] += 1
        self._tokens[tokens.bit_length()] += 1
        self._total += tokens
        if turns >= _MOST_TURNS:
            self._most_turns = max(self._most_turns, turns)
        if tokens > self._longest:  # noqa: PLR1730 - calling max() for each row would cost 1 % of the time
            self._longest = tokens
        if tokens > self._window:
            self._truncated_rows += 1
            self._truncated_tokens += tokens - self._window

    @property
    def state(self) -> StatisticsState:
        """What `restore` takes."""
        return StatisticsState(
            self._turns,
            self._most_turns,
            self._tokens,
            self._longest,
            self._total,
            self._truncated_rows,
            self._truncated_tokens,
        )

    def restore(self, state: StatisticsState) -> None:
        """Go on with figures that were written down."""
        turns, self._most_turns, tokens, self._longest, self._total, rows, truncated = state
        self._turns, self._tokens = list(turns), list(tokens)
        self._truncated_rows, self._truncated_tokens = rows, truncated

    @property
    def tokens(self) -> TokenSummary:
        """Estimated tokens of all rows."""
        return TokenSummary(
            total=self._total,
            longest_row=self._longest,
            context_window=self._window,
            truncated_rows=self._truncated_rows,
            truncated_tokens=self._truncated_tokens,
        )

    @property
    def turns_per_row(self) -> list[Bucket]:
        """Rows by their number of messages."""
        buckets = [Bucket(turns, turns, rows) for turns, rows in enumerate(self._turns) if rows]
        if buckets and buckets[-1].low == _MOST_TURNS:
            buckets[-1] = Bucket(_MOST_TURNS, self._most_turns, buckets[-1].rows)
        return buckets

    @property
    def tokens_per_row(self) -> list[Bucket]:
        """Rows by their estimated tokens, in powers of two."""
        return [
            Bucket(1 << bits >> 1, (1 << bits) - 1, rows) for bits, rows in enumerate(self._tokens) if rows
        ]
