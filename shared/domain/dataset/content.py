"""A file's bytes as they were before compression, within the limits of size and expansion."""

import zlib
from collections.abc import Iterable, Iterator

import zstandard

from .codes import Code
from .file_kind import SNIFFED, foreign_kind
from .rules import ValidationRules

_PIECE = 256 * 1024
_GZIP = 16 + zlib.MAX_WBITS
_ZSTD_WINDOW = 1 << 27  # 128 MiB, what `zstd --ultra` needs at most without `--long`
# The decoder takes no limit on its output, and four bytes may stand for 128 KiB: so it is fed so little at a
# time that no more than 8 MiB come out of it at once.
_ZSTD_SLICE = 256
_FIRST_SLICE = 512  # bytes of a gzip member that are fed first; twice as many each time after
_FREE_EXPANSION = 16 << 20  # small files may expand as they like


class FileFaultError(Exception):
    """A file cannot be read to its end. Ends the reading of that file and is reported as an issue."""

    retryable = False

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code


def is_compressed(name: str) -> bool:
    """Whether a file of that name is decompressed while it is read."""
    return name.lower().endswith((".gz", ".zst"))


class FileContent:
    """One pass over a file's content; counts both sides of the decompression."""

    def __init__(
        self, name: str, chunks: Iterable[bytes], rules: ValidationRules, resumed_at: int = 0
    ) -> None:
        """Choose the decompression by the file's name: `.gz`, `.zst` or none, in upper or lower case.

        Args:
            name: The file's name.
            chunks: Its bytes as they were uploaded; if it is not compressed, from `resumed_at` on.
            rules: For the limits.
            resumed_at: Bytes of the content that were read before.
        """
        self._name = name.lower()
        self._chunks = chunks
        self._rules = rules
        self._skipped = resumed_at if is_compressed(name) else 0
        self.uploaded_bytes = resumed_at - self._skipped
        self.bytes = resumed_at - self._skipped

    def __iter__(self) -> Iterator[bytes]:
        """Yield the content in pieces.

        Raises:
            FileFaultError: The compressed data are damaged, or a limit is passed.
        """
        if self._name.endswith(".gz"):
            pieces = _gunzip(self._counted())
        elif self._name.endswith(".zst"):
            pieces = _unzstd(self._counted())
        else:
            pieces = self._counted()
        for piece in self._checked(pieces):
            self.bytes += len(piece)
            self._check_limits()
            if self._skipped:
                self._skipped, piece = max(0, self._skipped - len(piece)), piece[self._skipped :]  # noqa: PLW2901
            yield piece

    def _checked(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """The same bytes, once their beginning is not that of another kind of file."""
        rest = iter(pieces)
        if self.bytes == 0:
            start = next(rest, b"")
            while len(start) < SNIFFED and (piece := next(rest, None)) is not None:
                start += piece
            if kind := foreign_kind(start[:SNIFFED]):
                raise FileFaultError(Code.ANOTHER_KIND, f"the file {kind}")
            yield start
            del start  # a piece may have megabytes
        yield from rest

    def _counted(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self.uploaded_bytes += len(chunk)
            yield chunk

    def _check_limits(self) -> None:
        limit = self._rules.max_uncompressed_bytes
        if is_compressed(self._name):
            limit = min(limit, self._rules.max_compressed_content_bytes)
        if max(self.bytes, self.uploaded_bytes) > limit:
            raise FileFaultError(
                Code.FILE_TOO_LARGE, f"the file has more than {limit:,} bytes; upload a smaller one"
            )
        if self.bytes > _FREE_EXPANSION + self.uploaded_bytes * self._rules.max_expansion:
            times = self._rules.max_expansion
            raise FileFaultError(
                Code.EXPANDS_TOO_MUCH,
                f"the file expands to more than {times} times its size; upload it uncompressed",
            )


def _gunzip(chunks: Iterable[bytes]) -> Iterator[bytes]:
    decoder = zlib.decompressobj(_GZIP)
    begun = ended = False
    size = _FIRST_SLICE
    for chunk in chunks:
        start = 0
        while start < len(chunk):
            # What follows a member is copied when it ends, so no more than its own size is fed at once.
            data = chunk[start : start + size]
            start += len(data)
            if ended and not begun:
                data = data.lstrip(b"\0")  # `gzip` takes padding, too
            while data:
                begun = True
                try:
                    piece = decoder.decompress(data, _PIECE)
                except zlib.error as error:
                    raise FileFaultError(
                        Code.CORRUPT_COMPRESSION, f"the gzip data are damaged: {error}"
                    ) from error
                if piece:
                    yield piece
                data = decoder.unconsumed_tail
                if decoder.eof:  # a gzip file may consist of several members
                    start -= len(decoder.unused_data)
                    data = b""
                    decoder = zlib.decompressobj(_GZIP)
                    begun, ended, size = False, True, _FIRST_SLICE
                elif not data:
                    size = min(2 * size, _PIECE)
    if begun:
        raise FileFaultError(Code.CORRUPT_COMPRESSION, "the gzip data end too early; upload the file again")


def _unzstd(chunks: Iterable[bytes]) -> Iterator[bytes]:
    decompressor = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
    decoder = decompressor.decompressobj()
    begun = False
    held: list[bytes] = []
    size = 0
    for piece in _slices(chunks):
        data = piece
        while data:
            begun = True
            try:
                held.append(decoder.decompress(data))
            except zstandard.ZstdError as error:
                raise FileFaultError(Code.CORRUPT_COMPRESSION, _zstd_message(error)) from error
            size += len(held[-1])
            data = b""
            if decoder.eof:  # a zstd file may consist of several frames
                data = decoder.unused_data
                decoder = decompressor.decompressobj()
                begun = bool(data)
        if size >= _PIECE:
            yield b"".join(held)
            held.clear()
            size = 0
    if held:
        yield b"".join(held)
    if begun:
        raise FileFaultError(Code.CORRUPT_COMPRESSION, "the zstd data end too early; upload the file again")


def _zstd_message(error: zstandard.ZstdError) -> str:
    if "too much memory" in str(error):
        most = _ZSTD_WINDOW >> 20
        return f"the zstd data need a window of more than {most} MiB; compress them without --long"
    return f"the zstd data are damaged: {error}"


def _slices(chunks: Iterable[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        for start in range(0, len(chunk), _ZSTD_SLICE):
            yield chunk[start : start + _ZSTD_SLICE]
