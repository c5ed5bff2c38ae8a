"""A redrive without consequences: queue the jobs, drain the lane by the very code that would, look, and undo it all."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.jobs.outcomes import Done, Outcome
from models.jobs.repair import requeue
from models.tenants import Tenant
from tasks.intake.port import Handler, Route, Routing, Work
from tasks.intake.service import drain

BATCHES_MAX = 1000
SECONDS_MAX = 20.0

Prediction = Literal[
    "moves_money", "takes_effect", "no_op", "refused", "parks", "fails", "dies", "not_reached"
]
"""What would become of a job.

moves_money: done, with a new ledger transaction · takes_effect: done, and something else than money changes ·
no_op: done, and its effect was there before · refused: by a business rule, for good · parks: waits for something ·
fails: breaks with an error, is tried four times more and then dead · dies: dead at once ·
not_reached: the lane holds more than a rehearsal takes on
"""

BY_STATE: dict[str, Prediction] = {
    "refused": "refused",
    "parked": "parks",
    "cooling": "fails",
    "dead": "dies",
    "queued": "not_reached",
}

# Only what the rehearsal itself wrote carries its transaction's now().
STANDING = text("""
    SELECT j.id, j.state, EXISTS (
        SELECT FROM ledger_transactions t WHERE t.job_id = j.id AND t.created_at = now()) AS moved
    FROM jobs j WHERE j.id = ANY(CAST(:ids AS uuid[]))
""")


def rehearse(
    session: Session,
    tenant: str,
    ids: Collection[UUID],
    states: Sequence[str],
    *,
    routing: Routing,
    now: datetime,
    seconds_max: float = SECONDS_MAX,
) -> dict[UUID, Prediction]:
    """What would become of these jobs if they were redriven now, with the rest of their lane. Nothing remains.

    Holds the lane meanwhile, so no drain is at work in it; raises LaneBusy when it cannot be had, BatchFailed when
    the database fails. A job that is no longer in one of `states` is left out.
    """
    undone = session.begin_nested()
    try:
        queued = requeue(session, tenant, ids, states, now=now)
        audience = _Audience()
        drain(
            partial(_savepoint, session),
            tenant,
            routing={name: audience.at(route) for name, route in routing.items()},
            clock=lambda: now,
            sleep=lambda _: None,
            batches_max=BATCHES_MAX,
            seconds_max=seconds_max,
        )
        rows = session.execute(STANDING, {"ids": queued})
        return {row.id: _prediction(row.state, row.moved, audience.reasons.get(row.id, "")) for row in rows}
    finally:
        undone.rollback()


def _prediction(state: str, moved: bool, reason: str) -> Prediction:
    if state != "done":
        return BY_STATE[state]
    if moved:
        return "moves_money"
    return "no_op" if reason else "takes_effect"


@contextmanager
def _savepoint(session: Session) -> Iterator[Session]:
    """A transaction within the transaction: what the drain commits stays inside, what fails goes alone."""
    with session.begin_nested():
        yield session


@dataclass
class _Audience:
    """Notes why a job was done; the row does not say it. A later run of the same job overwrites an earlier one."""

    reasons: dict[UUID, str] = field(default_factory=dict)

    def at(self, route: Route[Any]) -> Route[Any]:
        return replace(route, handler=partial(self._watch, route.handler))

    def _watch(
        self,
        handler: Handler[Any],
        session: Session,
        work: Sequence[Work[Any]],
        *,
        tenant: Tenant,
        now: datetime,
    ) -> list[Outcome]:
        outcomes = handler(session, work, tenant=tenant, now=now)
        done = zip(work, outcomes, strict=False)  # the drain itself tells a handler that answers too little
        self.reasons |= {one.job.id: outcome.reason for one, outcome in done if isinstance(outcome, Done)}
        return outcomes
