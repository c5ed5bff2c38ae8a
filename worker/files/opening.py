"""Opening a file of records: whether it can be read at all, how its lines end, and where its first record is."""

import codecs
import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal

from worker.files.csv_rows import CsvFormat, header_of, quoted_cells
from worker.files.errors import Refused, SourceFailed
from worker.files.jsonl_rows import JsonlFormat
from worker.files.layout import Layout
from worker.files.lines import RECORD_BYTES_MAX, ByteStream, Lines
from worker.files.reading import Format, Maker, Reader, Row, TextLines

FileFormat = Literal["csv", "jsonl"]

UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)
PACKED = {b"\x1f\x8b": "gzip", b"PK\x03\x04": "zip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bzip2"}
HEADER_LINES_MAX = 100
TAIL_BYTES_MAX = 1024 * 1024
CHUNK_BYTES = 1024 * 1024


@contextmanager
def opened(path: Path) -> Iterator[tuple[BinaryIO, os.stat_result]]:
    """The file, and what is known of it. Raises SourceFailed, also for what fails while it is open."""
    with _open(path) as file:
        try:
            yield file, os.fstat(file.fileno())
        except OSError as error:
            raise SourceFailed(f"{path.name} cannot be read ({error.strerror})") from None


def file_digest(path: Path) -> str:
    """The SHA-256 of the file, in hexadecimal. Raises SourceFailed."""
    with opened(path) as (file, _):
        digest = hashlib.sha256()
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
        return digest.hexdigest()


class Beginning:
    """What the first lines say: how lines end, what the columns are, and where the first record is.

    `offset` and `line` are those of what stands before it. Raises SourceFailed.
    """

    def __init__(
        self,
        file: BinaryIO,
        name: str,
        format_: FileFormat,
        layout: Layout,
        needed: Sequence[str],
        amounts: frozenset[str],
    ) -> None:
        head = file.read(RECORD_BYTES_MAX + 2)
        self._layout = layout
        self._end = _line_end(head)
        self.header: str | None = None
        mark = _after_mark(head, layout.encoding, name)
        file.seek(mark)
        lines = self.lines(file, mark, 0)
        for _ in range(layout.skip_lines):
            lines.take()
        if format_ == "jsonl":
            self._format: Format = JsonlFormat(needed, amounts)
        else:
            self.header, names = _header(lines, layout, name)
            header = header_of(names, needed, name)
            self._format = CsvFormat(header, needed, layout.delimiter, quoted=layout.quotes == "csv")
        self.line = lines.line
        self.offset = lines.offset
        self._rows_end = _rows_end(file, self.offset, layout, self._end, name) if layout.skip_last else None

    def lines(self, file: ByteStream, offset: int, line: int) -> TextLines:
        """The lines from where the file stands, which is at `offset`."""
        return TextLines(
            Lines(file, self._end, self._layout.delimiter.encode()), self._layout.encoding, offset, line
        )

    def reader(self, maker: Maker[Row]) -> Reader[Row]:
        return Reader(self._format, maker, self._rows_end)


def _open(path: Path) -> BinaryIO:
    try:
        if not path.is_file():
            raise SourceFailed(f"{path.name} is not a file, or is not there: check path")
        return path.open("rb")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a path"
        raise SourceFailed(f"{path.name} cannot be read ({reason})") from None


def _header(lines: TextLines, layout: Layout, name: str) -> tuple[str, list[str]]:
    """The first record with a name in it. Delimiters at its ends stay: each ends a column, also one without a name."""
    try:
        for _ in range(HEADER_LINES_MAX):
            if (raw := lines.take()) is None:
                break
            text = lines.text(raw)
            if text.replace(layout.delimiter, "").strip():
                return _names(text, raw, lines, layout)
    except Refused as refused:
        raise SourceFailed(f"{name}: the header cannot be read ({refused})") from None
    raise SourceFailed(f"{name} is empty: not even a header")


def _names(text: str, raw: bytes, lines: TextLines, layout: Layout) -> tuple[str, list[str]]:
    text = text.strip(" ") if layout.delimiter == "\t" else text.strip()
    if layout.quotes == "none":
        return text, text.split(layout.delimiter)
    names, text = quoted_cells(text, raw, lines, layout.delimiter, None)
    return text, names


def _after_mark(head: bytes, encoding: str, name: str) -> int:
    """Where the text begins."""
    if head.startswith(UTF16_MARKS):
        raise SourceFailed(f"{name} is UTF-16 or UTF-32: save it as UTF-8")
    for magic, packer in PACKED.items():
        if head.startswith(magic):
            raise SourceFailed(f"{name} is packed with {packer}: unpack it first")
    if not head.startswith(codecs.BOM_UTF8):
        return 0
    if encoding != "utf-8":
        raise SourceFailed(
            f"{name} begins with the mark of UTF-8, and encoding is {encoding}: set encoding = 'utf-8'"
        )
    return len(codecs.BOM_UTF8)


def _line_end(head: bytes) -> bytes:
    """A lone carriage return ends lines only where the first line ends so."""
    returned, fed = head.find(b"\r", 0, len(head) - 1), head.find(b"\n")
    return b"\r" if returned >= 0 and (fed < 0 or fed > returned + 1) else b"\n"


def _rows_end(file: BinaryIO, begins_at: int, layout: Layout, end: bytes, name: str) -> int:
    """Where the last `skip_last` lines with something in them begin: no rows stand there."""
    size = file.seek(0, os.SEEK_END)
    start = max(begins_at, size - TAIL_BYTES_MAX)
    file.seek(start)
    left, at = layout.skip_last, size
    for line in reversed(file.read(TAIL_BYTES_MAX).split(end)):
        at -= len(line)
        if line.strip(b" \t\r\n" + layout.delimiter.encode()):
            left -= 1
        if left == 0 and (at > start or start == begins_at):
            return at
        at -= 1
    if start > begins_at:
        raise SourceFailed(f"{name}: the last lines, which skip_last leaves out, are longer than a MiB")
    return begins_at
