"""CSV as RFC 4180 has it, with any delimiter: a record may span lines within quotes.

A quote that nobody closes must not swallow the rows behind it. So several lines are one record only if they are CSV
together, with as many columns as the header; else the first is refused alone, and the next begins a record again.
"""

import csv
from collections.abc import Sequence
from operator import itemgetter

from worker.providers.records.lines import LINE_BYTES_MAX
from worker.sources.cells import Refused
from worker.sources.port import SourceFailed
from worker.sources.reading import TextLines

RECORD_LINES_MAX = 100
MISSING_NAMED_MAX = 5


class CsvFormat:
    """Records under one header. Cells come in the order of `needed`."""

    def __init__(self, header: Sequence[str], needed: Sequence[str], delimiter: str) -> None:
        self._delimiter = delimiter
        self._width = len(header)
        self._pick = itemgetter(*(header.index(column) for column in needed))

    def cells(self, text: str, lines: TextLines) -> tuple[list[str], str, int]:
        """Raises Refused."""
        if '"' not in text and "\r" not in text:
            found, more = text.split(self._delimiter), 0
        else:
            found, text, more = self._quoted(text, lines)
        if len(found) != self._width:
            raise Refused("ragged", f"the record has {len(found)} columns, the header {self._width}")
        return [cell.strip() for cell in self._pick(found)], text, more

    def _quoted(self, text: str, lines: TextLines) -> tuple[list[str], str, int]:
        if (found := parsed(text, self._delimiter)) is not None:
            return found, text, 0
        if text.count('"') % 2 == 0:
            raise Refused("not_csv", "a quote or a line break stands where none may")
        if (joined := self._joined(text, lines)) is None:
            raise Refused(
                "unclosed_quote", "a quote is opened and not closed; the next line is read by itself"
            )
        return joined

    def _joined(self, text: str, lines: TextLines) -> tuple[list[str], str, int] | None:
        for number in range(1, RECORD_LINES_MAX):
            if (line := lines.ahead(number)) is None or len(text) + len(line) >= LINE_BYTES_MAX:
                return None
            text = f"{text}\n{line}"
            if line.count('"') % 2:
                found = parsed(text, self._delimiter)
                return (found, text, number) if found is not None and len(found) == self._width else None
        return None


def parsed(text: str, delimiter: str) -> list[str] | None:
    """The cells of exactly one record; None when it is not one."""
    try:
        found = list(csv.reader([text], delimiter=delimiter, strict=True, skipinitialspace=True))
    except csv.Error:
        return None
    return found[0] if len(found) == 1 else None


def header_of(text: str, needed: Sequence[str], delimiter: str, name: str) -> list[str]:
    """The names of the columns. Raises SourceFailed: one that is needed is missing, or there twice."""
    if (cells := parsed(text, delimiter)) is None:
        raise SourceFailed(f"{name}: the header cannot be read; it must be one line of CSV")
    header = [cell.strip() for cell in cells]
    if missing := [column for column in needed if column not in header]:
        shown = ", ".join(missing[:MISSING_NAMED_MAX])
        more = f" and {len(missing) - MISSING_NAMED_MAX} more" if len(missing) > MISSING_NAMED_MAX else ""
        raise SourceFailed(
            f"{name}: the header lacks {shown}{more}: correct columns in the mapping, or its delimiter"
        )
    if twice := [column for column in needed if header.count(column) > 1]:
        raise SourceFailed(
            f"{name}: the header has {twice[0]} twice, and which of them is meant is not known"
        )
    return header
