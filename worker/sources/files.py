"""CSV and JSON lines of any size as a source: a page opens the file, seeks to its cursor and reads no further.

    cursor = {"offset": bytes, "line": lines before it, "size": ..., "mtime_ns": ...}

The file is known by its SHA-256. While its size and its time of change stay what the cursor noted, it is not hashed
again; when they do not, or when a run begins, the digest decides whether it is still the file that was asked for.
"""

import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

from worker.files import opening
from worker.files.digests import equal_rows_of
from worker.files.ids import NO_EQUAL_ROWS, EqualRows
from worker.files.opening import Beginning, FileFormat, opened
from worker.files.reading import Maker, TextLines
from worker.sources.mapping import LegacyMapping
from worker.sources.port import (
    RAW_LENGTH_MAX,
    BadRow,
    Cursor,
    Extent,
    Page,
    Row,
    RowKind,
    SourceChanged,
    SourceFailed,
)
from worker.sources.rows import id_reader, row_maker

State = tuple[int, int, int, int]
"""Device, inode, size and time of change: while they stay, so do the bytes."""


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
        with opened(self._path) as (file, _):
            self._begun(file)

    def header(self) -> str | None:
        """The text that names a CSV file's columns; None for JSON lines. Raises SourceFailed."""
        with opened(self._path) as (file, _):
            return self._begun(file).header

    def size(self) -> int:
        """Its bytes, none of which is read. Raises SourceFailed."""
        with opened(self._path) as (_, stat):
            return stat.st_size

    def extent(self) -> Extent:
        """Hashes the whole file. Raises SourceFailed."""
        with opened(self._path) as (_, stat):
            return Extent(stat.st_size, None, _digest(self._path, stat))

    def page(self, after: Cursor | None, rows_max: int) -> Page:
        """Raises SourceFailed, and SourceChanged when it is another file than the one that the cursor is of."""
        with opened(self._path) as (file, stat):
            self._refuse_change(after, stat)
            begin = self._begun(file)
            reader = begin.reader(_maker(self._mapping, self._kind, self._equal(stat)))
            lines = self._lines(file, begin, after, stat.st_size)
            rows = reader.page(lines, rows_max)
            offset = min(lines.offset, stat.st_size)
            if _state(os.fstat(file.fileno())) != _state(stat):
                raise SourceChanged(f"{self.name} was changed while it was read")
        return Page(
            rows, {"offset": offset, "line": lines.line, **_state(stat)}, offset == stat.st_size, offset
        )

    def _refuse_change(self, after: Cursor | None, stat: os.stat_result) -> None:
        if after is not None and {name: after.get(name) for name in _state(stat)} == _state(stat):
            return
        if (after is not None or self._digest is not None) and _digest(self._path, stat) != self._digest:
            raise SourceChanged(
                f"{self.name} is not the file that the run began with: put that one back and resume, or cancel "
                "and start a run of this one (rows of the same namespace are posted once, whichever file has them)"
            )

    def _begun(self, file: BinaryIO) -> Beginning:
        return _begun(file, self.name, self._format, self._mapping)

    def _equal(self, stat: os.stat_result) -> EqualRows:
        """Found in one reading of the whole file, where its rows have no id; a page alone cannot tell."""
        if not self._mapping.digest_of:
            return NO_EQUAL_ROWS
        return _remembered_equal(
            self._path, self._format, self._mapping.model_dump_json(exclude_none=True), _whole_state(stat)
        )

    def _lines(self, file: BinaryIO, begin: Beginning, after: Cursor | None, size: int) -> TextLines:
        offset, line = (
            (begin.offset, begin.line) if after is None else _place(after, begin.offset, size, self.name)
        )
        file.seek(offset)
        return begin.lines(file, offset, line)


def _begun(file: BinaryIO, name: str, format_: FileFormat, mapping: LegacyMapping) -> Beginning:
    return Beginning(file, name, format_, mapping, mapping.needed, mapping.amounts)


def _maker(mapping: LegacyMapping, kind: RowKind, equal: EqualRows) -> Maker[Row | BadRow]:
    at = {column: number for number, column in enumerate(mapping.needed)}
    row, known_id = row_maker(mapping, kind, at, equal), id_reader(mapping, kind, at, equal)

    def made(cells: Sequence[str], line: int, text: str) -> Row:
        return row(cells, str(line), line, text[:RAW_LENGTH_MAX])

    def bad(cells: Sequence[str] | None, line: int, text: str, code: str, reason: str) -> BadRow:
        row_id = None if cells is None else known_id(cells, line)
        return BadRow(str(line), line, text[:RAW_LENGTH_MAX], code, reason, row_id)

    return Maker(made, bad)


def _place(after: Cursor, first: int, size: int, name: str) -> tuple[int, int]:
    offset, line = after.get("offset"), after.get("line")
    if type(offset) is not int or type(line) is not int or not min(first, size) <= offset <= size:
        raise SourceFailed(f"{name}: the cursor is not one of this file")
    return offset, line


def _state(stat: os.stat_result) -> dict[str, Any]:
    return {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns}


def _whole_state(stat: os.stat_result) -> State:
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns


def _digest(path: Path, stat: os.stat_result) -> str:
    return _remembered_digest(path, _whole_state(stat))


@lru_cache(64)
def _remembered_digest(path: Path, _state_of_file: State) -> str:
    return opening.file_digest(path)


@lru_cache(4)
def _remembered_equal(path: Path, format_: FileFormat, mapping_json: str, _state_of_file: State) -> EqualRows:
    mapping = LegacyMapping.model_validate_json(mapping_json)
    return equal_rows_of(path, format_, mapping, mapping.needed, mapping.amounts)
