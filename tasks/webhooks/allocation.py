"""deposits.allocate: what was paid beyond the announced amount goes to its owner, or has gone back to the payer."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from models.audit import audit_events
from models.base import require_aware
from models.jobs.outcomes import Done, Outcome, Refused
from models.ledger.outcomes import Posting
from models.ledger.outcomes import Refused as PostingRefused
from models.ledger.posting import post
from models.tenants import Tenant
from tasks.intake.port import Work
from tasks.webhooks.deposit_changes import Change, save_changes
from tasks.webhooks.facts import Deposit
from tasks.webhooks.rows import lock_deposits, shortfalls
from tasks.webhooks.service import posting_of
from worker.catalogue import DepositAllocate

KINDS = {"owner": "deposit.allocated", "payer": "deposit.refunded"}


@dataclass(frozen=True, slots=True)
class _Allocation:
    """One job that may be posted: its deposit's row, as it was and as it will be."""

    position: int
    row_id: int
    change: Change


def allocate_deposits(
    session: Session, work: Sequence[Work[DepositAllocate]], *, tenant: Tenant, now: datetime
) -> list[Outcome]:
    """Handler of `deposits.allocate`: one outcome per job, in order; each allocation is audited."""
    now = require_aware(now)
    references = {(one.args.provider, one.args.reference) for one in work}
    deposits = lock_deposits(session, tenant.name, references, ())
    outcomes, planned = _decide(work, deposits)
    refused = _post(session, work, planned, tenant, now)
    outcomes |= refused
    stands = [one for one in planned if one.position not in refused]
    changes = {one.row_id: Change(deposits[one.row_id], one.change.after) for one in stands}
    if changes:
        save_changes(session, tenant.name, changes, now=now)
        session.execute(
            audit_events.insert(), [_audit(work[one.position], one.change, now) for one in stands]
        )
    return [outcomes[position] for position in range(len(work))]


def _decide(
    work: Sequence[Work[DepositAllocate]], deposits: dict[int, Deposit]
) -> tuple[dict[int, Outcome], list[_Allocation]]:
    rows = {(one.provider, one.reference): row_id for row_id, one in deposits.items()}
    latest = dict(deposits)
    outcomes: dict[int, Outcome] = {}
    planned = []
    for position, one in enumerate(work):
        row_id = rows.get((one.args.provider, one.args.reference))
        after = Refused("unknown_deposit") if row_id is None else allocate(latest[row_id], one.args)
        if isinstance(after, Refused) or row_id is None:
            outcomes[position] = after if isinstance(after, Refused) else Refused("unknown_deposit")
            continue
        planned.append(_Allocation(position, row_id, Change(latest[row_id], after)))
        outcomes[position] = Done({"duplicate_minor": after.position.duplicate})
        latest[row_id] = after
    return outcomes, planned


def allocate(deposit: Deposit, args: DepositAllocate) -> Deposit | Refused:
    """The deposit after the job. No more than what is a duplicate may be allocated. Pure."""
    duplicate = deposit.position.duplicate
    if args.currency != deposit.currency:
        return Refused("currency_mismatch", {"currency": deposit.currency})
    if args.amount_minor > duplicate:
        return Refused("exceeds_duplicate", {"duplicate_minor": duplicate})
    if args.to == "owner":
        return _allocated(deposit, args.amount_minor)
    return _given_back(deposit, args)


def _allocated(deposit: Deposit, amount_minor: int) -> Deposit:
    """Of the newest payments, as far as they stand and are not allocated yet."""
    allocated, left = dict(deposit.allocated), amount_minor
    for payment in reversed(deposit.payments):
        known = deposit.allocated_of(payment)
        more = min(left, max(deposit.standing_of(payment), 0) - known)
        if more:
            allocated[payment], left = known + more, left - more
    return replace(deposit, allocated=allocated)


def _given_back(deposit: Deposit, args: DepositAllocate) -> Deposit | Refused:
    """Of the payment that is named, else of the only one that has so much. The provider's event of it moves no more."""
    standing = {one: deposit.standing_of(one) for one in deposit.payments}
    able = [one for one, minor in standing.items() if minor >= args.amount_minor]
    named = [one for one in able if args.payment in (None, one)]
    if len(named) != 1:
        return Refused("payment_needed" if named else "exceeds_payment", {"payments": standing})
    [payment] = named
    known = max(deposit.ever_refunded_of(payment), deposit.given_back.get(payment, 0))
    return replace(deposit, given_back={**deposit.given_back, payment: known + args.amount_minor})


def _post(
    session: Session,
    work: Sequence[Work[DepositAllocate]],
    planned: Sequence[_Allocation],
    tenant: Tenant,
    now: datetime,
) -> dict[int, Outcome]:
    """The refusals of the ledger. The postings of one deposit stand or fall together."""
    if not planned:
        return {}
    borne = shortfalls(session, tenant.name, {one.change.after.subject for one in planned})
    postings = [_posting(work[one.position], one.change, borne, now) for one in planned]
    outcomes = post(session, postings, now=now, shadow=tenant.shadow)
    return {
        one.position: Refused(outcome.code)
        for one, outcome in zip(planned, outcomes, strict=True)
        if isinstance(outcome, PostingRefused)
    }


def _posting(one: Work[DepositAllocate], change: Change, borne: dict[str, int], now: datetime) -> Posting:
    key = change.after.key(f"allocate:{one.job.id}")
    return posting_of(one, KINDS[one.args.to], key, change.before.position, change.after, borne, now)


def _audit(one: Work[DepositAllocate], change: Change, now: datetime) -> dict[str, Any]:
    return {
        "tenant": one.job.tenant,
        "actor": one.args.actor,
        "action": "deposits.allocate",
        "subject": change.after.subject,
        "reason": one.args.reason,
        "detail": {"to": one.args.to, "amount_minor": one.args.amount_minor, "currency": one.args.currency},
        "job_id": one.job.id,
        "at": now,
    }
