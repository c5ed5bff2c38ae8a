"""A provider's own account of what it settled: records, streamed from its API or a report file, one shape for all.

A source is read once, from the first record to the last, and never held in memory as a whole. A row that cannot be
understood is a `BadRow` with its raw text: it stops nothing, and is shown to a person.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from worker.files.cells import RAW_LENGTH_MAX as RAW_LENGTH_MAX
from worker.files.errors import SourceFailed as SourceFailed

RecordKind = Literal["deposit", "refund", "chargeback", "payout", "fee", "own_transfer", "other", "ignore"]


@dataclass(frozen=True, slots=True)
class Record:
    """One settled record. `amount_minor` says what it adds to what the provider owes us, before its fee: a deposit is
    positive, a refund, a chargeback and a payout negative, and what came back has the other sign.

    `record_id` is unique per account; `reference` is ours and `object_id` the provider's, where it tells them.
    `fee_minor` is what the provider kept for it (negative: gave back), in `fee_currency`. `status` is its own word.
    A fee that stands alone is a record of kind `fee` with a negative amount and a `fee_minor` of 0. `own_transfer` is
    our own money on its way between the provider and our bank, never a payout of ours. `ignore` is listed and compared
    with nothing: the provider's bookkeeping within what it owes us. `other` is what our ledger does not book by itself.
    """

    record_id: str
    kind: RecordKind
    reference: str | None
    object_id: str | None
    amount_minor: int
    currency: str
    fee_minor: int
    fee_currency: str
    status: str
    occurred_at: datetime
    line: int | None = None


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that was not understood: where it stood, its text (cut at RAW_LENGTH_MAX) and why, in our words."""

    line: int | None
    raw: str
    reason: str


@dataclass(frozen=True, slots=True)
class Window:
    """From inclusive, to exclusive; aware UTC."""

    since: datetime
    until: datetime


class RecordSource(Protocol):
    """Where the records of one account come from. Every call it makes is bounded in time, every page in size."""

    def read(self, window: Window) -> Iterator[Record | BadRow]:
        """All records that occurred in the window, in any order, each once. Raises SourceFailed, also half-way.

        A report file is taken as a whole: its source gives every row, also those outside of the window, and one that
        stands twice in the file twice, with the same `record_id`.
        """
