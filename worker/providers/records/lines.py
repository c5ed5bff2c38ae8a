"""A report file, line by line: hashed while it is read, decoded strictly, each line bounded."""

import codecs
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from worker.providers.records.port import RAW_LENGTH_MAX, SourceFailed

LINE_BYTES_MAX = 64 * 1024
CHUNK_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Line:
    """One line without its end. `whole`: False when it was too long, and `text` is only its beginning."""

    number: int
    text: str
    whole: bool = True


def file_digest(path: Path) -> str:
    """The SHA-256 of the file, in hexadecimal. Raises SourceFailed."""
    with _opened(path) as file:
        digest = hashlib.sha256()
        while chunk := _readable(path, lambda: file.read(CHUNK_BYTES)):
            digest.update(chunk)
        return digest.hexdigest()


def lines(path: Path, digest: str) -> Iterator[Line]:
    """Every line that is not blank. Raises SourceFailed, also half-way: not UTF-8, or not the file of `digest`."""
    with _opened(path) as file:

        def next_piece() -> bytes:
            return _readable(path, lambda: file.readline(LINE_BYTES_MAX + 1))

        seen, number = hashlib.sha256(), 0
        while raw := next_piece():
            number += 1
            seen.update(raw)
            for more in _rest(raw, next_piece):
                seen.update(more)
            line = _decoded(raw, number, path)
            if not line.whole or line.text.strip(" \t"):
                yield line
        if seen.hexdigest() != digest:
            raise SourceFailed(f"{path.name} was changed while it was read; it is left for the next run")


def _opened(path: Path) -> BinaryIO:
    try:
        if not path.is_file():
            raise SourceFailed(f"{path.name} is not a file")
        return path.open("rb")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a path"
        raise SourceFailed(f"{path.name} cannot be read ({reason})") from None


def _readable(path: Path, read: Callable[[], bytes]) -> bytes:
    try:
        return read()
    except OSError as error:
        raise SourceFailed(f"{path.name} cannot be read ({error.strerror})") from None


def _rest(raw: bytes, next_piece: Callable[[], bytes]) -> Iterator[bytes]:
    """What is left of a line that is too long, in pieces that nobody keeps."""
    piece = raw
    while len(piece) > LINE_BYTES_MAX and not piece.endswith(b"\n"):
        piece = next_piece()
        yield piece


def _decoded(raw: bytes, number: int, path: Path) -> Line:
    if number == 1:
        raw = _without_mark(raw, path)
    if len(raw) > LINE_BYTES_MAX:
        return Line(number, raw[:RAW_LENGTH_MAX].decode("utf-8", "replace"), whole=False)
    try:
        return Line(number, raw.decode("utf-8").rstrip("\r\n"))
    except UnicodeDecodeError:
        raise SourceFailed(f"{path.name}, line {number}: not UTF-8; send the file as UTF-8") from None


def _without_mark(raw: bytes, path: Path) -> bytes:
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise SourceFailed(f"{path.name} is UTF-16; send the file as UTF-8")
    return raw.removeprefix(codecs.BOM_UTF8)
