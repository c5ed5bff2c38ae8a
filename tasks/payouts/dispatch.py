"""Who is sent next: fair between accounts, within the limits of each; and what has waited too long.

A payout gets a place (`dispatched_until`) in the transaction that counts the places; its message goes out after that.
A message that is lost costs DISPATCH_SECONDS. A payout without a place is not sent, whoever asks.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeVar
from uuid import UUID

import structlog
from sqlalchemy.orm import Session

from models import audit
from models.payouts.attempts import (
    accounts_with_work,
    expired_approvals,
    lost_claims,
    take_due,
    take_lookups,
    under_way,
)
from models.payouts.moving import Move, move
from models.payouts.payout import Payout
from models.payouts.rows import attempts_of, lock_payouts
from models.provider_accounts import lock_account, save_account
from models.tenants import Tenant, load_tenant
from tasks.payouts import pacing
from tasks.payouts.decisions import Case
from tasks.payouts.hands import Hands
from tasks.payouts.pacing import DISPATCH_SECONDS
from tasks.payouts.policy import has_expired
from tasks.payouts.unasked import sweep_unasked
from tasks.payouts.verdicts import lose
from tasks.payouts.writing import write
from worker.database import Transaction
from worker.telemetry import describe_error

ATTEMPT, RESOLVE = "payouts.attempt", "payouts.resolve"
SWEEP_MAX = 200
LOOKUPS_MAX, LOOKUPS_EACH = 200, 8

Item = TypeVar("Item")
Account = tuple[str, str]
log = structlog.get_logger("ledgerbeat.payouts")


def tick(hands: Hands) -> None:
    """All that time asks of payouts: lost claims, expired approvals, due attempts and look-ups."""
    for work in (sweep_lost, sweep_expired, dispatch, dispatch_lookups, sweep_unasked):
        try:
            work(hands)
        except Exception as error:  # noqa: BLE001 - one failing keeps none of the others; it comes again in a second
            log.warning("payouts.tick.failed", work=work.__name__, cause=describe_error(error))


def dispatch(hands: Hands, accounts: Sequence[Account] | None = None) -> list[UUID]:
    """Give places to what is due, of these accounts or of all, and send a message for each, the accounts in turns."""
    now, wait = hands.clock(), accounts is not None
    if accounts is None:
        with hands.transaction() as session:
            accounts = accounts_with_work(session, now=now)
    given = [give_places(hands.transaction, account, now=now, wait=wait) for account in accounts]
    return _send(hands, ATTEMPT, in_turns(given))


def give_places(
    transaction: Transaction, account: Account, *, now: datetime, wait: bool = True
) -> list[UUID]:
    """The account's payouts that may be sent now, oldest due first. None when someone else gives its places at this
    moment and `wait` is False."""
    tenant, provider = account
    with transaction() as session:
        known = lock_account(session, tenant, provider, wait=wait)
        if known is None:
            return []
        places = pacing.free_places(known, under_way(session, tenant, provider, now=now), now)
        if places == 0:
            return []
        until = now + timedelta(seconds=DISPATCH_SECONDS)
        taken = take_due(session, tenant, provider, limit=places, dispatched_until=until, now=now)
        after = pacing.after_dispatch(known, len(taken), now)
        if taken and after != known:
            save_account(session, after)
        return taken


def dispatch_lookups(hands: Hands) -> list[UUID]:
    """Send a message for each look-up that is due. A pause does not keep anyone from asking."""
    now = hands.clock()
    until = now + timedelta(seconds=DISPATCH_SECONDS)
    with hands.transaction() as session:
        places = take_lookups(session, limit=LOOKUPS_MAX, each=LOOKUPS_EACH, dispatched_until=until, now=now)
    return _send(hands, RESOLVE, [place.payout_id for place in places])


def in_turns(queues: Sequence[Sequence[Item]]) -> list[Item]:
    """The first of each, then the second of each, ..."""
    rounds = range(max(map(len, queues), default=0))
    return [queue[place] for place in rounds for queue in queues if place < len(queue)]


def sweep_lost(hands: Hands) -> int:
    """Whose claim has run out is in doubt: it may have been sent. How many."""
    now = hands.clock()
    with hands.transaction() as session:
        lost = lost_claims(session, now=now, limit=SWEEP_MAX)
    return _each_tenant(hands, lost, lambda session, tenant, one: _lose(session, tenant, one, now))


def _lose(session: Session, tenant: Tenant, payout: Payout, now: datetime) -> bool:
    if payout.state != "sending" or payout.claimed_until is None or payout.claimed_until > now:
        return False
    attempts = attempts_of(session, [payout.id])[payout.id]
    sending = next(one for one in attempts if one.outcome == "sending")
    decision = lose(Case(payout, attempts, sending.attempt_no, tenant.policy, now))
    write(session, payout, decision, tenant=tenant, now=now)
    log.warning("payout.attempt.lost", payout_id=str(payout.id), attempt_no=sending.attempt_no)
    return True


def sweep_expired(hands: Hands) -> int:
    """What nobody has approved in time is cancelled, and its money free again. How many."""
    now = hands.clock()
    with hands.transaction() as session:
        expired = expired_approvals(session, now=now, limit=SWEEP_MAX)
    return _each_tenant(hands, expired, lambda session, tenant, one: _expire(session, tenant, one, now))


def _expire(session: Session, tenant: Tenant, payout: Payout, now: datetime) -> bool:
    if payout.state != "awaiting_approval" or not has_expired(payout, now):
        return False
    cancelled = replace(payout, state="cancelled", failure_code="approval_expired")
    made = Move(payout, cancelled, "expired", code="approval_expired", actor="system")
    move(session, [made], now=now, shadow=tenant.shadow)
    audit.record(
        session,
        tenant=payout.tenant,
        actor="system",
        action="payouts.expire",
        subject=payout.subject,
        reason="nobody approved it in time",
        now=now,
    )
    return True


def _each_tenant(
    hands: Hands,
    found: Mapping[str, Collection[UUID]],
    work: Callable[[Session, Tenant, Payout], bool],
) -> int:
    """One transaction per tenant, its payouts locked first. What fails keeps no other waiting."""
    done = 0
    for name, ids in found.items():
        try:
            with hands.transaction() as session:
                tenant = load_tenant(session, name)
                payouts = lock_payouts(session, name, ids).values()
                done += sum(_apart(session, tenant, payout, work) for payout in payouts)
        except Exception as error:  # noqa: BLE001 - told, and tried again in a second
            log.warning("payouts.sweep.failed", tenant=name, cause=describe_error(error))
    return done


def _apart(
    session: Session, tenant: Tenant, payout: Payout, work: Callable[[Session, Tenant, Payout], bool]
) -> bool:
    """Under a savepoint of its own; False when it fails."""
    try:
        with session.begin_nested():
            return work(session, tenant, payout)
    except Exception as error:  # noqa: BLE001 - told, and tried again in a second
        log.warning("payouts.sweep.failed", payout_id=str(payout.id), cause=describe_error(error))
        return False


def _send(hands: Hands, task: str, payout_ids: Sequence[UUID]) -> list[UUID]:
    """The ones that a message was sent for. What the broker does not take is given out again when its place ends."""
    sent: list[UUID] = []
    try:
        for payout_id in payout_ids:
            hands.publish(task, payout_id)
            sent.append(payout_id)
    except Exception as error:  # noqa: BLE001 - whatever the broker has, a later tick does it again
        left = len(payout_ids) - len(sent)
        log.warning("payouts.not_published", task=task, error=type(error).__name__, left=left)
    return sent
