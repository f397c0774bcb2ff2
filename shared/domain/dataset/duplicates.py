"""Remembers which conversations were seen before, in a few bytes each."""

from array import array

_FLAGS = 0b111  # the low bits of a slot say in which files a conversation was seen
_TAG = (1 << 64) - 1 - _FLAGS
_FIRST_SLOTS = 1 << 10
_EMPTY = array("Q", [0])  # to be repeated: an array made of bytes would need its size twice for a moment


class SeenConversations:
    """An open-addressing table of 61-bit digests: 11 to 22 bytes a row, 32 while it grows.

    A false match among a million different conversations has a probability of 2e-7, among a billion of 0.2;
    it would cost a wrong warning, never a row.
    """

    def __init__(self) -> None:
        self._slots = _EMPTY * _FIRST_SLOTS
        self._shift = 64 - _FIRST_SLOTS.bit_length() + 1
        self._room = _FIRST_SLOTS * 3 // 4

    def add(self, digest: int, flag: int) -> int:
        """Note that a conversation occurs in a file.

        Args:
            digest: 64 well-mixed bits of the conversation's content.
            flag: 1, 2 or 4, one for each file.

        Returns:
            The flags of the files in which it was seen before, 0 if in none.
        """
        slots = self._slots
        tag = digest & _TAG
        index = digest >> self._shift
        while slot := slots[index]:
            if slot & _TAG == tag:
                if not slot & flag:
                    slots[index] = slot | flag
                return slot & _FLAGS
            index = (index + 1) % len(slots)
        slots[index] = tag | flag
        self._room -= 1
        if not self._room:
            self._grow()
        return 0

    def _grow(self) -> None:
        old = self._slots
        size = 2 * len(old)
        self._slots = slots = _EMPTY * size
        self._shift -= 1
        shift, last = self._shift, size - 1
        for slot in old:
            if slot:
                index = slot >> shift
                while slots[index]:
                    index = (index + 1) & last
                slots[index] = slot
        self._room = size * 3 // 4 - len(old) * 3 // 4
