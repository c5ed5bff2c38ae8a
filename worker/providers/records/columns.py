"""What a report file is: where it stands, its format, and which of its columns mean what."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from worker.files.layout import Column, ColumnNames, Layout, flat
from worker.files.times import Ambiguous, known_zone
from worker.providers.records.port import RecordKind

ReportFormat = Literal["adyen_settlement", "csv", "jsonl"]


class ColumnMap(Layout):
    """Which column (of JSON: which field, `a.b` inside `a`) says what.

    `amount`, or `credit` and `debit` of which one is empty or 0, is read as `unit` says. `sign`: `signed` as the file
    has it, plus being what the provider owes us; `by_kind` for amounts without a sign, where a refund, chargeback,
    payout, fee or own transfer (not in the file of a bank account of ours) is minus, and a status in `came_back` turns
    it round. `kinds` translates what stands in the column
    `kind`; what is not in it is `kind_default`. `fees` says what a plus means in the column `fee`. Times are
    `iso`, `epoch` (seconds), `epoch_ms` or in the form of strptime, of one column or of several with a space between
    them; those without a zone are in the file's.
    """

    record_id: ColumnNames
    occurred_at: ColumnNames
    amount: Column | None = None
    credit: Column | None = None
    debit: Column | None = None
    currency: Column | None = None
    currency_always: Annotated[str, Field(pattern="^[A-Z]{3}$")] | None = None
    kind: Column | None = None
    kinds: dict[str, RecordKind] = Field(default={})
    kind_default: RecordKind = "other"
    reference: Column | None = None
    object_id: Column | None = None
    fee: Column | None = None
    fee_currency: Column | None = None
    status: Column | None = None
    sign: Literal["signed", "by_kind"] = "signed"
    came_back: frozenset[str] = frozenset()
    fees: Literal["kept_by_provider", "paid_to_us"] = "kept_by_provider"
    ambiguous: Ambiguous = "earlier"

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
        self.require_one_mark()
        self.require_digest(self.record_id, "record_id")
        if (self.fee_currency and not self.fee) or (self.kinds and not self.kind):
            raise ValueError("fee_currency needs the column fee, and kinds the column kind")
        return self

    @property
    def needed(self) -> tuple[str, ...]:
        """Every column that the file must have."""
        return flat(
            None if self.digest_of else self.record_id, self.digest_of, self.occurred_at, self.amount, self.credit,
            self.debit, self.currency, self.kind, self.reference, self.object_id, self.fee, self.fee_currency,
            self.status,
        )  # fmt: skip

    @property
    def amounts(self) -> frozenset[str]:
        """The columns whose numbers may have a fraction."""
        return frozenset(flat(self.amount, self.credit, self.debit, self.fee))


class RecordsSettings(BaseModel):
    """The records of an account come as files: all that `path` matches, a pattern such as /srv/reports/*.csv.

    `timezone` is that of times that do not say theirs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Annotated[str, Field(min_length=1, max_length=4096)]
    format: ReportFormat
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
