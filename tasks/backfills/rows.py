"""Rows of an older system into the ledger: history and opening balances, from any source.

cursor = {"at": the source's own, "skip": rows after it that were applied already, where a cap cut a page}
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from sqlalchemy.orm import Session

from models.backfills.quarantine import SetAside
from models.backfills.runs import Run
from models.ledger.outcomes import Created, Posting, PostingOutcome, Refused, Replayed
from models.ledger.posting import post
from models.ledger.rehearsing import rehearse
from models.tenants import load_tenant
from tasks.backfills import judging
from tasks.backfills.correcting import brought
from tasks.backfills.judging import Judged
from tasks.backfills.openings import judge_openings, refuse_moved_meanwhile
from tasks.backfills.policy import within_cap
from tasks.backfills.port import Applied, PastCap, Portion
from tasks.backfills.postings import history_posting
from worker.sources.port import BadRow, Cursor, Extent, OpeningRow, PostingRow, Row, RowSource

Read = Row | BadRow
Meanwhile = Callable[[], object]
Asked = tuple[Read, Judged | None]
"""A row and what it asks of the ledger, made while it is read; None where the ledger is looked at first."""


@dataclass(slots=True)
class Taken:
    """What became of rows, one after another. `moves` has what each row created: currency and amount; `past_cap` is the
    first row that does not fit."""

    posted: int = 0
    replayed: int = 0
    unchanged: int = 0
    set_aside: list[SetAside] = field(default_factory=list)
    moves: list[tuple[str, int] | None] = field(default_factory=list)
    money: dict[str, Counter[str]] = field(default_factory=dict)
    past_cap: PastCap | None = None

    def count(self, judged: Judged, row: Read, outcome: PostingOutcome | None) -> None:
        """One row more."""
        move = None
        match outcome:
            case Created():
                self.posted += 1
                move = self._add("posted", judged)
            case Replayed():
                self.replayed += 1
                self._add("replayed", judged)
            case Refused() if not isinstance(row, BadRow):
                self.set_aside.append(judging.refused(row, outcome))
            case _ if isinstance(judged, SetAside):
                self.set_aside.append(judged)
            case _:
                self.unchanged += 1
        self.moves.append(move)

    def _add(self, what: str, judged: Judged) -> tuple[str, int]:
        assert isinstance(judged, Posting)  # noqa: S101 - what has an outcome was posted
        leg = judged.legs[0]
        currency, amount = leg.currency, abs(leg.amount_minor)
        if (sums := self.money.get(currency)) is None:
            sums = self.money[currency] = Counter()
        sums[what] += amount
        return currency, amount


@dataclass(frozen=True, slots=True)
class RowsFeed:
    """A Feed of the rows of one source. `meanwhile` is called when PostgreSQL is given the most of a batch."""

    source: RowSource
    meanwhile: Meanwhile | None = None

    def extent(self) -> Extent:
        return self.source.extent()

    def read(self, run: Run, rows_max: int) -> Portion[Asked]:
        at, skip = _place(run)
        if skip:
            at = self.source.page(at, skip).after
        page = self.source.page(at, rows_max)
        rows = [asked(run, row) for row in page.rows]
        return Portion(rows, {"at": dict(page.after), "skip": 0}, page.is_last, page.bytes_read)

    def apply(self, session: Session, run: Run, portion: Portion[Asked], *, now: datetime) -> Applied:
        taken, rows = take(session, run, portion.items, now, self.meanwhile)
        cut = rows < len(portion.items)
        return Applied(
            after=_cut(run, rows) if cut else portion.after,
            is_last=portion.is_last,
            bytes_read=run.bytes_read if cut else portion.bytes_read,
            posted=taken.posted,
            replayed=taken.replayed,
            unchanged=taken.unchanged,
            set_aside=taken.set_aside,
            money=taken.money,
            past_cap=taken.past_cap,
            row_ids=brought([row for row, _ in portion.items[:rows]], taken.set_aside),
        )

    def blame(self, portion: Portion[Asked], reason: str) -> list[SetAside]:
        return [blamed(row, reason) for row, _ in portion.items]


def asked(run: Run, row: Read) -> Asked:
    """What the row asks for, as far as it alone says it."""
    if isinstance(row, PostingRow):
        return row, judging.posting_or_aside(row, partial(history_posting, run.tenant, run.namespace, row))
    return row, judging.bad(row) if isinstance(row, BadRow) else None


def take(
    session: Session, run: Run, rows: Sequence[Asked], now: datetime, meanwhile: Meanwhile | None = None
) -> tuple[Taken, int]:
    """Apply the rows, or as many of the first as the run's cap lets pass: how many."""
    if run.max_amount_minor is None:
        return _take(session, run, rows, now, meanwhile), len(rows)
    fit, past_cap = len(rows), None
    while True:
        savepoint = session.begin_nested()
        taken = _take(session, run, rows[:fit], now, meanwhile)
        within = within_cap(run, taken.moves)
        if within == fit:
            savepoint.commit()
            taken.past_cap = past_cap
            return taken, fit
        savepoint.rollback()
        fit, past_cap = within, _past_cap(rows[within][0], taken.moves[within])


def _past_cap(row: Read, move: tuple[str, int] | None) -> PastCap | None:
    place = f"row {row.place}" if row.line is None else f"line {row.line:,}"
    return None if move is None else PastCap(place, *move)


def blamed(row: Read, reason: str) -> SetAside:
    """The row that makes its batch fail."""
    if isinstance(row, BadRow):
        return SetAside(row.place, row.line, row.row_id, row.raw, "failed", reason)
    return judging.aside(row, "failed", reason)


def _take(
    session: Session, run: Run, rows: Sequence[Asked], now: datetime, meanwhile: Meanwhile | None
) -> Taken:
    untimely = [judging.untimely(row, now) for row, _ in rows]
    timely = zip(rows, untimely, strict=True)
    openings = [row for (row, _), aside in timely if aside is None and isinstance(row, OpeningRow)]
    judged_openings, moved = judge_openings(session, run, openings) if openings else ([], [])
    rest = iter(judged_openings)
    judged = [aside or told or next(rest) for (_, told), aside in zip(rows, untimely, strict=True)]
    outcomes = iter(_post(session, run, [one for one in judged if isinstance(one, Posting)], now, meanwhile))
    if openings and not run.dry_run:
        refuse_moved_meanwhile(session, run, openings, moved)
    taken = Taken()
    for one, (row, _) in zip(judged, rows, strict=True):
        taken.count(one, row, next(outcomes) if isinstance(one, Posting) else None)
    return taken


def _post(
    session: Session, run: Run, postings: list[Posting], now: datetime, meanwhile: Meanwhile | None
) -> list[PostingOutcome]:
    if not postings:
        return []
    shadow = load_tenant(session, run.tenant).shadow
    if run.dry_run:
        if meanwhile is not None:
            meanwhile()
        return rehearse(session, postings, backfill_id=run.id, shadow=shadow)
    return post(session, postings, now=now, shadow=shadow, meanwhile=meanwhile)


def _place(run: Run) -> tuple[Cursor | None, int]:
    return (None, 0) if run.cursor is None else (run.cursor["at"], int(run.cursor["skip"]))


def _cut(run: Run, rows: int) -> Cursor:
    at, skip = _place(run)
    return {"at": at, "skip": skip + rows}
