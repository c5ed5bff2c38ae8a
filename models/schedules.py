"""Schedule slots: each due slot of each schedule is one row, inserted once, however many Beats run."""

from datetime import datetime

from sqlalchemy import Column, PrimaryKeyConstraint, Table, Text, func, text
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.orm import Session

from models.base import Instant, metadata

schedule_slots = Table(
    "schedule_slots",
    metadata,
    Column("schedule", Text, nullable=False),
    Column("slot", Instant, nullable=False),
    Column("claimed_at", Instant, nullable=False),
    Column("finished_at", Instant),
    Column("result", JSONB, nullable=False, server_default=text("'{}'")),
    Column("created_at", Instant, nullable=False, server_default=func.now()),
    PrimaryKeyConstraint("schedule", "slot"),
)


def claim_slot(session: Session, schedule: str, slot: datetime, *, now: datetime) -> bool:
    """True for exactly one caller per (schedule, slot), in whose transaction the row then stands."""
    statement = (
        insert(schedule_slots)
        .values(schedule=schedule, slot=slot, claimed_at=now)
        .on_conflict_do_nothing()
        .returning(schedule_slots.c.slot)
    )
    return session.execute(statement).one_or_none() is not None


def last_slot(session: Session, schedule: str) -> datetime | None:
    """The newest slot ever claimed, or None before the first."""
    found: datetime | None = session.execute(
        schedule_slots.select()
        .with_only_columns(func.max(schedule_slots.c.slot))
        .where(schedule_slots.c.schedule == schedule)
    ).scalar_one()
    return found


def finish_slot(
    session: Session, schedule: str, slot: datetime, result: dict[str, object], *, now: datetime
) -> None:
    """Record what the slot's work found."""
    session.execute(
        schedule_slots.update()
        .where(schedule_slots.c.schedule == schedule, schedule_slots.c.slot == slot)
        .values(finished_at=now, result=result)
    )
