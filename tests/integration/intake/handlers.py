"""Job families for the tests of the drain: they write each effect as one audit event, so that it can be counted."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.audit import record
from models.jobs.outcomes import Done, Outcome
from models.tenants import Tenant
from tasks.intake.port import Route, Routing, Work
from worker.database import Transaction

Act = Callable[[Session, Sequence[Work[Mapping[str, Any]]]], None]


class Effects:
    """A handler that records one audit event per job, and calls `act` first."""

    def __init__(self, act: Act = lambda _session, _work: None) -> None:
        self._act = act
        self.runs: list[list[str]] = []

    def __call__(
        self, session: Session, work: Sequence[Work[Mapping[str, Any]]], *, tenant: Tenant, now: datetime
    ) -> list[Outcome]:
        self.runs.append([one.job.idempotency_key for one in work])
        self._act(session, work)
        for one in work:
            record(
                session,
                tenant=tenant.name,
                actor="test",
                action=one.job.name,
                subject=one.job.idempotency_key,
                reason="test",
                now=now,
            )
        return [Done() for _ in work]


def routing(**handlers: Any) -> Routing:
    """Routes of these names; arguments are taken as they come."""
    return {name: Route(dict, handler) for name, handler in handlers.items()}


def effects(transaction: Transaction, tenant: str = "acme") -> list[str]:
    """The keys of the jobs that took effect, in order, as often as they did."""
    with transaction() as session:
        found = session.execute(
            text("SELECT subject FROM audit_events WHERE tenant = :tenant AND actor = 'test' ORDER BY id"),
            {"tenant": tenant},
        )
        return list(found.scalars())
