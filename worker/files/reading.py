"""The records of a file one after the other: the lines that belong to one, decoded, and made a row or a bad row.

What is wrong with a record concerns that record alone, all of its lines: the next is read as if nothing had been.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from worker.files.cells import kept
from worker.files.errors import Refused, Unreadable
from worker.files.lines import RECORD_BYTES_MAX, Lines, LongLine, size_of
from worker.files.quotes import Quotes

BLANK_LINES_MAX = 100_000
"""Lines beyond a page's rows that it may pass over, before it ends early."""
CODE = "unreadable"
"""Of what its maker refused without a code of its own."""

Row = TypeVar("Row")


class Format(Protocol):
    """What makes cells of a record, in the order of the columns that are needed."""

    def cells(self, text: str, raw: bytes, lines: "TextLines") -> tuple[Sequence[str], str]:
        """(cells, the whole record's text); takes the record's further lines. Raises Refused, having taken them."""

    def refused(self, refused: Refused, raw: bytes, lines: "TextLines") -> Refused:
        """The same of a record whose first line cannot be decoded, having taken its further lines."""


class TextLines:
    """Lines as text, and where they end in the file: `offset` and `line` are those of what was taken so far."""

    def __init__(self, lines: Lines, encoding: str, offset: int, line: int) -> None:
        self._lines = lines
        self._encoding = encoding
        self.offset = offset
        self.line = line

    @property
    def end(self) -> bytes:
        return self._lines.end

    def take(self) -> bytes | None:
        """The next line; None at the end."""
        if (raw := self._lines.take()) is not None:
            self.offset += size_of(raw) + 1
            self.line += 1
        return raw

    def quotes(self, raw: bytes, *, is_open: bool) -> Quotes:
        """See Lines."""
        return self._lines.quotes(raw, is_open=is_open)

    def text(self, raw: bytes) -> str:
        """Raises Refused."""
        if len(raw) > RECORD_BYTES_MAX or isinstance(raw, LongLine):
            raise Refused("too_long", f"the line is longer than {RECORD_BYTES_MAX} bytes")
        try:
            text = raw.decode(self._encoding)
        except UnicodeDecodeError:
            raise Refused(
                "undecodable", f"the text is not {self._encoding}: send it as that, or set encoding"
            ) from None
        if "\x00" in text:
            raise Refused("nul", "a NUL character is in it")
        return text.removesuffix("\r")

    def shown(self, raw: bytes) -> str:
        """As much of it as may be kept of a bad row, whatever its bytes."""
        return kept(raw.decode(self._encoding, "replace").rstrip("\r"))


@dataclass(frozen=True, slots=True)
class Maker(Generic[Row]):
    """`row` makes one of (cells, line, text) and raises Unreadable; `bad` of (cells, line, text, code, reason), where
    the cells are None when they could not be told."""

    row: Callable[[Sequence[str], int, str], Row]
    bad: Callable[[Sequence[str] | None, int, str, str, str], Row]


@dataclass(frozen=True, slots=True)
class Reader(Generic[Row]):
    """A file's records as rows. What begins at `rows_end` or behind it stands after the rows, and is none."""

    format: Format
    maker: Maker[Row]
    rows_end: int | None = field(default=None)

    def page(self, lines: TextLines, rows_max: int) -> list[Row]:
        """The next records, at most `rows_max`; fewer where nothing but blank lines stands for long."""
        rows: list[Row] = []
        for _ in range(rows_max + BLANK_LINES_MAX):
            if len(rows) >= rows_max:
                break
            begins_at = lines.offset
            if (raw := lines.take()) is None:
                break
            if (row := self._row(raw, begins_at, lines)) is not None:
                rows.append(row)
        return rows

    def all(self, lines: TextLines) -> Iterator[Row]:
        """Every record to the end of the file."""
        begins_at = lines.offset
        while (raw := lines.take()) is not None:
            if (row := self._row(raw, begins_at, lines)) is not None:
                yield row
            begins_at = lines.offset

    def _row(self, raw: bytes, begins_at: int, lines: TextLines) -> Row | None:
        if self.rows_end is not None and begins_at >= self.rows_end:
            return self._after_rows(raw, lines)
        return self._made(raw, lines)

    def _made(self, raw: bytes, lines: TextLines) -> Row | None:
        line, cells, text = lines.line, None, None
        try:
            text = lines.text(raw)
            if not text or (text.isspace() and "\t" not in text):  # only tabs: a record of empty cells
                return None
            cells, text = self.format.cells(text, raw, lines)
            return self.maker.row(cells, line, text)
        except Refused as refused:
            if text is None:
                refused = self.format.refused(refused, raw, lines)
            shown = refused.text or (lines.shown(raw) if text is None else kept(text))
            readable = refused.cells if cells is None else cells
            return self.maker.bad(readable, line, shown, refused.code, str(refused))
        except Unreadable as unreadable:
            return self.maker.bad(cells, line, kept(text or ""), CODE, str(unreadable))

    def _after_rows(self, raw: bytes, lines: TextLines) -> Row | None:
        """None; but a record that could be a row is not left out in silence."""
        line = lines.line
        try:
            cells, text = self.format.cells(lines.text(raw), raw, lines)
            self.maker.row(cells, line, text)
        except Unreadable:
            return None
        why = "skip_last leaves out this line, and it reads as a row: is there a total in this file?"
        return self.maker.bad(cells, line, kept(text), "skipped_row", why)
