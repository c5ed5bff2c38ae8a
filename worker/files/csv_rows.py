"""CSV as RFC 4180 has it, with any delimiter: a record may span lines within quotes, as many as it takes.

A record ends where its quotes are closed, also one that cannot be read: what stands inside of quotes is a stranger's
text, and never becomes a record. A quote that nobody closes holds all that follows; it is one bad row that says so.
"""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter

from worker.files.errors import Refused, SourceFailed
from worker.files.lines import RECORD_BYTES_MAX, LongLine, size_of
from worker.files.reading import TextLines

MISSING_NAMED_MAX = 5
TOO_LONG = f"longer than {RECORD_BYTES_MAX} bytes"
_TEXT_FORMULA = re.compile(r'="([^"]*)"')
"""How a spreadsheet is told that ="0034" is the text 0034 and no number."""


@dataclass(frozen=True, slots=True)
class Span:
    """The lines of one record. `content` is cut where there are more than RECORD_BYTES_MAX; `unclosed` is the line of
    the quote that nobody closes."""

    content: bytes
    size: int
    first: int
    last: int
    unclosed: int | None

    def refused(self, refused: Refused, text: str) -> Refused:
        """Why it is no row, with what its quotes hold."""
        if self.unclosed is not None:
            code, why = "unclosed_quote", _unclosed(self.unclosed, self.last)
        else:
            code, why = refused.code, f"{refused}{self._held()}"
        return Refused(code, why, refused.cells, text)

    def _held(self) -> str:
        if self.first == self.last:
            return ""
        return (
            f"; its quotes hold the lines {self.first} to {self.last}, {self.last - self.first + 1:,} lines"
        )


def _unclosed(opened: int, last: int) -> str:
    return (
        f"the quote that is opened in line {opened} is not closed before the end of the file: the "
        f"{last - opened + 1:,} lines from there on are this one record; correct it, or set quotes = 'none' for a file "
        "whose cells are never quoted"
    )


class CsvFormat:
    """Records under one header. Cells come in the order of `needed`."""

    def __init__(self, header: Sequence[str], needed: Sequence[str], delimiter: str, *, quoted: bool) -> None:
        self._delimiter = delimiter
        self._quoted = quoted
        self._width = len(header)
        at = [header.index(column) for column in needed]
        self._pick = itemgetter(*at) if len(at) > 1 else lambda cells: (cells[at[0]],)

    def cells(self, text: str, raw: bytes, lines: TextLines) -> tuple[list[str], str]:
        """Raises Refused."""
        if self._quoted and ('"' in text or "\r" in text):
            found, text = quoted_cells(text, raw, lines, self._delimiter, self._width)
        else:
            found = text.split(self._delimiter)
            if len(found) != self._width:
                raise ragged(found, self._width)
        picked = [cell.strip() for cell in self._pick(found)]
        return [_without_formula(cell) for cell in picked] if '="' in text else picked, text

    def refused(self, refused: Refused, raw: bytes, lines: TextLines) -> Refused:
        """Passes over the rest of a record whose first line is no text."""
        if not self._quoted:
            return refused
        span = span_of(raw, lines)
        return span.refused(refused, lines.shown(span.content))


def quoted_cells(
    text: str, raw: bytes, lines: TextLines, delimiter: str, width: int | None
) -> tuple[list[str], str]:
    """(cells, text) of the record that begins with this line. `width`: how many it must have. Raises Refused."""
    if (found := parsed(text, delimiter)) is not None:
        if width is not None and len(found) != width:
            raise ragged(found, width)
        return found, text
    span = span_of(raw, lines)
    try:
        return _whole(span, lines, delimiter, width)
    except Refused as refused:
        raise span.refused(refused, lines.shown(span.content)) from None


def _whole(span: Span, lines: TextLines, delimiter: str, width: int | None) -> tuple[list[str], str]:
    if span.unclosed is not None or span.size > RECORD_BYTES_MAX:
        raise Refused("too_long", f"the record is {TOO_LONG}")
    text = lines.text(span.content)
    if (found := parsed(text, delimiter)) is None:
        raise Refused("not_csv", "a quote or a line break stands where none may")
    if width is not None and len(found) != width:
        raise ragged(found, width)
    return found, text


def span_of(raw: bytes, lines: TextLines) -> Span:
    """Takes the lines until the quotes are closed, in bounded memory."""
    first, size, parts = lines.line, size_of(raw), [raw]
    quotes, opened = lines.quotes(raw, is_open=False), lines.line
    while quotes.is_open and (more := lines.take()) is not None:
        size += size_of(more) + 1
        if size <= RECORD_BYTES_MAX:
            parts.append(more)
        if b'"' in more or type(more) is LongLine:
            quotes = lines.quotes(more, is_open=True)
            opened = lines.line if quotes.opened else opened
    return Span(lines.end.join(parts), size, first, lines.line, opened if quotes.is_open else None)


def _without_formula(cell: str) -> str:
    formula = _TEXT_FORMULA.fullmatch(cell)
    return cell if formula is None else formula[1].strip()


def ragged(found: Sequence[str], width: int) -> Refused:
    return Refused("ragged", f"{len(found)} columns, the header has {width}")


def parsed(text: str, delimiter: str) -> list[str] | None:
    """The cells of exactly one record; None when it is not one."""
    try:
        found = list(csv.reader([text], delimiter=delimiter, strict=True, skipinitialspace=True))
    except csv.Error:
        return None
    return found[0] if len(found) == 1 else None


def header_of(cells: Sequence[str], needed: Sequence[str], name: str) -> list[str]:
    """The names of the columns. Raises SourceFailed: one that is needed is missing, or there twice."""
    header = [cell.strip() for cell in cells]
    if missing := [column for column in needed if column not in header]:
        shown = ", ".join(missing[:MISSING_NAMED_MAX])
        more = f" and {len(missing) - MISSING_NAMED_MAX} more" if len(missing) > MISSING_NAMED_MAX else ""
        raise SourceFailed(
            f"{name}: the header lacks {shown}{more}: correct columns, delimiter or skip_lines (those before it)"
        )
    if twice := [column for column in needed if header.count(column) > 1]:
        raise SourceFailed(
            f"{name}: the header has {twice[0]} twice, and which of them is meant is not known"
        )
    return header
