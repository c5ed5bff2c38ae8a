"""Payouts in doubt, or taken and not told of since: ask the provider what became of them, and write that down."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import structlog

from models.payouts.attempts import Place, find_place
from models.payouts.payout import Attempt, Payout
from models.payouts.rows import attempts_of, lock_payouts
from models.payouts.states import ASKED_STATES, State
from models.tenants import load_tenant
from tasks.payouts.attempts import QUICK_PAUSES
from tasks.payouts.decisions import Case
from tasks.payouts.hands import Hands
from tasks.payouts.pacing import CLAIM_SLACK_SECONDS
from tasks.payouts.sightings import decide_sighting
from tasks.payouts.writing import write
from worker.providers.payouts.accounts import PayoutAccount
from worker.providers.payouts.port import Sighting
from worker.retrying import retrying

log = structlog.get_logger("ledgerbeat.payouts")


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked about, as it stood when the asking began."""

    payout: Payout
    attempt: Attempt
    asked_at: datetime


def resolve(hands: Hands, payout_id: UUID) -> Place | None:
    """Look the payout up if that is due; where it belongs, if it was asked for."""
    with hands.transaction() as session:
        place = find_place(session, payout_id)
    account = hands.accounts.find(place.tenant, place.provider) if place else None
    if place is None or account is None:
        return None
    with hands.locks.held(payout_id, account.timeout_seconds + CLAIM_SLACK_SECONDS) as lock:
        question = retrying(lambda: ask(hands, place), QUICK_PAUSES, hands.sleep) if lock else None
        if question is None:
            return None
        sighting = account.provider.look_up(
            question.attempt.reference,
            since=question.attempt.first_used_at,
            destination=question.payout.destination,
            object_id=question.attempt.object_id,
        )
        retrying(lambda: learn(hands, question, sighting, account), QUICK_PAUSES, hands.sleep)
    return place


def ask(hands: Hands, place: Place) -> Question | None:
    """The attempt in doubt, or taken; None when there is none, or it is not time."""
    now = hands.clock()
    with hands.transaction() as session:
        payout = lock_payouts(session, place.tenant, [place.payout_id])[place.payout_id]
        if payout.state not in ASKED_STATES or payout.next_lookup_at is None or payout.next_lookup_at > now:
            return None
        attempts = attempts_of(session, [payout.id])[payout.id]
    return Question(payout, next(one for one in attempts if one.outcome == payout.state), now)


def learn(hands: Hands, question: Question, sighting: Sighting, account: PayoutAccount) -> None:
    """Write down what was seen, unless the payout has moved, or was asked about by another, by now."""
    now, asked = hands.clock(), question.payout
    with hands.transaction() as session:
        payout = lock_payouts(session, asked.tenant, [asked.id])[asked.id]
        if _moment(payout) != _moment(asked):
            return
        tenant = load_tenant(session, asked.tenant)
        attempts = attempts_of(session, [asked.id])[asked.id]
        case = Case(payout, attempts, question.attempt.attempt_no, tenant.policy, now, hands.chance())
        decision = decide_sighting(
            case, sighting, asked_at=question.asked_at, settle_seconds=account.rules.settle_seconds
        )
        standing = write(session, payout, decision, tenant=tenant, now=now)
    name = f"payout.lookup.{type(sighting).__name__.lower()}"
    log.info(name, payout_id=str(asked.id), attempt_no=case.attempt_no, state=standing.state)


def _moment(payout: Payout) -> tuple[State, int, int]:
    """The same as long as what was asked is still the question."""
    return payout.state, payout.claim_version, payout.lookups_made
