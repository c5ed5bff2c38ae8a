"""Report files for the tests: Adyen's settlement details, row by row, and what a source makes of a file."""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from worker.providers.records.columns import ColumnMap, ReportFormat
from worker.providers.records.port import BadRow, Record, Window
from worker.providers.records.registry import file_source

HEADER = (
    "Company Account,Merchant Account,Psp Reference,Merchant Reference,Payment Method,Creation Date,TimeZone,Type,"
    "Modification Reference,Gross Currency,Gross Debit (GC),Gross Credit (GC),Exchange Rate,Net Currency,"
    "Net Debit (NC),Net Credit (NC),Commission (NC),Markup (NC),Scheme Fees (NC),Interchange (NC),"
    "Payment Method Variant,Modification Merchant Reference,Batch Number,Reserved4,Reserved5,Reserved6,Reserved7,"
    "Reserved8,Reserved9,Reserved10"
)
COLUMNS = HEADER.split(",")
AMSTERDAM = ZoneInfo("Europe/Amsterdam")
EVER = Window(datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))

SETTLED = {
    "Company Account": "Acme",
    "Merchant Account": "AcmeECOM",
    "Psp Reference": "8814689190961342",
    "Merchant Reference": "order-1",
    "Payment Method": "visa",
    "Creation Date": "2026-11-20 10:00:00",
    "TimeZone": "CET",
    "Type": "Settled",
    "Modification Reference": "9914689190961342",
    "Gross Currency": "EUR",
    "Gross Credit (GC)": "12.50",
    "Exchange Rate": "1",
    "Net Currency": "EUR",
    "Net Credit (NC)": "12.10",
    "Commission (NC)": "0.10",
    "Markup (NC)": "0.20",
    "Scheme Fees (NC)": "0.03",
    "Interchange (NC)": "0.07",
    "Batch Number": "118",
}
"""12.50 EUR settled, of which Adyen kept 0.40."""

NO_FEES = dict.fromkeys(("Commission (NC)", "Markup (NC)", "Scheme Fees (NC)", "Interchange (NC)"), "")
NAMELESS = dict.fromkeys(("Psp Reference", "Merchant Reference", "Modification Reference"), "") | NO_FEES


def settled(**changed: str) -> dict[str, str]:
    """SETTLED with other cells; a name's `_` is a blank: Gross_Currency."""
    return SETTLED | {name.replace("_", " "): value for name, value in changed.items()}


def adyen_line(row: dict[str, str]) -> str:
    return ",".join(row.get(column, "") for column in COLUMNS)


def adyen_file(folder: Path, rows: Iterable[dict[str, str]], header: str = HEADER) -> Path:
    path = folder / "settlement_detail_report_batch_118.csv"
    path.write_text("\n".join([header, *map(adyen_line, rows)]) + "\n", encoding="utf-8")
    return path


def read(
    format_: ReportFormat, path: Path, columns: ColumnMap | None = None, zone: ZoneInfo = AMSTERDAM
) -> list[Record | BadRow]:
    return list(file_source(format_, path, columns, zone).read(EVER))


def read_adyen(folder: Path, *rows: dict[str, str]) -> list[Record | BadRow]:
    return read("adyen_settlement", adyen_file(folder, rows))


def one_adyen(folder: Path, row: dict[str, str]) -> Record | BadRow:
    (found,) = read_adyen(folder, row)
    return found


def one_record(found: Iterable[Record | BadRow]) -> Record:
    (record,) = found
    assert isinstance(record, Record), record
    return record


def columns(**told: Any) -> ColumnMap:
    """The smallest map, and more."""
    return ColumnMap(
        **({"record_id": "id", "occurred_at": "at", "amount": "amount", "currency": "ccy"} | told)
    )
