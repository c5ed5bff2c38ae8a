"""Rows that a backfill sets aside, each with where it stood, its text and the reason.

A row that is `waiting` found too little money at its turn: it is looked at again when the rest of the source has been
read, so that the order of the source does not matter. How the others are closed: models.backfills.closing.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.arrays import texts
from models.backfills.tables import backfill_quarantine
from models.changing import changed


@dataclass(frozen=True, slots=True)
class SetAside:
    """`place` is unique in a run: a line's number, or a key. `fields` are needed by a row that waits."""

    place: str
    line: int | None
    row_id: str | None
    raw: str
    code: str
    reason: str
    state: str = "open"
    fields: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Quarantined:
    """One row of the quarantine, as it stands."""

    id: int
    place: str
    line: int | None
    row_id: str | None
    raw: str
    code: str
    reason: str
    state: str
    fields: Mapping[str, Any] | None
    at: datetime
    closed_at: datetime | None
    closed_by: str | None
    closed_reason: str | None


COLUMNS = """
    id, place, line, row_id, raw, code, reason, state, fields, at, closed_at, closed_by, closed_reason
"""

PAGE = """
    SELECT {columns} FROM backfill_quarantine
    WHERE backfill_id = :backfill_id AND state = ANY(CAST(:states AS text[])) AND id > :after
    ORDER BY id LIMIT :rows
"""
ONWARDS = text(PAGE.format(columns=COLUMNS))

WAITING = """
    SELECT {columns} FROM backfill_quarantine
    WHERE backfill_id = :backfill_id AND state = 'waiting'
        AND (CAST(:after AS bigint) IS NULL OR id {beyond} :after)
    ORDER BY id {way} LIMIT :rows
"""
WAITING_FORWARDS = text(WAITING.format(columns=COLUMNS, beyond=">", way="ASC"))
WAITING_BACKWARDS = text(WAITING.format(columns=COLUMNS, beyond="<", way="DESC"))

SETTLE = text("""
    UPDATE backfill_quarantine q SET state = n.state, code = n.code, reason = n.reason
    FROM unnest(CAST(:places AS text[]), CAST(:states AS text[]), CAST(:codes AS text[]), CAST(:reasons AS text[]))
        AS n (place, state, code, reason)
    WHERE q.backfill_id = :backfill_id AND q.place = n.place
""")

GIVE_UP = text("""
    UPDATE backfill_quarantine SET state = 'open' WHERE backfill_id = :backfill_id AND state = 'waiting'
""")


def set_aside(session: Session, backfill_id: UUID, rows: Sequence[SetAside], *, now: datetime) -> None:
    """Write them, in the transaction of their batch."""
    if rows:
        session.execute(
            backfill_quarantine.insert(),
            [
                {
                    "backfill_id": backfill_id, "place": row.place, "line": row.line, "row_id": row.row_id,
                    "raw": row.raw, "code": row.code, "reason": row.reason, "state": row.state,
                    "fields": None if row.fields is None else dict(row.fields), "at": now,
                }
                for row in rows
            ],
        )  # fmt: skip


def quarantined(
    session: Session,
    backfill_id: UUID,
    *,
    states: Collection[str] = ("open",),
    after: int = 0,
    rows: int = 500,
) -> list[Quarantined]:
    """A page in the order they were set aside; `after` is the id of the last one seen."""
    values = {"backfill_id": backfill_id, "states": list(states), "after": after, "rows": rows}
    return [Quarantined(**row) for row in session.execute(ONWARDS, values).mappings()]


def all_quarantined(
    session: Session, backfill_id: UUID, *, states: Collection[str] = ("open",)
) -> Iterator[Quarantined]:
    """All of them, page by page."""
    after = 0
    while page := quarantined(session, backfill_id, states=states, after=after):
        yield from page
        after = page[-1].id


def waiting_rows(
    session: Session, backfill_id: UUID, *, after: int | None, rows: int, backwards: bool = False
) -> list[Quarantined]:
    """A page of those that wait, in the order they were set aside or from the last on."""
    query = WAITING_BACKWARDS if backwards else WAITING_FORWARDS
    values = {"backfill_id": backfill_id, "after": after, "rows": rows}
    return [Quarantined(**row) for row in session.execute(query, values).mappings()]


def settle(session: Session, backfill_id: UUID, rows: Sequence[tuple[str, str, str, str]]) -> None:
    """(place, state, code, reason) of rows that were looked at again."""
    if rows:
        places, states, codes, reasons = zip(*rows, strict=True)
        columns = {
            "places": texts(places), "states": texts(states), "codes": texts(codes), "reasons": texts(reasons),
        }  # fmt: skip
        session.execute(SETTLE, {"backfill_id": backfill_id, **columns})


def give_up_waiting(session: Session, backfill_id: UUID) -> int:
    """No pass helps them any more: what waits stays set aside. How many there were."""
    return changed(session, GIVE_UP, {"backfill_id": backfill_id})
