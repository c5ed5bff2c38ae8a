"""Provider accounts at work: their breakers, and the people who pause and resume them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy.orm import Session

from models import audit
from models.jobs.outcomes import Done, Outcome, Refused
from models.provider_accounts import (
    ProviderAccount,
    load_account,
    lock_account,
    save_account,
    set_account_paused,
)
from models.tenants import Tenant
from tasks.intake.port import Work
from tasks.payouts.pacing import after_answer
from worker.catalogue.payouts import ProviderPause, ProviderResume
from worker.database import Transaction
from worker.providers.payouts.port import Answer
from worker.retrying import retrying

SYSTEM = "system"
QUICK_PAUSES = (0.05, 0.1, 0.2)

log = structlog.get_logger("ledgerbeat.payouts")


def tell_breaker(
    transaction: Transaction, seen: ProviderAccount | None, answer: Answer, *, now: datetime
) -> None:
    """Let the breaker know of an answer. `seen` is the account as read a moment ago: most answers change nothing.

    A transaction of its own, so that it waits for no payout and no payout for it. Lost with a crash it is missed by
    nobody: a provider in trouble says so again.
    """
    if seen is not None and after_answer(seen, answer, now) != seen:
        retrying(lambda: _tell(transaction, seen, answer, now), QUICK_PAUSES)


def _tell(transaction: Transaction, seen: ProviderAccount, answer: Answer, now: datetime) -> None:
    with transaction() as session:
        account = lock_account(session, seen.tenant, seen.provider)
        if account is None:
            return
        after = after_answer(account, answer, now)
        save_account(session, after)
        if (after.breaker == "open") != (account.breaker == "open") or after.breaker == "closed":
            _audit(session, account, after, now)


def _audit(session: Session, before: ProviderAccount, after: ProviderAccount, now: datetime) -> None:
    """Only when it opens or closes; what it does in between is its own affair."""
    if before.breaker == after.breaker:
        return
    action = "providers.breaker_opened" if after.breaker == "open" else "providers.breaker_closed"
    audit.record(
        session,
        tenant=after.tenant,
        actor=SYSTEM,
        action=action,
        subject=after.subject,
        reason=after.breaker_code or "it answers again",
        now=now,
        detail={
            "failures_in_a_row": after.failures_in_a_row,
            "probe_at": after.probe_at and after.probe_at.isoformat(),
        },
    )
    log.warning(action, tenant=after.tenant, provider=after.provider, code=after.breaker_code)


def pause_providers(
    session: Session, work: Sequence[Work[ProviderPause]], *, tenant: Tenant, now: datetime
) -> list[Outcome]:
    """providers.pause: nothing more is sent through it; what is under way ends as it may, and requests wait."""
    return [_set_paused(session, one, tenant.name, now, paused=True) for one in work]


def resume_providers(
    session: Session, work: Sequence[Work[ProviderResume]], *, tenant: Tenant, now: datetime
) -> list[Outcome]:
    """providers.resume: what has waited is sent. Its breaker goes on by itself."""
    return [_set_paused(session, one, tenant.name, now, paused=False) for one in work]


def _set_paused(session: Session, one: Work[Any], tenant: str, now: datetime, *, paused: bool) -> Outcome:
    """A handful a year, so one by one. To pause what is paused is done already, and said so."""
    provider, actor = one.args.provider, one.args.actor
    account = load_account(session, tenant, provider)
    if account is None:
        return Refused("provider_not_configured", {"provider": provider})
    changed = set_account_paused(
        session, tenant, provider, now if paused else None, actor if paused else None
    )
    audit.record(
        session,
        tenant=tenant,
        actor=actor,
        action="providers.pause" if paused else "providers.resume",
        subject=account.subject,
        reason=one.args.reason,
        now=now,
        detail={"changed": changed},
        job_id=one.job.id,
    )
    return Done({"provider": provider, "paused": paused, "changed": changed})
