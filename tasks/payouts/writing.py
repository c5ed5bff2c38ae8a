"""Writing a decision down: the attempt, the moves in order or a note, and what a person should look at."""

from dataclasses import replace
from datetime import datetime

from sqlalchemy.orm import Session

from models.payouts.attempts import name_object, postpone_lookup, write_and_wake, write_attempt
from models.payouts.moving import Move, Note, move, note
from models.payouts.payout import Payout
from models.payouts.rows import wait_keys
from models.reconciliation import Finding, record_findings
from models.tenants import Tenant
from tasks.payouts.decisions import Decision


def write(session: Session, payout: Payout, decision: Decision, *, tenant: Tenant, now: datetime) -> Payout:
    """Make it so, for a payout that is locked; the payout as it is then."""
    attempt = decision.attempt
    if decision.given_up is not None:
        write_attempt(session, decision.given_up)
    if attempt.object_id and attempt.object_id != payout.provider_reference:
        keys = wait_keys(payout.provider, None, attempt.object_id)
        write_and_wake(session, attempt, keys, now=now)
    else:
        write_attempt(session, attempt)
    standing = payout
    for step in decision.steps:
        made = Move(
            before=standing,
            after=replace(step.after, version=standing.version),
            cause=step.cause,
            attempt_no=attempt.attempt_no,
            code=step.code,
            detail=step.detail,
        )
        [standing] = move(session, [made], now=now, shadow=tenant.shadow)
    if not decision.steps:
        _write_unmoved(session, payout, decision)
    if decision.note:
        _note(session, standing, decision, now)
    if decision.finding:
        record_findings(session, [_finding(payout, decision)], now=now)
    return standing


def _write_unmoved(session: Session, payout: Payout, decision: Decision) -> None:
    changed = decision.payout
    if changed.lookups_made != payout.lookups_made and changed.next_lookup_at is not None:
        postpone_lookup(
            session, payout.id, lookups_made=changed.lookups_made, next_lookup_at=changed.next_lookup_at
        )
    if changed.provider_reference is not None and changed.provider_reference != payout.provider_reference:
        name_object(session, payout.id, changed.provider_reference)


def _note(session: Session, payout: Payout, decision: Decision, now: datetime) -> None:
    noted = Note(
        payout,
        decision.note or "",
        attempt_no=decision.attempt.attempt_no,
        code=decision.code,
        detail=decision.detail,
    )
    note(session, [noted], now=now)


def _finding(payout: Payout, decision: Decision) -> Finding:
    """A person looks at one payout once, however often it is seen."""
    return Finding(
        tenant=payout.tenant,
        provider=payout.provider,
        kind=decision.finding or "",
        subject=payout.subject,
        amount_minor=payout.amount_minor,
        currency=payout.currency,
        detail={
            "attempt_no": decision.attempt.attempt_no,
            "code": decision.code,
            **({"cause": decision.mark} if decision.mark else {}),
            **decision.detail,
        },
        mark=decision.mark,
    )
