"""What a run asks of its kind: read a portion, apply it in one transaction, say what became of each row.

    claim ──▶ read (no transaction) ──▶ apply + checkpoint (one transaction) ──▶ the next batch

A feed keeps nothing between two batches but what it may lose: the cursor, committed with each batch, is all that tells
where it goes on. A batch that fails is read again from the same cursor with fewer rows, until one row stands alone.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, Protocol, TypeVar

from sqlalchemy.orm import Session

from models.backfills.quarantine import SetAside
from models.backfills.runs import Run
from worker.sources.port import Cursor, Extent

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Portion(Generic[Item]):
    """What was read after a run's cursor: at most `rows_max` items, of which each is a row to be counted.

    `after` is the cursor behind all of them; `bytes_read` counts from the beginning of the source.
    """

    items: Sequence[Item]
    after: Cursor | None
    is_last: bool
    bytes_read: int = 0


@dataclass(frozen=True, slots=True)
class PastCap:
    """The row that would have moved more than the run may: where it stands, for people, and what it would move."""

    place: str
    currency: str
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of a portion, or of its first rows: each is posted, replayed, unchanged or set aside, once.

    `money` is {currency: {"posted" | "replayed": minor}}, sums of absolute amounts. With `past_cap` the next row would
    have moved more than the run may: `after` is the cursor before it, and `is_last` says nothing.
    `row_ids` are those of the rows that need no correction any more, whichever run has set them aside before.
    """

    after: Cursor | None
    is_last: bool
    bytes_read: int = 0
    posted: int = 0
    replayed: int = 0
    unchanged: int = 0
    set_aside: Sequence[SetAside] = ()
    money: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    past_cap: PastCap | None = None
    row_ids: Callable[[], Iterable[str]] = tuple

    @property
    def rows(self) -> int:
        return self.posted + self.replayed + self.unchanged + len(self.set_aside)


class Feed(Protocol[Item]):
    """One kind of backfill, for one run."""

    def extent(self) -> Extent:
        """How much there is, as far as it is known; asked once, before the first batch. Raises SourceFailed."""

    def read(self, run: Run, rows_max: int) -> Portion[Item]:
        """The next rows after `run.cursor`; from the beginning where it is None. The caller has no transaction open;
        of a RowsFeed a thread may read the next while another applies those before.

        The same cursor and `rows_max` give the same rows, or what has become of them. Raises SourceFailed, and
        SourceChanged when the cursor fits no longer.
        """

    def apply(self, session: Session, run: Run, portion: Portion[Item], *, now: datetime) -> Applied:
        """Do it, in the batch's transaction: safe to repeat, and with `run.dry_run` nothing but what a dry run notes.

        `run` is held, as it stands in the database: `run.posted_minor(currency)` against `run.max_amount_minor` is
        what is left of its cap. Whoever calls writes what is set aside, the counts and the cursor.
        """

    def blame(self, portion: Portion[Item], reason: str) -> Sequence[SetAside]:
        """The rows of a portion that cannot be applied, as `failed` for this reason: one of each item."""


@dataclass(frozen=True, slots=True)
class PaceFacts:
    """How a run has been going: at most `batch_rows` a batch; the last one asked for `rows_last` rows and held locks
    for `seconds_last`; `waited_seconds` ago. None before the first. Others waited
    for one of its batches `shared_seconds` ago, if ever."""

    batch_rows: int
    rows_last: int | None
    seconds_last: float | None
    waited_seconds: float | None
    shared_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Pace:
    """How many rows the next batch takes; `wait_seconds` > 0: not now, and asked again after them."""

    rows_next: int
    wait_seconds: float = 0.0


Pacing = Callable[[Session, PaceFacts, datetime], Pace]
"""Asked before each batch, in the transaction that claims it; reads what live work waits for."""


Waiters = Callable[[Session], int]
"""Asked as a batch is about to commit, in its transaction: how many sessions wait for what it holds."""


def nobody(_session: Session) -> int:
    """Not looked at."""
    return 0


def full_speed(_session: Session, facts: PaceFacts, _now: datetime) -> Pace:
    """For a machine without live work."""
    return Pace(facts.batch_rows)
