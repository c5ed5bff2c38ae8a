"""What follows from changed deposits, in the transaction that changes them: rows, waiting events, findings, news."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from models.base import require_aware
from models.jobs.claim import wake
from models.notifications.announcing import News, announce
from models.reconciliation.findings import Finding, close_findings, record_findings
from tasks.webhooks.facts import Deposit
from tasks.webhooks.rows import save_deposits

CLOSED_BY = "provider events"


@dataclass(frozen=True, slots=True)
class Change:
    """One deposit as it was and as it is."""

    before: Deposit
    after: Deposit


def save_changes(session: Session, tenant: str, changes: Mapping[int, Change], *, now: datetime) -> None:
    """Write the deposits (by row id) one version further, with all that follows. What did not change may be among
    them, but costs a version."""
    changed = list(changes.values())
    after = {row_id: change.after for row_id, change in changes.items()}
    save_deposits(session, after, now=require_aware(now))
    wake(session, tenant, {key for one in changed for key in one.after.wait_keys}, now=now)
    _find(session, tenant, changed, _duplicate, now)
    _find(session, tenant, changed, _overdrawn, now)
    announce(session, [_news(tenant, one) for one in changed if _is_more_duplicate(one)], now=now)


def _find(
    session: Session,
    tenant: str,
    changes: Sequence[Change],
    finding: Callable[[str, Deposit], Finding],
    now: datetime,
) -> None:
    """One finding a deposit: its amount is what stands now, and it closes itself when that is nothing."""
    found = [(finding(tenant, one.before), finding(tenant, one.after)) for one in changes]
    moved = [after for before, after in found if before.amount_minor != after.amount_minor]
    record_findings(session, [one for one in moved if one.amount_minor], now=now)
    gone = [one for one in moved if not one.amount_minor]
    close_findings(session, gone, closed_by=CLOSED_BY, reason="nothing of it is left", now=now)


def _duplicate(tenant: str, deposit: Deposit) -> Finding:
    return _finding(tenant, deposit, "duplicate_payment", deposit.position.duplicate)


def _overdrawn(tenant: str, deposit: Deposit) -> Finding:
    return _finding(tenant, deposit, "disputed_more_than_captured", -deposit.position.shortfall)


def _finding(tenant: str, deposit: Deposit, kind: str, amount_minor: int) -> Finding:
    detail = {
        "reference": deposit.reference,
        "expected_minor": deposit.expected_minor,
        "payments": {payment: deposit.standing_of(payment) for payment in deposit.payments},
    }
    return Finding(
        tenant, deposit.provider, kind, deposit.subject, amount_minor, deposit.currency, detail=detail
    )


def _is_more_duplicate(one: Change) -> bool:
    return one.after.position.duplicate > one.before.position.duplicate


def _news(tenant: str, one: Change) -> News:
    deposit = one.after
    data = {
        "provider": deposit.provider,
        "reference": deposit.reference,
        "owner": deposit.owner,
        "currency": deposit.currency,
        "expected_minor": deposit.expected_minor,
        "duplicate_minor": deposit.position.duplicate,
    }
    return News(tenant, "deposit.duplicate", deposit.subject, deposit.version + 1, data)
