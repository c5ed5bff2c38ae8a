"""One file read by both: as a provider's records of a night, and as the rows of a backfill."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

from tests.unit.backfills.sources.legacy import everything
from tests.unit.records.reports import EVER
from worker.providers.records.columns import ColumnMap
from worker.providers.records.port import BadRow as BadRecord
from worker.providers.records.registry import file_source
from worker.sources.files import FileSource
from worker.sources.mapping import legacy_mapping
from worker.sources.port import BadRow, OpeningRow

By = Literal["night", "backfill"]
BOTH: tuple[By, ...] = ("night", "backfill")
Format = Literal["csv", "jsonl"]


@dataclass(frozen=True, slots=True)
class Good:
    """What both make of a row."""

    id: str
    amount_minor: int
    currency: str
    at: datetime
    line: int | None


@dataclass(frozen=True, slots=True)
class Bad:
    line: int | None
    reason: str
    raw: str


def read(
    by: By,
    path: Path,
    layout: dict[str, Any],
    columns: dict[str, Any],
    *,
    format_: Format = "csv",
    zone: str | None = "Europe/Istanbul",
    rows_max: int = 1000,
) -> list[Good | Bad]:
    """`columns` as a mapping names them; `layout` is everything else."""
    if by == "night":
        return _records(path, layout, columns, format_, zone or "UTC")
    return _rows(path, layout, columns, format_, zone, rows_max)


def _records(
    path: Path, layout: dict[str, Any], columns: dict[str, Any], format_: Format, zone: str
) -> list[Good | Bad]:
    told = {key: value for key, value in columns.items() if key not in ("id", "owner")}
    always = {"currency_always": layout["currency"]} if "currency" in layout else {}
    rest = {key: value for key, value in layout.items() if key != "currency"}
    map_ = ColumnMap(**{"unit": "major", "record_id": columns["id"], **always, **rest, **told})
    found = file_source(format_, path, map_, ZoneInfo(zone)).read(EVER)
    return [
        Bad(one.line, one.reason, one.raw)
        if isinstance(one, BadRecord)
        else Good(one.record_id, one.amount_minor, one.currency, one.occurred_at, one.line)
        for one in found
    ]


def _rows(
    path: Path,
    layout: dict[str, Any],
    columns: dict[str, Any],
    format_: Format,
    zone: str | None,
    rows_max: int,
) -> list[Good | Bad]:
    told = {"unit": "major", "reason": "history", "timezone": zone, "columns": columns} | layout
    mapping = legacy_mapping({key: value for key, value in told.items() if value is not None}, "postings")
    found: list[Good | Bad] = []
    for one in everything(FileSource(path, format_, mapping, "postings"), rows_max):
        assert not isinstance(one, OpeningRow)
        if isinstance(one, BadRow):
            found.append(Bad(one.line, one.reason, one.raw))
        else:
            found.append(Good(one.row_id, one.amount_minor, one.currency, one.occurred_at, one.line))
    return found


def good(found: list[Good | Bad]) -> list[Good]:
    """All of them, none of which is bad."""
    rows = [one for one in found if isinstance(one, Good)]
    assert rows == found
    return rows


def ids(found: list[Good | Bad]) -> list[str]:
    """Of those that were read."""
    return [one.id for one in found if isinstance(one, Good)]


def bad(found: list[Good | Bad]) -> list[Bad]:
    return [one for one in found if isinstance(one, Bad)]
