"""Rows of any report, by the account's column map."""

from collections.abc import Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

from models.money import exponent
from worker.providers.records import cells
from worker.providers.records.cells import Unreadable
from worker.providers.records.columns import ColumnMap
from worker.providers.records.port import Record, RecordKind

TAKEN_AWAY: frozenset[RecordKind] = frozenset({"refund", "chargeback", "payout", "fee"})

Cells = Mapping[str, str]


class GenericRows:
    """One file's rows. `record` raises Unreadable."""

    def __init__(self, columns: ColumnMap, zone: ZoneInfo) -> None:
        self._columns = columns
        self._zone = zone
        self.needed = columns.needed

    def record(self, row: Cells, line: int) -> Record:
        columns = self._columns
        currency = columns.currency_always or cells.currency(row[columns.currency or ""], "the currency")
        fee_currency = self._fee_currency(row, currency)
        status = self._text(row, columns.status, "the status") or ""
        kind = (
            columns.kinds.get(row[columns.kind], columns.kind_default)
            if columns.kind
            else columns.kind_default
        )
        return Record(
            record_id=cells.need_text(row[columns.record_id], "the record's id"),
            kind=kind,
            reference=self._text(row, columns.reference, "the reference"),
            object_id=self._text(row, columns.object_id, "the object's id"),
            amount_minor=self._amount(row, currency, kind, status),
            currency=currency,
            fee_minor=self._fee(row, fee_currency),
            fee_currency=fee_currency,
            status=status,
            occurred_at=self._time(row[columns.occurred_at]),
            line=line,
        )

    def _text(self, row: Cells, column: str | None, name: str) -> str | None:
        return cells.text(row[column], name) if column else None

    def _amount(self, row: Cells, currency: str, kind: RecordKind, status: str) -> int:
        columns = self._columns
        if columns.credit and columns.debit:
            return self._difference(row[columns.credit], row[columns.debit], currency)
        amount = self._minor(row[columns.amount or ""], currency, "the amount")
        if columns.sign == "signed":
            return amount
        if amount < 0:
            raise Unreadable("the amount has a minus, though its kind was to say the sign")
        return -amount if (kind in TAKEN_AWAY) != (status in columns.came_back) else amount

    def _difference(self, credit: str, debit: str, currency: str) -> int:
        if not credit and not debit:
            raise Unreadable("credit and debit are both empty")
        plus = self._minor(credit or "0", currency, "the credit")
        minus = self._minor(debit or "0", currency, "the debit")
        if plus < 0 or minus < 0 or (plus and minus):
            raise Unreadable("of credit and debit one must be empty or 0, and none negative")
        return plus - minus

    def _fee_currency(self, row: Cells, currency: str) -> str:
        told = row[self._columns.fee_currency] if self._columns.fee_currency else ""
        return cells.currency(told, "the fee's currency") if told else currency

    def _fee(self, row: Cells, currency: str) -> int:
        told = row[self._columns.fee] if self._columns.fee else ""
        fee = self._minor(told or "0", currency, "the fee")
        return fee if self._columns.fees == "kept_by_provider" else -fee

    def _minor(self, value: str, currency: str, name: str) -> int:
        places = exponent(currency) if self._columns.unit == "major" else 0
        return cells.scaled(value, places, name, self._columns.decimal_mark)

    def _time(self, value: str) -> datetime:
        form, name = self._columns.time_format, "the time"
        if form == "epoch":
            return cells.epoch(cells.scaled(value, 0, name), name)
        if form == "iso":
            return cells.iso_time(value, name, self._zone)
        return cells.form_time(value, name, form, self._zone)
