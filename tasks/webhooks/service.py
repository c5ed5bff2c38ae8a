"""Provider events take effect: find their deposits, decide, post, and write down what became of each.

Events about payouts are told apart here, and applied by tasks.payouts.events. One run of events costs a constant
number of statements. Deposits whose events must wait for a posting of the same run (a refund and its reversal, told
together) take another round; so do those of which the ledger refused one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from models.base import require_aware
from models.jobs.outcomes import Dead, Done, Outcome, Parked
from models.ledger.outcomes import Posting, PostingOutcome, Refused
from models.ledger.posting import post
from models.tenants import Tenant
from tasks.intake.port import Touched, Work
from tasks.payouts import events as payout_events
from tasks.webhooks.decisions import Apply, Decision, Ignore, Park, Reject
from tasks.webhooks.deposit_changes import Change, save_changes
from tasks.webhooks.effects import decide
from tasks.webhooks.facts import SHORTFALL, Deposit, Position
from tasks.webhooks.folding import Case, Fold, fold
from tasks.webhooks.notice import Notice, assign, object_ids, references, torn
from tasks.webhooks.rows import lock_deposits, shortfalls
from worker.providers.port import PAYOUT_MOVES, ProviderEvent

REFERENCE_CONFLICT = Reject(
    "reference_conflict", {"cause": "its payment was told of before, with the reference of another deposit"}
)
_Answer = tuple[Decision, int | None]
"""The final decision, and the ledger transaction that it made."""


@dataclass(frozen=True, slots=True)
class _Planned:
    """A posting of one round, and the event and deposit it is for."""

    row_id: int
    position: int
    posting: Posting


def touch_events(session: Session, tenant: str, work: Sequence[Work[Notice]]) -> Sequence[Touched]:
    """The deposit or payout of each event and its owner; everything, where an earlier job may yet make it known."""
    of_payouts, of_deposits = _apart(work)
    touched = dict(
        zip(of_payouts, payout_events.touch_payouts(session, tenant, _at(work, of_payouts)), strict=True)
    )
    touched |= zip(of_deposits, _touch_deposits(session, tenant, _at(work, of_deposits)), strict=True)
    return [touched[position] for position in range(len(work))]


def _touch_deposits(session: Session, tenant: str, work: Sequence[Work[Notice]]) -> Sequence[Touched]:
    notices = [one.args for one in work]
    deposits = lock_deposits(session, tenant, references(notices), object_ids(notices))
    return [None if row_id is None else _touched(deposits[row_id]) for row_id in assign(notices, deposits)]


def _touched(deposit: Deposit) -> Touched:
    return frozenset({f"deposit:{deposit.provider}:{deposit.reference}", f"owner:{deposit.owner}"})


def _apart(work: Sequence[Work[Notice]]) -> tuple[list[int], list[int]]:
    """The positions of the events about payouts, and those of all others."""
    payouts = [position for position, one in enumerate(work) if one.args.event.move in PAYOUT_MOVES]
    others = [position for position, one in enumerate(work) if one.args.event.move not in PAYOUT_MOVES]
    return payouts, others


def _at(work: Sequence[Work[Notice]], positions: Sequence[int]) -> list[Work[Notice]]:
    return [work[position] for position in positions]


def apply_events(
    session: Session, work: Sequence[Work[Notice]], *, tenant: Tenant, now: datetime
) -> list[Outcome]:
    """Handler of `webhooks.event`: one outcome per event, in order.

    Payouts and deposits are locked before anything is posted: rows first, accounts last, on every path.
    """
    of_payouts, of_deposits = _apart(work)
    if of_payouts and of_deposits:
        touch_events(session, tenant.name, work)
    outcomes: dict[int, Outcome] = {}
    if of_payouts:
        told = payout_events.apply_events(session, _at(work, of_payouts), tenant=tenant, now=now)
        outcomes |= zip(of_payouts, told, strict=True)
    if of_deposits:
        told = _apply_to_deposits(session, _at(work, of_deposits), tenant=tenant, now=now)
        outcomes |= zip(of_deposits, told, strict=True)
    return [outcomes[position] for position in range(len(work))]


def _apply_to_deposits(
    session: Session, work: Sequence[Work[Notice]], *, tenant: Tenant, now: datetime
) -> list[Outcome]:
    notices = [one.args for one in work]
    deposits = lock_deposits(session, tenant.name, references(notices), object_ids(notices))
    cases = {row_id: Case(deposit) for row_id, deposit in deposits.items()}
    final: dict[int, _Answer] = {}
    rows = assign(notices, deposits)
    conflicts = torn(notices, rows, deposits)
    for position, row_id in enumerate(rows):
        if row_id is None:
            final[position] = (decide(None, notices[position].provider, notices[position].event), None)
        elif position in conflicts:
            final[position] = (REFERENCE_CONFLICT, None)
        else:
            cases[row_id].waiting.append(position)
    while open_cases := {row_id: case for row_id, case in cases.items() if case.waiting}:
        final |= _round(session, open_cases, work, tenant, now)
    _save(session, tenant.name, deposits, cases, now)
    return [_outcome(notices[position].event, *final[position]) for position in range(len(work))]


def _round(
    session: Session, cases: Mapping[int, Case], work: Sequence[Work[Notice]], tenant: Tenant, now: datetime
) -> dict[int, _Answer]:
    """Decide and post as much as can be at once. Each case comes nearer its end: by an event, or by care."""
    events = [one.args.event for one in work]
    folds = {row_id: fold(case, events) for row_id, case in cases.items()}
    planned = _plan(session, folds, work, tenant.name, now)
    outcomes = post(session, [one.posting for one in planned], now=now, shadow=tenant.shadow)
    stands = {one.position: outcome for one, outcome in zip(planned, outcomes, strict=True)}
    refusals = {one.row_id: one for one in planned if isinstance(stands[one.position], Refused)}
    final: dict[int, _Answer] = {}
    for row_id, folded in folds.items():
        if row_id in refusals:
            final |= _refuse(cases[row_id], refusals[row_id], folded, stands)
        else:
            final |= _settle(cases[row_id], folded, stands)
    return final


def _plan(
    session: Session, folds: Mapping[int, Fold], work: Sequence[Work[Notice]], tenant: str, now: datetime
) -> list[_Planned]:
    """The postings of a round; those of one deposit stand or fall together."""
    applied = [
        (row_id, position, decision)
        for row_id, folded in folds.items()
        for position, decision in folded.settled.items()
        if isinstance(decision, Apply) and decision.key
    ]
    repaying = {
        decision.after.subject
        for _, _, decision in applied
        if decision.wallet_minor > 0 and decision.after.has_history
    }
    borne = shortfalls(session, tenant, repaying)
    return [
        _Planned(row_id, position, _posting(decision, work[position], borne, now))
        for row_id, position, decision in applied
    ]


def _posting(decision: Apply, one: Work[Notice], borne: dict[str, int], now: datetime) -> Posting:
    at = _occurred_at(one.args.event, now)
    return posting_of(one, decision.kind, decision.key, decision.before, decision.after, borne, at)


def posting_of(
    one: Work[Any],
    kind: str,
    key: str,
    before: Position,
    after: Deposit,
    borne: dict[str, int],
    occurred_at: datetime,
) -> Posting:
    """What takes the ledger from `before` to `after`. What `borne` says of the deposit's shortfall (by subject, kept up
    to date) is used up as it is made good."""
    subject = after.subject
    legs = after.legs(before, borne.get(subject, 0))
    borne[subject] = borne.get(subject, 0) - sum(leg.amount_minor for leg in legs if leg.code == SHORTFALL)
    return Posting(
        tenant=one.job.tenant,
        key=key,
        kind=kind,
        legs=legs,
        occurred_at=occurred_at,
        job_id=one.job.id,
        subject=subject,
        group=subject,
    )


def _settle(case: Case, folded: Fold, stands: Mapping[int, PostingOutcome]) -> dict[int, _Answer]:
    """The facts are as decided; what parked has its answer once nothing is left to decide."""
    case.changed = case.changed or any(isinstance(one, Apply) for one in folded.settled.values())
    case.deposit, case.waiting = folded.deposit, list(folded.left)
    decisions = {**folded.settled, **folded.parked}
    return {position: (decision, _id(stands.get(position))) for position, decision in decisions.items()}


def _refuse(
    case: Case, refused: _Planned, folded: Fold, stands: Mapping[int, PostingOutcome]
) -> dict[int, _Answer]:
    """Nothing of this round stands for the deposit: go on with care, or let the one event go."""
    if len(folded.settled) > 1:
        case.careful = True
        return {}
    case.waiting.remove(refused.position)
    answer = stands[refused.position]
    code = answer.code if isinstance(answer, Refused) else "refused"
    return {refused.position: (Reject(code, {"cause": f"the ledger refused {refused.posting.key}"}), None)}


def _save(
    session: Session,
    tenant: str,
    deposits: Mapping[int, Deposit],
    cases: Mapping[int, Case],
    now: datetime,
) -> None:
    changes = {
        row_id: Change(deposits[row_id], case.deposit) for row_id, case in cases.items() if case.changed
    }
    if changes:
        save_changes(session, tenant, changes, now=now)


def _outcome(event: ProviderEvent, decision: Decision, transaction_id: int | None) -> Outcome:
    match decision:
        case Apply(reason=reason):
            return Done(
                {"effect": event.move, "transaction_id": transaction_id, **_duplicate(decision)}, reason
            )
        case Ignore(reason):
            return Done({"effect": "ignored", "cause": reason}, reason)
        case Park(reason, wait_keys):
            return Parked(reason, wait_keys)
        case Reject(code, detail):
            return Dead(code, detail)


def _duplicate(decision: Apply) -> dict[str, int]:
    """What this event adds to the money that a person has to allocate."""
    minor = decision.after.position.duplicate - decision.before.duplicate if decision.key else 0
    return {"duplicate_minor": minor} if minor > 0 else {}


def _occurred_at(event: ProviderEvent, now: datetime) -> datetime:
    """When it happened at the provider; now, where it does not say."""
    try:
        return require_aware(datetime.fromisoformat(event.occurred_at or ""))
    except (ValueError, OverflowError):
        return now


def _id(outcome: PostingOutcome | None) -> int | None:
    return None if outcome is None or isinstance(outcome, Refused) else outcome.transaction_id
