"""What becomes of a row: what it asks of the ledger, and what the ledger's answer means for it. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from models.backfills.quarantine import SetAside
from models.errors import MalformedPosting
from models.ledger.outcomes import Posting, Refused
from tasks.backfills.postings import as_fields
from worker.sources.port import RAW_LENGTH_MAX, BadRow, PostingRow, Row


@dataclass(frozen=True, slots=True)
class Unchanged:
    """Nothing is to be done: the ledger says the same."""


Judged = Posting | Unchanged | SetAside

REFUSALS = {
    "idempotency_conflict": (
        "conflict",
        "a row with this id and another content was posted before, and stands",
    ),
    "insufficient_funds": (
        "insufficient_funds",
        "the wallet did not have the money, whatever the order of the rows",
    ),
    "amount_out_of_range": ("amount_out_of_range", "the balance would be past what an account can hold"),
}


CLOCKS_APART = timedelta(minutes=5)
"""So far the older system's clock may be ahead of ours."""
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


def untimely(row: Row | BadRow, now: datetime) -> SetAside | None:
    """The row set aside, when its time is none at which anything can have happened."""
    if isinstance(row, BadRow):
        return None
    at = row.occurred_at if isinstance(row, PostingRow) else row.as_of
    if at > now + CLOCKS_APART:
        return aside(row, "future_time", "its time has not come yet: a year or a zone that is wrong?")
    if at < BEGINNING:
        return aside(row, "ancient_time", "its time is before 1970: a year or a form that is wrong?")
    return None


def bad(row: BadRow) -> SetAside:
    """What the source could not read."""
    return SetAside(row.place, row.line, row.row_id, row.raw, row.code, row.reason)


def aside(row: Row, code: str, reason: str, state: str = "open") -> SetAside:
    """A row that was read and may not, or cannot yet, be applied."""
    fields = as_fields(row) if state == "waiting" else None
    return SetAside(row.place, row.line, row.row_id, row.raw[:RAW_LENGTH_MAX], code, reason, state, fields)


def refused(row: Row, said: Refused) -> SetAside:
    """What the ledger refused. Who lacks money waits until all the rest has been read."""
    code, reason = REFUSALS.get(said.code, (said.code, f"the ledger refused it: {said.code}"))
    return aside(row, code, reason, "waiting" if code == "insufficient_funds" else "open")


def posting_or_aside(row: Row, make: Callable[[], Posting]) -> Posting | SetAside:
    """What `make` makes of the row, if the ledger can hold it."""
    try:
        return make()
    except MalformedPosting as malformed:
        return aside(row, "malformed", str(malformed))
