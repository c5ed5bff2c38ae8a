"""What a report file is: where it stands, its format, and which of its columns mean what."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from worker.providers.records.port import RecordKind

FileFormat = Literal["adyen_settlement", "csv", "jsonl"]

Name = Annotated[str, Field(min_length=1, max_length=200)]


def known_zone(name: str) -> str:
    """The name of an IANA time zone. Raises ValueError."""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"{name!r} is not an IANA time zone such as 'Europe/Istanbul'") from error
    return name


def time_form(form: str) -> str:
    """A form that strptime can read dates by: tried once, so that no row meets a broken one."""
    if form in ("iso", "epoch"):
        return form
    sample = datetime(2026, 11, 30, 13, 45, 0, tzinfo=UTC)
    try:
        read = datetime.strptime(sample.strftime(form), form)  # noqa: DTZ007 - only its date matters
    except (ValueError, re.error):
        read = None
    if read is None or read.date() != sample.date():
        raise ValueError(
            "time_format is iso, epoch, or a form of strptime with a whole date, '%d/%m/%Y %H:%M'"
        )
    return form


class ColumnMap(BaseModel):
    """Which column (of JSON: which field, `a.b` inside `a`) says what.

    `amount`, or `credit` and `debit` of which one is empty or 0, is read as `unit` says. `sign`: `signed` as the file
    has it, plus being what the provider owes us; `by_kind` for amounts without a sign, where a refund, chargeback,
    payout or fee is minus, and a status in `came_back` turns it round. `kinds` translates what stands in the column
    `kind`; what is not in it is `kind_default`. `fees` says what a plus means in the column `fee`. Times are
    `iso`, `epoch` (seconds) or in the form of strptime; those without an offset are in the file's zone.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    record_id: Name
    occurred_at: Name
    amount: Name | None = None
    credit: Name | None = None
    debit: Name | None = None
    currency: Name | None = None
    currency_always: Annotated[str, Field(pattern="^[A-Z]{3}$")] | None = None
    kind: Name | None = None
    kinds: dict[str, RecordKind] = {}
    kind_default: RecordKind = "other"
    reference: Name | None = None
    object_id: Name | None = None
    fee: Name | None = None
    fee_currency: Name | None = None
    status: Name | None = None
    unit: Literal["minor", "major"] = "minor"
    sign: Literal["signed", "by_kind"] = "signed"
    came_back: frozenset[str] = frozenset()
    fees: Literal["kept_by_provider", "paid_to_us"] = "kept_by_provider"
    time_format: Annotated[str, AfterValidator(time_form)] = "iso"
    delimiter: Literal[",", ";", "\t", "|"] = ","
    decimal_mark: Literal[".", ","] = "."

    @model_validator(mode="after")
    def _amounts_and_currency(self) -> Self:
        pair = (self.credit, self.debit)
        if (self.amount is None) != all(pair) or any(pair) != all(pair):
            raise ValueError("set either amount, or both credit and debit")
        if all(pair) and self.sign == "by_kind":
            raise ValueError("credit and debit say the sign already: leave sign = 'signed'")
        if self.came_back and (self.sign != "by_kind" or self.status is None):
            raise ValueError("came_back needs sign = 'by_kind' and the column status")
        if (self.currency is None) == (self.currency_always is None):
            raise ValueError("set either currency, a column, or currency_always, such as 'EUR'")
        if (self.fee_currency and not self.fee) or (self.kinds and not self.kind):
            raise ValueError("fee_currency needs the column fee, and kinds the column kind")
        return self

    @property
    def needed(self) -> tuple[str, ...]:
        """Every column that the file must have."""
        told = (
            self.record_id, self.occurred_at, self.amount, self.credit, self.debit, self.currency, self.kind,
            self.reference, self.object_id, self.fee, self.fee_currency, self.status,
        )  # fmt: skip
        return tuple(dict.fromkeys(name for name in told if name is not None))


class RecordsSettings(BaseModel):
    """The records of an account come as files: all that `path` matches, a pattern such as /srv/reports/*.csv.

    `timezone` is that of times that do not say theirs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Annotated[str, Field(min_length=1, max_length=4096)]
    format: FileFormat
    timezone: Annotated[str, AfterValidator(known_zone)] = "UTC"
    columns: ColumnMap | None = None

    @model_validator(mode="after")
    def _columns_where_needed(self) -> Self:
        if not Path(self.path).is_absolute():
            raise ValueError("path must be absolute, such as /srv/reports/*.csv")
        if self.format == "adyen_settlement" and self.columns is not None:
            raise ValueError("columns are for the formats csv and jsonl; adyen_settlement has its own")
        if self.format != "adyen_settlement" and self.columns is None:
            raise ValueError(f"the format {self.format} needs the table columns")
        return self
