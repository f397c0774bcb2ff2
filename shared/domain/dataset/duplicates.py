"""Remembers which conversations were seen before, in bounded memory at any number of rows."""

from array import array
from typing import NamedTuple

_FLAGS = 0b111  # the low bits of a slot say in which files a conversation was seen
_TAG = (1 << 64) - 1 - _FLAGS
_FIRST_SLOTS = 1 << 10
_MOST_SLOTS = 1 << 21  # 16 MiB
# Slots looked at for one digest: more than chance ever needs, and a bound on rows that were made to collide.
_MOST_PROBES = 1_024
_EMPTY = array("Q", [0])  # to be repeated: an array made of bytes would need its size twice for a moment


class SeenState(NamedTuple):
    """The table's content, to be written down."""

    slots: bytes
    sampled: int


class SeenConversations:
    """An open-addressing table of 61-bit digests: 11 to 22 bytes a row, 16 MiB at most.

    Once a million and a half conversations fill it, one in two is remembered, later one in four, and so on:
    chosen
    by the digest, so that copies are either all compared or all passed over.

    A false match among a million different conversations has a probability of 2e-7; it would cost a wrong
    warning, never a row.
    """

    def __init__(self, most_slots: int = _MOST_SLOTS) -> None:
        self._most_slots = most_slots
        self._slots = _EMPTY * _FIRST_SLOTS
        self._shift = 64 - _FIRST_SLOTS.bit_length() + 1
        self._room = _FIRST_SLOTS * 3 // 4
        self._passed_over = 0  # the bits that are 0 in the digests of those that are compared
        self.sampled = 1
        """One conversation in so many is compared with the others."""

    def add(self, digest: int, flag: int) -> int:
        """Note that a conversation occurs in a file.

        Args:
            digest: 64 well-mixed bits of the conversation's content.
            flag: 1, 2 or 4, one for each file.

        Returns:
            The flags of the files in which it was seen before, 0 if in none.
        """
        if digest & self._passed_over:
            return 0
        slots = self._slots
        tag = digest & _TAG
        index = digest >> self._shift
        probes = 0
        while slot := slots[index]:
            if slot & _TAG == tag:
                if not slot & flag:
                    slots[index] = slot | flag
                return slot & _FLAGS
            index = (index + 1) % len(slots)
            probes += 1
            if probes > _MOST_PROBES:
                return 0
        slots[index] = tag | flag
        self._room -= 1
        if not self._room:
            self._make_room()
        return 0

    @property
    def state(self) -> SeenState:
        """What `restore` takes."""
        return SeenState(self._slots.tobytes(), self.sampled)

    def restore(self, state: SeenState) -> None:
        """Go on with a table that was written down."""
        self._slots = array("Q")
        self._slots.frombytes(state.slots)
        self._set_sampled(state.sampled)
        self._shift = 64 - len(self._slots).bit_length() + 1
        self._room = max(1, len(self._slots) * 3 // 4 - sum(map(bool, self._slots)))

    def _set_sampled(self, sampled: int) -> None:
        self.sampled = sampled
        self._passed_over = (sampled - 1) << _FLAGS.bit_length()

    def _make_room(self) -> None:
        old = self._slots
        size = min(2 * len(old), self._most_slots)
        self._slots = slots = _EMPTY * size
        self._shift = shift = 64 - size.bit_length() + 1
        self._room = size * 3 // 4
        last = size - 1
        if size == len(old):
            self._set_sampled(2 * self.sampled)
        passed_over = self._passed_over
        for slot in old:
            if slot and not slot & passed_over:
                index = slot >> shift
                while slots[index]:
                    index = (index + 1) & last
                slots[index] = slot
                self._room -= 1
