"""What an invariant is and how it is asked: a named SQL check that selects what is broken, with its remedy.

A query selects (tenant, subject, detail) rows, so that an empty answer is the proof. At most BROKEN_ROWS_MAX are told.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.base import require_aware

BROKEN_ROWS_MAX = 100


@dataclass(frozen=True, slots=True)
class Invariant:
    """One promise: what it means, what to do when it is broken, and the query for what breaks it.

    One that is `timed` has `:now` in its query: it is about what has been left lying for too long.
    """

    name: str
    meaning: str
    remedy: str
    query: str
    timed: bool = False


@dataclass(frozen=True, slots=True)
class Broken:
    """One thing that breaks an invariant."""

    tenant: str
    subject: str
    detail: str


@dataclass(frozen=True, slots=True)
class Check:
    """What one invariant's query found; clean when `broken` is empty."""

    name: str
    meaning: str
    remedy: str
    broken: tuple[Broken, ...]


def ask(
    session: Session,
    invariants: Sequence[Invariant],
    tenant: str | None = None,
    *,
    now: datetime | None = None,
) -> list[Check]:
    """Ask each, of one tenant or of all; those that are `timed` only when it is said what time it is. Reads only."""
    return [_check(session, one, tenant, now) for one in invariants if now is not None or not one.timed]


def _check(session: Session, invariant: Invariant, tenant: str | None, now: datetime | None) -> Check:
    query = text(f"""
        SELECT broken.* FROM ({invariant.query}) AS broken (tenant, subject, detail)
        WHERE CAST(:tenant AS text) IS NULL OR broken.tenant = :tenant
        ORDER BY 1, 2 LIMIT {BROKEN_ROWS_MAX}
    """)  # noqa: S608 - the queries stand in models/, nothing of a caller's is in them
    values = {"tenant": tenant} | ({"now": require_aware(now)} if invariant.timed and now is not None else {})
    rows = session.execute(query, values)
    return Check(invariant.name, invariant.meaning, invariant.remedy, tuple(Broken(*row) for row in rows))
