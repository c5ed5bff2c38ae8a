"""What an older system knew: rows of its history or its balances, page by page, wherever they come from.

A source never guesses: a record that cannot be read for certain is a BadRow, and rows and bad rows together are all
that the source holds. It keeps nothing: whoever reads keeps the cursor, and any page can be read again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

from worker.files.errors import SourceFailed as SourceFailed

RowKind = Literal["postings", "opening_balances"]

Cursor = Mapping[str, Any]
"""Where a page begins. JSON; nobody but its source looks inside."""

RAW_LENGTH_MAX = 2000
"""Characters of a bad row's text that are kept."""


class SourceChanged(SourceFailed):
    """It is not what it was when the run began: its cursor may point anywhere."""


@dataclass(frozen=True, slots=True)
class PostingRow:
    """Money that moved once. `amount_minor` is never 0: plus is into the owner's wallet, minus out of it; with
    `to_owner` it is plus, from `owner` to `to_owner`, and `reason` says nothing. `occurred_at` is in UTC.

    `place` is what people find the row by (its line, or its key in a table); `row_id` is the older system's own.
    """

    place: str
    line: int | None
    row_id: str
    owner: str
    to_owner: str | None
    amount_minor: int
    currency: str
    reason: str
    occurred_at: datetime
    raw: str


@dataclass(frozen=True, slots=True)
class OpeningRow:
    """What an owner had at `as_of` (UTC): minus where the older system let them owe."""

    place: str
    line: int | None
    owner: str
    amount_minor: int
    currency: str
    as_of: datetime
    raw: str

    @property
    def row_id(self) -> str:
        """There is one balance for each owner and currency."""
        return opening_id(self.owner, self.currency)


def opening_id(owner: str, currency: str) -> str:
    """What stands for the id that a balance does not have. No currency has a colon in it."""
    return f"{owner}:{currency}"


@dataclass(frozen=True, slots=True)
class BadRow:
    """A record that cannot be read. `code` is stable; `reason` names the column and the rule; `raw` is cut.

    `row_id` is the record's own id, as its row would have it; None where that cannot be read either.
    """

    place: str
    line: int | None
    raw: str
    code: str
    reason: str
    row_id: str | None = None


Row = PostingRow | OpeningRow


@dataclass(frozen=True, slots=True)
class Page:
    """Some records in their order, `after` them the next page begins. `bytes_read` counts from the beginning."""

    rows: list[Row | BadRow]
    after: Cursor
    is_last: bool
    bytes_read: int


@dataclass(frozen=True, slots=True)
class Extent:
    """How much there is, as far as it is known. `digest` is the SHA-256 of a file."""

    bytes_total: int | None
    rows_total: int | None
    digest: str | None


class RowSource(Protocol):
    """Rows of one kind."""

    def extent(self) -> Extent:
        """How much there is; reads a file as a whole. Raises SourceFailed."""

    def page(self, after: Cursor | None, rows_max: int) -> Page:
        """At most `rows_max` records from `after` on, from the beginning where it is None.

        The same cursor gives the same page; two threads may ask for two at once. Raises SourceFailed, and
        SourceChanged when a cursor fits no longer.
        """
