"""Provider events about payouts take effect: find their attempts, lock, decide, move, and say what became of each.

One run costs a constant number of statements: events of one payout are folded in memory, in the provider's order,
and the moves that this makes are written in rounds, at most one per payout in each.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.jobs.claim import wake
from models.jobs.outcomes import Dead, Done, Outcome, Parked
from models.payouts.moving import move, note
from models.payouts.payout import Attempt, Payout
from models.payouts.rows import attempts_of, find_attempts, lock_payouts, wait_keys
from models.payouts.states import LIVE_OUTCOMES
from models.reconciliation import record_findings
from models.tenants import Tenant
from tasks.intake.port import Touched, Work
from tasks.payouts.event_folding import Case, Told
from tasks.payouts.event_rules import Advance, Decision, Ignore, Reject, Wait
from tasks.payouts.reversals import NONE, REVERSAL_MOVES, Reversals
from worker.providers.port import ProviderEvent

PATIENCE = timedelta(seconds=60)
"""How long after its arrival an event waits for another one of the same object."""

# The ids are given beside the documents, so that the rows are found by them: how many there are, no plan knows.
SAVE_ATTEMPTS = text("""
    UPDATE payout_attempts a SET
        outcome = n.outcome, error_code = n.error_code, object_id = n.object_id, finished_at = n.finished_at
    FROM jsonb_to_recordset(CAST(:attempts AS jsonb)) AS n (payout_id uuid, attempt_no int, outcome text,
        error_code text, object_id text, finished_at timestamptz)
    WHERE (a.payout_id, a.attempt_no) = (n.payout_id, n.attempt_no) AND a.payout_id = ANY(CAST(:ids AS uuid[]))
""")

# No move, so no new version: only the newest counter that was heard.
SAVE_SEQUENCES = text("""
    UPDATE payouts p SET sequence = n.sequence, updated_at = :now
    FROM jsonb_to_recordset(CAST(:sequences AS jsonb)) AS n (id uuid, sequence bigint)
    WHERE p.id = n.id AND p.id = ANY(CAST(:ids AS uuid[]))
""")


# What was heard of the payouts' own ends and of their reversals, in order.
HEARD = text("""
    SELECT payout_id, detail, to_state FROM payout_events
    WHERE payout_id = ANY(CAST(:ids AS uuid[])) AND (detail ? 'move' OR to_state IS NOT NULL) ORDER BY payout_id, id
""")


class Notice(Protocol):
    """An authentic event of the tenant's provider account `provider`."""

    @property
    def provider(self) -> str: ...
    @property
    def event(self) -> ProviderEvent: ...


@dataclass(frozen=True, slots=True)
class _Meant:
    """The attempt that an event is about."""

    payout_id: UUID
    attempt_no: int


_Attempts = Mapping[tuple[str, str], _Meant]
"""(provider, reference or object id) -> the attempt it belongs to"""
_Assigned = _Meant | Literal["torn"] | None
"""`torn`: our reference names one attempt, the provider's id another. None: no attempt is known."""


def touch_payouts(session: Session, tenant: str, work: Sequence[Work[Notice]]) -> Sequence[Touched]:
    """The payout of each event and its owner; everything, where no payout is known. Locks the payouts."""
    assigned = _assign(session, tenant, work)
    payouts = lock_payouts(session, tenant, {one.payout_id for one in assigned if isinstance(one, _Meant)})
    return [_touched(payouts[one.payout_id]) if isinstance(one, _Meant) else None for one in assigned]


def _touched(payout: Payout) -> Touched:
    return frozenset({payout.subject, f"owner:{payout.owner}"})


def apply_events(
    session: Session, work: Sequence[Work[Notice]], *, tenant: Tenant, now: datetime
) -> list[Outcome]:
    """One outcome per event, in order. Every event has one of worker.providers.port.PAYOUT_MOVES."""
    assigned = _assign(session, tenant.name, work)
    ids = {one.payout_id for one in assigned if isinstance(one, _Meant)}
    payouts = lock_payouts(session, tenant.name, ids)
    attempts = attempts_of(session, ids)
    reversals = _reversals(session, work, ids)
    cases = {
        payout_id: Case.of(payout, attempts[payout_id], reversals.get(payout_id, NONE))
        for payout_id, payout in payouts.items()
    }
    outcomes: dict[int, Outcome] = {}
    for position in sorted(range(len(work)), key=lambda place: work[place].args.event.sequence or 0):
        match assigned[position]:
            case _Meant(payout_id, attempt_no):
                outcomes[position] = _hear(cases[payout_id], attempt_no, work[position], now)
            case "torn":
                cause = "its reference and its id belong to different attempts"
                outcomes[position] = Dead("reference_conflict", {"cause": cause})
            case _:
                outcomes[position] = _unknown(work[position].args)
    _save(session, tenant, list(cases.values()), now)
    return [outcomes[position] for position in range(len(work))]


def _reversals(
    session: Session, work: Sequence[Work[Notice]], ids: Collection[UUID]
) -> Mapping[UUID, Reversals]:
    """What the payouts' histories say of reversals; asked only where an event is about one, which is seldom."""
    found: dict[UUID, Reversals] = {}
    if any(one.args.event.move in REVERSAL_MOVES for one in work):
        for payout_id, detail, to_state in session.execute(HEARD, {"ids": sorted(ids)}):
            found[payout_id] = found.get(payout_id, NONE).heard(detail, to_state)
    return found


def _assign(session: Session, tenant: str, work: Sequence[Work[Notice]]) -> list[_Assigned]:
    """The attempt that each event means: by our reference, else by the provider's id."""
    notices = [one.args for one in work]
    references = {(one.provider, one.event.reference) for one in notices if one.event.reference}
    objects = {(one.provider, one.event.object_id) for one in notices if one.event.object_id}
    found = find_attempts(session, tenant, references, objects)
    named = {(one.provider, one.reference): _meant(one) for one in found}
    known = {(one.provider, one.object_id or ""): _meant(one) for one in found}
    new = {(one.provider, one.reference) for one in found if one.object_id is None}
    learned = _learned(notices, {name: meant for name, meant in named.items() if name in new})
    return [_which(notice, named, learned | known) for notice in notices]


def _learned(notices: Sequence[Notice], named: _Attempts) -> dict[tuple[str, str], _Meant]:
    """The provider's ids that events of this very run tell of attempts that had none: a reversal names nothing else."""
    return {
        (one.provider, one.event.object_id): named[one.provider, one.event.reference]
        for one in notices
        if one.event.object_id and one.event.reference and (one.provider, one.event.reference) in named
    }


def _which(notice: Notice, named: _Attempts, known: _Attempts) -> _Assigned:
    event = notice.event
    by_name = named.get((notice.provider, event.reference or ""))
    by_object = known.get((notice.provider, event.object_id or "")) if event.object_id else None
    if by_name and by_object and by_name != by_object:
        return "torn"
    return by_name or by_object


def _meant(attempt: Attempt) -> _Meant:
    return _Meant(attempt.payout_id, attempt.attempt_no)


def _unknown(notice: Notice) -> Outcome:
    """Ours will be known by and by; what does not even name a reference is not ours.

    A reversal names the payout by its id alone, which we may have yet to hear.
    """
    if notice.event.reference is None and notice.event.move not in REVERSAL_MOVES:
        return _ignored("not_ours")
    return Parked(
        "unknown_reference", wait_keys(notice.provider, notice.event.reference, notice.event.object_id)
    )


def _hear(case: Case, attempt_no: int, one: Work[Notice], now: datetime) -> Outcome:
    event = one.args.event
    patient = now < one.job.accepted_at + PATIENCE
    decision = case.hear(Told(attempt_no, event, one.job.id, patient), now)
    return _outcome(decision, case.payout, one.args)


def _outcome(decision: Decision, payout: Payout, notice: Notice) -> Outcome:
    match decision:
        case Advance():
            effect = {"effect": notice.event.move, "payout_id": str(payout.id), "state": payout.state}
            return Done(effect, decision.finding or "")
        case Ignore(reason):
            return _ignored(reason, payout)
        case Wait(reason):
            return Parked(reason, wait_keys(notice.provider, notice.event.reference, notice.event.object_id))
        case Reject(code, detail):
            return Dead(code, detail)


def _ignored(reason: str, payout: Payout | None = None) -> Done:
    about = {"payout_id": str(payout.id), "state": payout.state} if payout else {}
    return Done({"effect": "ignored", "cause": reason, **about}, reason)


def _save(session: Session, tenant: Tenant, cases: Sequence[Case], now: datetime) -> None:
    _save_attempts(session, cases)
    for moves in _rounds(cases):
        move(session, moves, now=now, shadow=tenant.shadow)
    learned = [{"id": case.payout.id, "sequence": case.payout.sequence} for case in cases if case.learned]
    if learned:
        session.execute(
            SAVE_SEQUENCES, {"sequences": _json(learned), "ids": [one["id"] for one in learned], "now": now}
        )
    note(session, [one for case in cases for one in case.notes], now=now)
    record_findings(session, [one for case in cases for one in case.findings], now=now)
    news = [case for case in cases if case.moves or case.learned or case.changed]
    wake(session, tenant.name, {key for case in news for key in _wait_keys(case)}, now=now)


def _rounds(cases: Sequence[Case]) -> list[list[Any]]:
    """The first move of every payout, then the second of those that have one, ..."""
    longest = max((len(case.moves) for case in cases), default=0)
    return [[case.moves[nth] for case in cases if len(case.moves) > nth] for nth in range(longest)]


def _save_attempts(session: Session, cases: Sequence[Case]) -> None:
    """Those that cannot pay any more first: one at most may be alive at any moment."""
    changed = [case.attempts[number] for case in cases for number in sorted(case.changed)]
    for alive in (False, True):
        rows = [_row(one) for one in changed if (one.outcome in LIVE_OUTCOMES) == alive]
        if rows:
            session.execute(
                SAVE_ATTEMPTS, {"attempts": _json(rows), "ids": [one["payout_id"] for one in rows]}
            )


def _row(attempt: Attempt) -> dict[str, Any]:
    names = ("payout_id", "attempt_no", "outcome", "error_code", "object_id", "finished_at")
    return {name: getattr(attempt, name) for name in names}


def _wait_keys(case: Case) -> set[str]:
    return {
        key for one in case.attempts.values() for key in wait_keys(one.provider, one.reference, one.object_id)
    }


def _json(rows: Sequence[Mapping[str, Any]]) -> str:
    return json.dumps(rows, default=str)
