"""CSV and JSON lines of any size as a source: a page opens the file, seeks to its cursor and reads no further.

    cursor = {"offset": bytes, "line": lines before it, "size": ..., "mtime_ns": ...}

The file is known by its SHA-256. While its size and its time of change stay what the cursor noted, it is not hashed
again; when they do not, or when a run begins, the digest decides whether it is still the file that was asked for.
"""

import codecs
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, Literal

from worker.providers.records import lines as report_lines
from worker.providers.records.lines import LINE_BYTES_MAX
from worker.providers.records.port import SourceFailed as ReportFailed
from worker.sources.cells import Refused
from worker.sources.csv_rows import CsvFormat, header_of
from worker.sources.jsonl_rows import JsonlFormat
from worker.sources.lines import Lines
from worker.sources.mapping import LegacyMapping
from worker.sources.port import Cursor, Extent, Page, RowKind, SourceChanged, SourceFailed
from worker.sources.reading import FileRows, TextLines
from worker.sources.rows import id_reader, row_maker

FileFormat = Literal["csv", "jsonl"]

UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)
PACKED = {b"\x1f\x8b": "gzip", b"PK\x03\x04": "zip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bzip2"}
HEADER_LINES_MAX = 100


class FileSource:
    """Rows of one file. `digest`: what it must be, where a run has noted it before."""

    def __init__(
        self,
        path: Path,
        format_: FileFormat,
        mapping: LegacyMapping,
        kind: RowKind,
        digest: str | None = None,
    ) -> None:
        self._path = path
        self._format = format_
        self._mapping = mapping
        self._kind = kind
        self._digest = digest

    @property
    def name(self) -> str:
        return self._path.name

    def check(self) -> None:
        """Raises SourceFailed when it cannot be read as the mapping says: missing, packed, UTF-16, a wrong header."""
        with self._opened() as (file, _):
            self._begun(file)

    def header(self) -> str | None:
        """The line that names a CSV file's columns; None for JSON lines. Raises SourceFailed."""
        with self._opened() as (file, _):
            return self._begun(file).header

    def size(self) -> int:
        """Its bytes, none of which is read. Raises SourceFailed."""
        with self._opened() as (_, stat):
            return stat.st_size

    def extent(self) -> Extent:
        """Hashes the whole file. Raises SourceFailed."""
        with self._opened() as (_, stat):
            return Extent(stat.st_size, None, _digest(self._path, stat))

    def page(self, after: Cursor | None, rows_max: int) -> Page:
        """Raises SourceFailed, and SourceChanged when it is another file than the one that the cursor is of."""
        with self._opened() as (file, stat):
            self._refuse_change(after, stat)
            begin = self._begun(file)
            lines = self._lines(file, begin, after, stat.st_size)
            rows = begin.rows.page(lines, rows_max)
            offset = min(lines.offset, stat.st_size)
            if _state(os.fstat(file.fileno())) != _state(stat):
                raise SourceChanged(f"{self.name} was changed while it was read")
        return Page(
            rows, {"offset": offset, "line": lines.line, **_state(stat)}, offset == stat.st_size, offset
        )

    @contextmanager
    def _opened(self) -> Iterator[tuple[BinaryIO, os.stat_result]]:
        with self._open() as file:
            try:
                yield file, os.fstat(file.fileno())
            except OSError as error:
                raise SourceFailed(f"{self.name} cannot be read ({error.strerror})") from None

    def _open(self) -> BinaryIO:
        try:
            if not self._path.is_file():
                raise SourceFailed(f"{self.name} is not a file, or is not there: check path")
            return self._path.open("rb")
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not a path"
            raise SourceFailed(f"{self.name} cannot be read ({reason})") from None

    def _refuse_change(self, after: Cursor | None, stat: os.stat_result) -> None:
        if after is not None and {name: after.get(name) for name in _state(stat)} == _state(stat):
            return
        if (after is not None or self._digest is not None) and _digest(self._path, stat) != self._digest:
            raise SourceChanged(
                f"{self.name} is not the file that the run began with: put that one back and resume, or cancel "
                "and start a run of this one (rows of the same namespace are posted once, whichever file has them)"
            )

    def _begun(self, file: BinaryIO) -> "_Beginning":
        return _Beginning(file, self.name, self._format, self._mapping, self._kind)

    def _lines(self, file: BinaryIO, begin: "_Beginning", after: Cursor | None, size: int) -> TextLines:
        offset, line = (
            (begin.offset, begin.line) if after is None else _place(after, begin.offset, size, self.name)
        )
        file.seek(offset)
        return TextLines(Lines(file, begin.end), self._mapping.encoding, offset, line)


class _Beginning:
    """What the first lines say: how lines end, what the columns are, and where the first record is."""

    def __init__(
        self, file: BinaryIO, name: str, format_: FileFormat, mapping: LegacyMapping, kind: RowKind
    ) -> None:
        head = file.read(LINE_BYTES_MAX + 2)
        self.offset, self.line = _after_mark(head, mapping.encoding, name), 0
        self.end = _line_end(head)
        needed = mapping.needed
        at = {column: number for number, column in enumerate(needed)}
        row, known_id = row_maker(mapping, kind, at), id_reader(mapping, kind, at)
        self.header: str | None = None
        if format_ == "jsonl":
            columns = mapping.columns
            amounts = {columns.amount, columns.credit, columns.debit} - {None}
            self.rows = FileRows(JsonlFormat(needed, frozenset(map(str, amounts))), row, known_id)
            return
        file.seek(self.offset)
        lines = TextLines(Lines(file, self.end), mapping.encoding, self.offset, 0)
        self.header = _header_line(lines, mapping.delimiter, name)
        header = header_of(self.header, needed, mapping.delimiter, name)
        self.offset, self.line = lines.offset, lines.line
        self.rows = FileRows(CsvFormat(header, needed, mapping.delimiter), row, known_id)


def _header_line(lines: TextLines, delimiter: str, name: str) -> str:
    """The first line with a name in it. Delimiters at its ends stay: each ends a column, also one without a name."""
    for _ in range(HEADER_LINES_MAX):
        if (raw := lines.take()) is None:
            break
        try:
            text = lines.text(raw)
        except Refused as refused:
            raise SourceFailed(f"{name}: the header cannot be read ({refused})") from None
        if text.replace(delimiter, "").strip():
            return text.strip(" ") if delimiter == "\t" else text.strip()
    raise SourceFailed(f"{name} is empty: not even a header")


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


def _place(after: Cursor, first: int, size: int, name: str) -> tuple[int, int]:
    offset, line = after.get("offset"), after.get("line")
    if type(offset) is not int or type(line) is not int or not min(first, size) <= offset <= size:
        raise SourceFailed(f"{name}: the cursor is not one of this file")
    return offset, line


def _state(stat: os.stat_result) -> dict[str, Any]:
    return {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns}


def _digest(path: Path, stat: os.stat_result) -> str:
    return _remembered_digest(path, stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns)


@lru_cache(64)
def _remembered_digest(path: Path, *_state_of_file: int) -> str:
    try:
        return report_lines.file_digest(path)
    except ReportFailed as failed:
        raise SourceFailed(str(failed)) from None
