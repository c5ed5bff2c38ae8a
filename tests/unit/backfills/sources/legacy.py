"""Files of an older wallet, and what reads them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from worker.sources.files import FileSource
from worker.sources.mapping import legacy_mapping
from worker.sources.port import BadRow, Cursor, OpeningRow, Page, PostingRow, Row, RowKind, RowSource

COLUMNS = {"id": "id", "owner": "owner", "amount": "amount", "currency": "currency", "occurred_at": "at"}
HEADER = b"id,owner,amount,currency,at\n"
BASE: Mapping[str, Any] = {"unit": "major", "reason": "history", "columns": COLUMNS}


def told(**more: Any) -> dict[str, Any]:
    """A mapping as a person writes it: amounts in major units, five columns, and what else is said."""
    return {**BASE, **more}


def with_columns(**more: str | None) -> dict[str, str]:
    """The five columns, and others; None takes one away."""
    return {name: column for name, column in {**COLUMNS, **more}.items() if column is not None}


def source(
    path: Path,
    mapping: Mapping[str, Any] = BASE,
    *,
    format_: Literal["csv", "jsonl"] = "csv",
    kind: RowKind = "postings",
    digest: str | None = None,
) -> FileSource:
    return FileSource(path, format_, legacy_mapping(mapping, kind), kind, digest)


def written(folder: Path, content: bytes) -> Path:
    path = folder / "legacy.csv"
    path.write_bytes(content)
    return path


def pages(found: RowSource, rows_max: int, after: Cursor | None = None) -> list[Page]:
    """Every page from a cursor on, each asked of the cursor that the one before gave."""
    got = [found.page(after, rows_max)]
    while not got[-1].is_last:
        got.append(found.page(got[-1].after, rows_max))
    return got


def everything(found: RowSource, rows_max: int = 1000, after: Cursor | None = None) -> list[Row | BadRow]:
    return [row for page in pages(found, rows_max, after) for row in page.rows]


def posting(row: Row | BadRow) -> PostingRow:
    assert isinstance(row, PostingRow), row
    return row


def opening(row: Row | BadRow) -> OpeningRow:
    assert isinstance(row, OpeningRow), row
    return row


def bad(row: Row | BadRow) -> BadRow:
    assert isinstance(row, BadRow), row
    return row
