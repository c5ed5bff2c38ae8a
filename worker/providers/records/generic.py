"""Rows of any report, by the account's column map."""

from collections.abc import Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

from worker.files import cells
from worker.files.errors import Unreadable
from worker.files.ids import NO_EQUAL_ROWS, EqualRows, id_maker
from worker.files.layout import debit_rule
from worker.files.money import money_reader
from worker.files.times import time_reader, together
from worker.providers.records.columns import ColumnMap
from worker.providers.records.port import Record, RecordKind

TAKEN_AWAY: frozenset[RecordKind] = frozenset({"refund", "chargeback", "payout", "fee"})

Cells = Mapping[str, str]


class GenericRows:
    """One file's rows. `record` raises Unreadable. `equal` tells equal rows apart where there is no id. An own transfer
    is money that left the provider; with `is_bank` the file is the bank account's, where it arrived."""

    def __init__(
        self,
        columns: ColumnMap,
        zone: ZoneInfo,
        equal: EqualRows = NO_EQUAL_ROWS,
        *,
        is_bank: bool = False,
    ) -> None:
        self._columns = columns
        self._taken_away = TAKEN_AWAY if is_bank else TAKEN_AWAY | {"own_transfer"}
        self.needed = columns.needed
        at = {column: number for number, column in enumerate(self.needed)}
        self._id = id_maker(columns.record_id, columns.digest_of, at, equal, _record_id)
        self._money = money_reader(columns)
        self._read_time = time_reader(columns.time_format, zone, columns.ambiguous)

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
            record_id=self._id(tuple(row.values()), line),
            kind=kind,
            reference=self._reference(row, columns.reference, "the reference"),
            object_id=self._reference(row, columns.object_id, "the object's id"),
            amount_minor=self._amount(row, currency, kind, status),
            currency=currency,
            fee_minor=self._fee(row, fee_currency),
            fee_currency=fee_currency,
            status=status,
            occurred_at=self._time(row),
            line=line,
        )

    def _text(self, row: Cells, column: str | None, name: str) -> str | None:
        return cells.text(row[column], name) if column else None

    def _reference(self, row: Cells, column: str | None, name: str) -> str | None:
        return cells.reference(row[column], name) if column else None

    def _amount(self, row: Cells, currency: str, kind: RecordKind, status: str) -> int:
        columns = self._columns
        if columns.credit and columns.debit:
            return self._difference(row[columns.credit], row[columns.debit], currency)
        amount = self._money(row[columns.amount or ""], currency, "the amount")
        if columns.sign == "signed":
            return amount
        if amount < 0:
            raise Unreadable("the amount has a minus, though its kind was to say the sign")
        return -amount if (kind in self._taken_away) != (status in columns.came_back) else amount

    def _difference(self, credit: str, debit: str, currency: str) -> int:
        if not credit and not debit:
            raise Unreadable("credit and debit are both empty")
        plus = self._money(credit or "0", currency, "the credit")
        minus = self._money(debit or "0", currency, "the debit")
        minus = minus if self._columns.debit_sign == "plus" else -minus
        if plus < 0 or minus < 0:
            raise Unreadable(f"the credit or the debit has the wrong sign: {debit_rule(self._columns)}")
        if plus and minus:
            raise Unreadable("of credit and debit one must be empty or 0")
        return plus - minus

    def _fee_currency(self, row: Cells, currency: str) -> str:
        told = row[self._columns.fee_currency] if self._columns.fee_currency else ""
        return cells.currency(told, "the fee's currency") if told else currency

    def _fee(self, row: Cells, currency: str) -> int:
        told = row[self._columns.fee] if self._columns.fee else ""
        fee = self._money(told or "0", currency, "the fee")
        return fee if self._columns.fees == "kept_by_provider" else -fee

    def _time(self, row: Cells) -> datetime:
        return self._read_time(together([row[column] for column in self._columns.occurred_at]), "the time")


def _record_id(value: str, _column: str) -> str:
    cells.reference(value, "the record's id")
    return cells.need_text(value, "the record's id")
