"""One attempt of a payout: claim it, call the provider, record what it said. Each is committed before the next begins.

Killed at any instruction, what is left is either a claim that runs out, or an answer that is written down.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

import structlog
from sqlalchemy.orm import Session

from models.payouts.attempts import Place, withdraw, write_and_wake, write_attempt
from models.payouts.moving import Move, move
from models.payouts.payout import Attempt, Payout
from models.payouts.rows import lock_payout, wait_keys
from models.payouts.surroundings import read_surroundings
from models.provider_accounts import ProviderAccount
from models.reconciliation import Finding, record_findings
from tasks.payouts import pacing
from tasks.payouts.accounts import tell_breaker
from tasks.payouts.decisions import Case
from tasks.payouts.hands import Hands
from tasks.payouts.pacing import CLAIM_SLACK_SECONDS, LOST, SEND_WITHIN_SECONDS, Hopeless, Send
from tasks.payouts.verdicts import decide_answer
from tasks.payouts.writing import write
from worker.locks import PayoutLock
from worker.providers.payouts.accounts import PayoutAccount
from worker.providers.payouts.port import Answer, Instruction, NotSent
from worker.retrying import retrying

QUICK_PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8)
LOCK_SECONDS = 10 + CLAIM_SLACK_SECONDS
"""Of the lock, before anybody knows the account: one whose calls may take longer renews it before it calls."""
AT_ONCE_SECONDS = 1.0
OUTAGE_SECONDS = 300
"""An answer is kept in memory so long after its claim has run out, while the database is away; then it is lost."""
PAUSE_SECONDS_MAX = 5.0

log = structlog.get_logger("ledgerbeat.payouts")


@dataclass(frozen=True, slots=True)
class Claim:
    """A committed claim: what to send, through which account, and the tick of the clock after which it is too late
    to begin."""

    payout: Payout
    attempt: Attempt
    account: PayoutAccount
    send_before: float


@dataclass(frozen=True, slots=True)
class Recorded:
    """The payout as it is, and its account as it was seen then."""

    payout: Payout
    account: ProviderAccount | None


def attempt(hands: Hands, payout_id: UUID) -> Place | None:
    """Send the payout if it is due and has a place; where it belongs, if something was sent or might have been."""
    with hands.locks.held(payout_id, LOCK_SECONDS) as lock:
        claimed = retrying(lambda: claim(hands, payout_id), QUICK_PAUSES, hands.sleep) if lock else None
        if lock is None or claimed is None:
            return None
        answer = call(hands, claimed, lock)
        recorded = record_patiently(hands, claimed, answer)
    tell_breaker(hands.transaction, recorded.account, answer, now=hands.clock())
    return Place(payout_id, claimed.payout.tenant, claimed.payout.provider)


def claim(hands: Hands, payout_id: UUID) -> Claim | None:
    """Commit the attempt with its key, before anybody is called. None when there is nothing to send now."""
    began = hands.ticks()
    now = hands.clock()
    with hands.transaction() as session:
        payout = lock_payout(session, payout_id)
        account = hands.accounts.find(payout.tenant, payout.provider) if payout else None
        if payout is None or account is None:
            return None
        around = read_surroundings(session, payout)
        if not pacing.may_claim(around.account, payout, now):
            withdraw(session, payout.id)
            return None
        chosen = pacing.claim(payout, around.attempts, account.rules, account.timeout_seconds, now)
        if isinstance(chosen, Hopeless):
            _give_up(session, payout, chosen, now)
            return None
        standing = _begin(session, payout, chosen, now)
        return Claim(standing, chosen.attempt, account, began + SEND_WITHIN_SECONDS)


def _begin(session: Session, payout: Payout, chosen: Send, now: datetime) -> Payout:
    if chosen.given_up is not None:
        write_attempt(session, chosen.given_up)
    sent = chosen.attempt
    write_and_wake(session, sent, wait_keys(payout.provider, sent.reference), now=now)
    made = Move(payout, chosen.after, "claimed", sent.attempt_no, detail={"sends": sent.sends})
    [standing] = move(session, [made], now=now)
    return standing


def _give_up(session: Session, payout: Payout, chosen: Hopeless, now: datetime) -> None:
    """Into doubt, through the claim: `cooling` has no other way there."""
    doubted = chosen.attempt
    write_attempt(session, doubted)
    [claimed] = move(session, [Move(payout, chosen.claimed, "claimed", doubted.attempt_no)], now=now)
    after = replace(chosen.after, version=claimed.version)
    move(session, [Move(claimed, after, "key_too_old", doubted.attempt_no, LOST)], now=now)
    detail = {"attempt_no": doubted.attempt_no, "code": "key_too_old"}
    found = Finding(
        payout.tenant, payout.provider, "in_doubt_overdue", payout.subject, payout.amount_minor,
        payout.currency, detail,
    )  # fmt: skip
    record_findings(session, [found], now=now)


def call(hands: Hands, claimed: Claim, lock: PayoutLock) -> Answer:
    """Ask the provider once. Not when somebody else is at it, and not when this process was asleep meanwhile: then
    nothing is sent, and what may have happened to the claim does no harm."""
    payout, sent = claimed.payout, claimed.attempt
    instruction = Instruction(
        key=sent.provider_key,
        reference=sent.reference,
        amount_minor=payout.amount_minor,
        currency=payout.currency,
        destination=payout.destination,
    )
    if not _still_ours(hands, claimed, lock):
        return NotSent("lock_lost")
    if hands.ticks() >= claimed.send_before:
        return NotSent("too_late")
    return claimed.account.provider.send(instruction)


def _still_ours(hands: Hands, claimed: Claim, lock: PayoutLock) -> bool:
    """A lock that was taken a moment ago, and outlasts the call, is not asked for again."""
    took = hands.ticks() - (claimed.send_before - SEND_WITHIN_SECONDS)
    lease = claimed.account.timeout_seconds + CLAIM_SLACK_SECONDS
    if took < AT_ONCE_SECONDS and lease <= LOCK_SECONDS:
        return True
    return replace(lock, milliseconds=int(1000 * lease)).renew()


def record_patiently(hands: Hands, claimed: Claim, answer: Answer) -> Recorded:
    """Record, and again while the database is away, until the answer is given up some minutes after the claim."""
    lease = claimed.account.timeout_seconds + CLAIM_SLACK_SECONDS
    until = claimed.send_before + lease + OUTAGE_SECONDS
    return retrying(lambda: record(hands, claimed, answer), _pauses(hands, until), hands.sleep)


def record(hands: Hands, claimed: Claim, answer: Answer) -> Recorded:
    """Write down what the answer means by now. Safe to repeat."""
    now, asked = hands.clock(), claimed.payout
    with hands.transaction() as session:
        payout = lock_payout(session, asked.id) or asked  # a row is never removed
        around = read_surroundings(session, payout)
        tenant, attempt_no = around.tenant, claimed.attempt.attempt_no
        case = Case(payout, around.attempts, attempt_no, tenant.policy, now, hands.chance())
        decision = decide_answer(case, asked.claim_version, answer)
        standing = write(session, payout, decision, tenant=tenant, now=now)
    name = f"payout.attempt.{type(answer).__name__.lower()}"
    log.info(
        name, payout_id=str(asked.id), attempt_no=case.attempt_no, code=answer.code, state=standing.state
    )
    return Recorded(standing, around.account)


def _pauses(hands: Hands, until: float) -> Iterator[float]:
    """0.05 s, 0.1 s, ... 5 s, until then."""
    seconds = QUICK_PAUSES[0]
    while hands.ticks() < until:
        yield seconds
        seconds = min(2 * seconds, PAUSE_SECONDS_MAX)
