"""Backfills in this process: hands that hold no lock in Redis and send no message, and runs worked to their end."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import text

from models.backfills.quarantine import Quarantined, all_quarantined
from models.backfills.runs import Run
from tasks.backfills import service
from tasks.backfills.batch import BatchReport, run_batch
from tasks.backfills.hands import Hands
from tasks.backfills.service import StartRequest
from worker.database import Transaction
from worker.settings import TenantSettings


class NoLocks:
    """As with Redis away: everybody has them."""

    @contextmanager
    def held(self, _name: UUID | str, _seconds: float) -> Iterator[object]:
        yield self


def hands(
    transaction: Transaction, now: datetime, tenants: Mapping[str, TenantSettings] | None = None, **more: Any
) -> Hands:
    """`now` stands still."""
    known = tenants or {"acme": TenantSettings(name="acme")}
    given: dict[str, Any] = {"publish": lambda *_: None, "clock": lambda: now, "sleep": lambda _: None}
    return Hands(transaction, known, NoLocks(), **(given | more))


def started(hands: Hands, kind: str, source: Mapping[str, Any], **more: Any) -> UUID:
    request = StartRequest(uuid4(), "acme", kind, source, **({"actor": "ops", "reason": "moving"} | more))
    with hands.transaction() as session:
        return service.start(session, hands.tenants, request, now=hands.clock()).id


def worked(hands: Hands, run_id: UUID, batches_max: int = 10_000) -> Run:
    """Batch by batch, as long as there are more."""
    for _ in range(batches_max):
        report = batch(hands, run_id)
        if not report.more:
            break
    return report.run


def batch(hands: Hands, run_id: UUID) -> BatchReport:
    """The next one, as if the turn had been handed over to nobody."""
    with hands.transaction() as session:
        session.execute(text("UPDATE backfills SET claimed_until = NULL WHERE id = :id"), {"id": run_id})
    return run_batch(hands, run_id)


def set_aside(transaction: Transaction, run_id: UUID) -> list[Quarantined]:
    with transaction() as session:
        return list(all_quarantined(session, run_id))
