"""Report files as sources of records: CSV and JSON lines, one row a line, bounded in memory whatever the file's size.

A row is one line: a quoted line break makes bad rows of its parts. Blank lines are no rows.
"""

import csv
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from worker.providers.records.adyen import SettlementRows
from worker.providers.records.cells import Unreadable, kept
from worker.providers.records.columns import ColumnMap, FileFormat
from worker.providers.records.exact_json import exact_decoder
from worker.providers.records.generic import GenericRows
from worker.providers.records.lines import LINE_BYTES_MAX, Line, file_digest, lines
from worker.providers.records.port import BadRow, Record, SourceFailed, Window

MISSING_NAMED_MAX = 5


class Rows(Protocol):
    """What makes records of one file's rows."""

    @property
    def needed(self) -> tuple[str, ...]:
        """The columns that the file must have."""

    def record(self, row: Mapping[str, str], line: int) -> Record:
        """The record of a row. Raises Unreadable."""


class FileSource:
    """One report file. It is taken as a whole: `read` gives every row, also those outside of the window."""

    def __init__(self, format_: FileFormat, path: Path, columns: ColumnMap | None, zone: ZoneInfo) -> None:
        if (columns is None) != (format_ == "adyen_settlement"):
            raise ValueError("the formats csv and jsonl need columns, and adyen_settlement takes none")
        self._format = format_
        self._path = path
        self._columns = columns
        self._zone = zone

    @property
    def name(self) -> str:
        return self._path.name

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of the file's bytes, in hexadecimal: the same file is known by it. Raises SourceFailed."""
        return file_digest(self._path)

    def read(self, window: Window) -> Iterator[Record | BadRow]:  # noqa: ARG002 - whole, see above
        """Every row, in order. Raises SourceFailed: no header, not UTF-8, or changed since `digest` was told."""
        rows = GenericRows(self._columns, self._zone) if self._columns else SettlementRows(self._zone)
        found = lines(self._path, self.digest)
        if self._format == "jsonl":
            return _jsonl(found, rows)
        return _csv(found, rows, self._columns.delimiter if self._columns else ",", self.name)


def _csv(found: Iterator[Line], rows: Rows, delimiter: str, name: str) -> Iterator[Record | BadRow]:
    header = _header(found, rows.needed, delimiter, name)
    width, at = len(header), {column: header.index(column) for column in rows.needed}
    for line in found:
        yield _made(line, lambda line: rows.record(_named(_cells(line, delimiter), width, at), line.number))


def _made(line: Line, read: Callable[[Line], Record]) -> Record | BadRow:
    try:
        return read(line)
    except Unreadable as reason:
        return BadRow(line.number, kept(line.text), str(reason))


def _named(cells: list[str], width: int, at: Mapping[str, int]) -> dict[str, str]:
    if len(cells) != width:
        raise Unreadable(f"{len(cells)} columns, the header has {width}")
    return {column: cells[i].strip() for column, i in at.items()}


def _header(found: Iterator[Line], needed: tuple[str, ...], delimiter: str, name: str) -> list[str]:
    try:
        header = [cell.strip() for cell in _cells(next(found), delimiter)]
    except StopIteration:
        raise SourceFailed(f"{name} is empty: not even a header") from None
    except Unreadable as reason:
        raise SourceFailed(f"{name}: the header cannot be read ({reason})") from None
    if missing := [column for column in needed if column not in header]:
        shown = ", ".join(missing[:MISSING_NAMED_MAX])
        more = f" and {len(missing) - MISSING_NAMED_MAX} more" if len(missing) > MISSING_NAMED_MAX else ""
        raise SourceFailed(f"{name}: the header lacks {shown}{more}")
    if twice := [column for column in needed if header.count(column) > 1]:
        raise SourceFailed(f"{name}: the header has {twice[0]} twice")
    return header


def _cells(line: Line, delimiter: str) -> list[str]:
    _refuse_damaged(line)
    try:
        return next(csv.reader([line.text], delimiter=delimiter, strict=True))
    except csv.Error:
        raise Unreadable("not CSV: a quote or a line break stands where none may") from None


def _refuse_damaged(line: Line) -> None:
    if not line.whole:
        raise Unreadable(f"longer than {LINE_BYTES_MAX} bytes")
    if "\x00" in line.text:
        raise Unreadable("a NUL character is in it")


def _jsonl(found: Iterator[Line], rows: Rows) -> Iterator[Record | BadRow]:
    for line in found:
        yield _made(line, lambda line: rows.record(_fields(_json_object(line), rows.needed), line.number))


def _fields(value: dict[str, Any], needed: tuple[str, ...]) -> dict[str, str]:
    return {column: _field(value, column) for column in needed}


def _json_object(line: Line) -> dict[str, Any]:
    _refuse_damaged(line)
    try:
        value = _decode(line.text)
    except (ValueError, RecursionError):
        raise Unreadable("not JSON, or a key stands twice in it") from None
    if not isinstance(value, dict):
        raise Unreadable("not a JSON object")
    return value


def _field(value: dict[str, Any], column: str) -> str:
    """The text or number at `a.b`; empty when it is missing or null. Raises Unreadable for anything else."""
    found: Any = value
    for name in [column] if column in value else column.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    if found is None:
        return ""
    if not isinstance(found, str):
        raise Unreadable(f"{column} is neither a text nor a number")
    return found.strip()


_decode = exact_decoder(str)
