"""What people decide about payouts: approve, reject, cancel, retry, mark_paid, mark_failed. Each is audited.

One run of commands costs a constant number of statements. A payout is locked, decided for each of its commands in
turn, and moved at most once: after it, the next command of the same name meets another state.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.audit import audit_events
from models.base import require_aware
from models.jobs.outcomes import Done, Outcome, Refused
from models.payouts.moving import Move, Note, move, note
from models.payouts.payout import Attempt, Payout
from models.payouts.rows import attempts_of, lock_payouts
from models.payouts.states import LIVE_OUTCOMES
from models.tenants import Tenant
from tasks.intake.port import Touched, Work
from tasks.payouts import policy
from worker.catalogue import PayoutCommand

Command = Work[PayoutCommand]


@dataclass(frozen=True, slots=True)
class Facts:
    """What a command is decided by. `live` is the payout's attempt that may still pay."""

    payout: Payout
    live: Attempt | None
    tenant: Tenant
    now: datetime


Decide = Callable[[Facts, PayoutCommand], Payout | Refused]


@dataclass(frozen=True, slots=True)
class Kind:
    """A command: how it is decided, the word for it in the payout's history, and what becomes of its attempt."""

    decide: Decide
    cause: str
    attempt_outcome: str | None = None


KINDS: Mapping[str, Kind] = {
    "payouts.approve": Kind(lambda at, args: policy.approve(at.payout, args.actor, at.now), "approved"),
    "payouts.reject": Kind(lambda at, _: policy.reject(at.payout), "rejected"),
    "payouts.cancel": Kind(lambda at, _: policy.cancel(at.payout, at.live), "cancelled", "abandoned"),
    "payouts.retry": Kind(lambda at, _: policy.retry(at.payout, at.tenant.policy, at.now), "retried"),
    "payouts.mark_paid": Kind(lambda at, _: policy.mark_paid(at.payout, at.live), "person", "paid"),
    "payouts.mark_failed": Kind(lambda at, _: policy.mark_failed(at.payout, at.live), "person", "failed"),
}

# A command that took effect left its job's id in the history of the payout.
APPLIED = text("""
    SELECT job_id FROM payout_events
    WHERE payout_id = ANY(CAST(:payout_ids AS uuid[])) AND job_id = ANY(CAST(:job_ids AS uuid[]))
""")

SEND_SOONER = text("""
    UPDATE payouts SET next_attempt_at = :now, updated_at = :now WHERE id = ANY(CAST(:ids AS uuid[]))
""")

END_ATTEMPTS = text("""
    UPDATE payout_attempts a SET outcome = :outcome, finished_at = :now
    FROM unnest(CAST(:ids AS uuid[]), CAST(:numbers AS int[])) AS n (payout_id, attempt_no)
    WHERE a.payout_id = n.payout_id AND a.attempt_no = n.attempt_no
""")


@dataclass(slots=True)
class _Desk:
    """What stands while a run of commands is decided; grows as it goes on."""

    kind: Kind
    tenant: Tenant
    now: datetime
    payouts: dict[UUID, Payout]
    live: Mapping[UUID, Attempt]
    applied: frozenset[UUID]
    changes: list[tuple[Command, Payout, Payout]] = field(default_factory=list)

    def answer(self, one: Command) -> Outcome:
        payout = self.payouts.get(UUID(one.args.payout_id))
        if payout is None:
            return Refused("unknown_payout")
        if one.job.id in self.applied:
            return _done(payout, "replayed")
        facts = Facts(payout, self.live.get(payout.id), self.tenant, self.now)
        decided = self.kind.decide(facts, one.args)
        if isinstance(decided, Refused):
            return decided
        self.changes.append((one, payout, decided))
        self.payouts[payout.id] = decided
        return _done(decided)


def touch_payouts(session: Session, tenant: str, work: Sequence[Command]) -> Sequence[Touched]:
    """The payout and its owner; everything, where an earlier job may yet make the payout. Locks the payouts."""
    ids = [UUID(one.args.payout_id) for one in work]
    payouts = lock_payouts(session, tenant, set(ids))
    return [
        frozenset({f"payout:{one}", f"owner:{payouts[one].owner}"}) if one in payouts else None for one in ids
    ]


def _apply(
    session: Session, work: Sequence[Command], *, tenant: Tenant, now: datetime, name: str
) -> list[Outcome]:
    """Handler of the command `name`: one outcome per job, in order."""
    desk = _open_desk(session, KINDS[name], work, tenant, now)
    outcomes = [desk.answer(one) for one in work]
    if desk.changes:
        _write(session, desk)
    return outcomes


apply_approvals = partial(_apply, name="payouts.approve")
apply_rejections = partial(_apply, name="payouts.reject")
apply_cancellations = partial(_apply, name="payouts.cancel")
apply_retries = partial(_apply, name="payouts.retry")
apply_paid_marks = partial(_apply, name="payouts.mark_paid")
apply_failed_marks = partial(_apply, name="payouts.mark_failed")


def _open_desk(session: Session, kind: Kind, work: Sequence[Command], tenant: Tenant, now: datetime) -> _Desk:
    payouts = lock_payouts(session, tenant.name, {UUID(one.args.payout_id) for one in work})
    attempts = attempts_of(session, list(payouts)) if payouts else {}
    live = {one: alive for one, made in attempts.items() if (alive := _alive(made))}
    return _Desk(kind, tenant, require_aware(now), payouts, live, _applied(session, payouts, work))


def _alive(attempts: Sequence[Attempt]) -> Attempt | None:
    return next((attempt for attempt in attempts if attempt.outcome in LIVE_OUTCOMES), None)


def _applied(session: Session, payouts: Mapping[UUID, Payout], work: Sequence[Command]) -> frozenset[UUID]:
    """Which of these jobs have taken effect before."""
    if not payouts:
        return frozenset()
    values = {"payout_ids": sorted(payouts), "job_ids": sorted(one.job.id for one in work)}
    return frozenset(session.execute(APPLIED, values).scalars())


def _write(session: Session, desk: _Desk) -> None:
    """The moves, or notes where the state stays; the attempts; who did it and why."""
    moved = [_move(desk, *change) for change in desk.changes if change[1].state != change[2].state]
    move(session, moved, now=desk.now, shadow=desk.tenant.shadow)
    sooner = [change for change in desk.changes if change[1].state == change[2].state]
    _send_sooner(session, desk, sooner)
    _end_attempts(session, desk, [one.after.id for one in moved])
    session.execute(audit_events.insert(), [_audit_event(*change, desk.now) for change in desk.changes])


def _move(desk: _Desk, one: Command, before: Payout, after: Payout) -> Move:
    attempt = desk.live.get(after.id)
    return Move(
        before,
        after,
        desk.kind.cause,
        attempt_no=attempt.attempt_no if attempt else None,
        code=after.failure_code,
        actor=one.args.actor,
        reason=one.args.reason,
        job_id=one.job.id,
    )


def _send_sooner(session: Session, desk: _Desk, changes: Sequence[tuple[Command, Payout, Payout]]) -> None:
    """No move: the payout waits as before, but not as long."""
    if not changes:
        return
    session.execute(SEND_SOONER, {"ids": sorted({after.id for _, _, after in changes}), "now": desk.now})
    notes = [
        Note(after, desk.kind.cause, actor=one.args.actor, reason=one.args.reason, job_id=one.job.id)
        for one, _, after in changes
    ]
    note(session, notes, now=desk.now)


def _end_attempts(session: Session, desk: _Desk, ids: Sequence[UUID]) -> None:
    ended = [desk.live[payout_id] for payout_id in ids if payout_id in desk.live]
    if desk.kind.attempt_outcome and ended:
        values = {"ids": [one.payout_id for one in ended], "numbers": [one.attempt_no for one in ended]}
        session.execute(END_ATTEMPTS, values | {"outcome": desk.kind.attempt_outcome, "now": desk.now})


def _audit_event(one: Command, before: Payout, after: Payout, now: datetime) -> dict[str, Any]:
    return {
        "tenant": one.job.tenant,
        "actor": one.args.actor,
        "action": one.job.name,
        "subject": after.subject,
        "reason": one.args.reason,
        "detail": {"before": before.state, "after": after.state},
        "job_id": one.job.id,
        "at": now,
    }


def _done(payout: Payout, reason: str = "") -> Done:
    return Done({"payout_id": str(payout.id), "state": payout.state}, reason)
