"""Report files as sources of records: CSV and JSON lines, read once from end to end, in bounded memory."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, Protocol
from zoneinfo import ZoneInfo

from worker.files.cells import kept
from worker.files.digests import equal_rows_of
from worker.files.errors import SourceFailed
from worker.files.ids import NO_EQUAL_ROWS, EqualRows
from worker.files.layout import Layout
from worker.files.opening import CHUNK_BYTES, Beginning, FileFormat, file_digest, opened
from worker.files.reading import Maker
from worker.providers.records.adyen import SettlementRows
from worker.providers.records.columns import ColumnMap, ReportFormat
from worker.providers.records.generic import GenericRows
from worker.providers.records.port import BadRow, Record, Window

PLAIN = Layout()
"""How Adyen writes its reports."""


class Rows(Protocol):
    """What makes records of one file's rows."""

    @property
    def needed(self) -> tuple[str, ...]:
        """The columns that the file must have."""

    def record(self, row: Mapping[str, str], line: int) -> Record:
        """The record of a row, whose cells come in the order of `needed`. Raises Unreadable."""


class FileSource:
    """One report file. It is taken as a whole: `read` gives every row, also those outside of the window."""

    def __init__(
        self,
        format_: ReportFormat,
        path: Path,
        columns: ColumnMap | None,
        zone: ZoneInfo,
        *,
        is_bank: bool = False,
    ) -> None:
        if (columns is None) != (format_ == "adyen_settlement"):
            raise ValueError("the formats csv and jsonl need columns, and adyen_settlement takes none")
        self._format = format_
        self._path = path
        self._columns = columns
        self._zone = zone
        self._is_bank = is_bank

    @property
    def name(self) -> str:
        return self._path.name

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of the file's bytes, in hexadecimal: the same file is known by it. Raises SourceFailed."""
        return file_digest(self._path)

    def read(self, window: Window) -> Iterator[Record | BadRow]:  # noqa: ARG002 - whole, see above
        """Every row, in order. Raises SourceFailed: no header, packed, or changed since `digest` was told."""
        if self._columns is None:
            return self._records(self.digest, SettlementRows(self._zone))
        equal = self._equal(self._columns)
        return self._records(
            self.digest, GenericRows(self._columns, self._zone, equal, is_bank=self._is_bank)
        )

    def _records(self, digest: str, rows: Rows) -> Iterator[Record | BadRow]:
        with opened(self._path) as (file, _):
            begin, hashed = self._begun(file, rows.needed), Hashed(file)
            hashed.skip_to(begin.offset)
            yield from begin.reader(_maker(rows)).all(begin.lines(hashed, begin.offset, begin.line))
            if hashed.digest() != digest:
                raise SourceFailed(f"{self.name} was changed while it was read; it is left for the next run")

    def _equal(self, columns: ColumnMap) -> EqualRows:
        """Found in a reading of the whole file, where its rows have no id."""
        if not columns.digest_of:
            return NO_EQUAL_ROWS
        return equal_rows_of(self._path, self._file_format, columns, columns.needed, columns.amounts)

    @property
    def _file_format(self) -> FileFormat:
        return "jsonl" if self._format == "jsonl" else "csv"

    def _begun(self, file: BinaryIO, needed: Sequence[str]) -> Beginning:
        amounts = self._columns.amounts if self._columns else frozenset[str]()
        return Beginning(file, self.name, self._file_format, self._columns or PLAIN, needed, amounts)


class Hashed:
    """A file that is hashed while it is read, once and from its beginning."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._seen = hashlib.sha256()
        file.seek(0)

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; none at the end."""
        block = self._file.read(size)
        self._seen.update(block)
        return block

    def skip_to(self, offset: int) -> None:
        """Passes over what stands before `offset`."""
        while (left := offset - self._file.tell()) > 0 and self.read(min(left, CHUNK_BYTES)):
            pass

    def digest(self) -> str:
        return self._seen.hexdigest()


def _maker(rows: Rows) -> Maker[Record | BadRow]:
    needed = rows.needed

    def record(cells: Sequence[str], line: int, _text: str) -> Record:
        return rows.record(dict(zip(needed, cells, strict=True)), line)

    def bad(_cells: Sequence[str] | None, line: int, text: str, _code: str, reason: str) -> BadRow:
        return BadRow(line, kept(text), reason)

    return Maker(record, bad)
