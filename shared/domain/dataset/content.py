"""A file's bytes as they were before compression, within the limits of size and expansion."""

import zlib
from collections.abc import Iterable, Iterator

import zstandard

from .codes import Code
from .rules import ValidationRules

_PIECE = 256 * 1024
_GZIP = 16 + zlib.MAX_WBITS
_ZSTD_WINDOW = 1 << 27  # 128 MiB, what `zstd --ultra` needs at most without `--long`
# The decoder takes no limit on its output, and four bytes may stand for 128 KiB: so it is fed so little at a
# time that no more than 8 MiB come out of it at once.
_ZSTD_SLICE = 256
_FREE_EXPANSION = 16 << 20  # small files may expand as they like


class FileFaultError(Exception):
    """A file cannot be read to its end. Ends the reading of that file and is reported as an issue."""

    retryable = False

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code


class FileContent:
    """One pass over a file's content; counts both sides of the decompression."""

    def __init__(self, name: str, chunks: Iterable[bytes], rules: ValidationRules) -> None:
        """Choose the decompression by the file's name: `.gz`, `.zst` or none.

        Args:
            name: The file's name.
            chunks: Its bytes as they were uploaded.
            rules: For the limits.
        """
        self._name = name
        self._chunks = chunks
        self._rules = rules
        self.uploaded_bytes = 0
        self.bytes = 0

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
        for piece in pieces:
            self.bytes += len(piece)
            self._check_limits()
            yield piece

    def _counted(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self.uploaded_bytes += len(chunk)
            yield chunk

    def _check_limits(self) -> None:
        limit = self._rules.max_uncompressed_bytes
        if self.bytes > limit:
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
    for chunk in chunks:
        data = chunk
        while data := data.lstrip(b"\0") if ended and not begun else data:  # `gzip` takes padding, too
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
                data = decoder.unused_data
                decoder = zlib.decompressobj(_GZIP)
                begun, ended = False, True
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
