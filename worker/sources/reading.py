"""One page of a file's records: the lines that belong to one, decoded, and made a row or a bad row.

What is wrong with a line concerns that line alone: the next is read as if nothing had been.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from worker.providers.records.cells import kept
from worker.providers.records.lines import LINE_BYTES_MAX
from worker.sources.cells import Refused
from worker.sources.lines import Lines, LongLine, size_of
from worker.sources.port import RAW_LENGTH_MAX, BadRow, Row
from worker.sources.rows import IdReader, RowMaker

BLANK_LINES_MAX = 100_000
"""Lines beyond a page's rows that it may pass over, before it ends early."""


class Format(Protocol):
    """What makes cells of a record, in the order of the columns that the mapping needs."""

    def cells(self, text: str, lines: "TextLines") -> tuple[list[str], str, int]:
        """(cells, the whole record's text, how many further lines it takes). Raises Refused."""


class TextLines:
    """Lines as text, and where they end in the file: `offset` and `line` are those of what was taken so far."""

    def __init__(self, lines: Lines, encoding: str, offset: int, line: int) -> None:
        self._lines = lines
        self._encoding = encoding
        self.offset = offset
        self.line = line

    def take(self) -> bytes | None:
        """The next line; None at the end."""
        if (raw := self._lines.take()) is not None:
            self.offset += size_of(raw) + 1
            self.line += 1
        return raw

    def ahead(self, number: int) -> str | None:
        """The text of the `number`th line from here; None where there is none, or none that can be read."""
        raw = self._lines.ahead(number)
        try:
            return None if raw is None else self.text(raw)
        except Refused:
            return None

    def text(self, raw: bytes) -> str:
        """Raises Refused."""
        if len(raw) > LINE_BYTES_MAX or isinstance(raw, LongLine):
            raise Refused("too_long", f"the line is longer than {LINE_BYTES_MAX} bytes")
        try:
            text = raw.decode(self._encoding)
        except UnicodeDecodeError:
            raise Refused(
                "undecodable", f"the line is not {self._encoding}: send it as that, or set encoding"
            ) from None
        if "\x00" in text:
            raise Refused("nul", "a NUL character is in the line")
        return text.removesuffix("\r")

    def shown(self, raw: bytes) -> str:
        """As much of it as a bad row keeps."""
        return kept(raw[: RAW_LENGTH_MAX * 4].decode(self._encoding, "replace").rstrip("\r"))[:RAW_LENGTH_MAX]


@dataclass(frozen=True, slots=True)
class FileRows:
    """How the file's records become rows, and what is known of those that do not."""

    format: Format
    row: RowMaker
    known_id: IdReader

    def page(self, lines: TextLines, rows_max: int) -> list[Row | BadRow]:
        """The next records, at most `rows_max`; fewer where nothing but blank lines stands for long."""
        rows: list[Row | BadRow] = []
        for _ in range(rows_max + BLANK_LINES_MAX):
            if len(rows) >= rows_max or (raw := lines.take()) is None:
                break
            if (row := self._row(raw, lines)) is not None:
                rows.append(row)
        return rows

    def _row(self, raw: bytes, lines: TextLines) -> Row | BadRow | None:
        line, more = lines.line, 0
        text: str | None = None
        cells: Sequence[str] | None = None
        row: Row | BadRow
        try:
            text = lines.text(raw)
            if not text or (text.isspace() and "\t" not in text):  # only tabs: a record of empty cells
                return None
            cells, text, more = self.format.cells(text, lines)
            row = self.row(cells, str(line), line, text[:RAW_LENGTH_MAX])
        except Refused as refused:
            shown = lines.shown(raw) if text is None else kept(text)[:RAW_LENGTH_MAX]
            readable = refused.cells if cells is None else cells
            row_id = None if readable is None else self.known_id(readable)
            row = BadRow(str(line), line, shown, refused.code, str(refused), row_id)
        for _ in range(more):
            lines.take()
        return row
