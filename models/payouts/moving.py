"""move(): the only way a payout changes its state - row, history, hold, limit and news in one transaction.

Lock the payouts first (`rows.lock_payouts`), decide, then move: money, reservation and notification follow from the
state alone, so no caller can forget one or do one twice.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.base import require_aware
from models.changing import changed
from models.errors import ImpossibleMove, PayoutRaced
from models.ledger.codes import SHORTFALL, clearing_code, key_part, wallet_code
from models.ledger.holds import capture, release
from models.ledger.outcomes import Leg, Posting, Refused
from models.ledger.posting import post
from models.limits import release_reservations, renew_reservations
from models.notifications import News, announce
from models.notifications.announcing import ANNOUNCE_SQL, as_json
from models.payouts.payout import PAYOUT_FIELDS, Payout
from models.payouts.states import MOVES

IMMUTABLE = ("id", "tenant", "owner", "amount_minor", "currency", "provider", "destination", "requested_by",
             "business_date", "requested_at")  # fmt: skip
SAVED = ("id", *(name for name in PAYOUT_FIELDS if name not in IMMUTABLE))
SILENT_STATES = ("sending",)
"""Not told upstream: it lasts seconds and says nothing that the caller could act on."""
GIVEN_BACK_STATES = ("failed", "cancelled", "returned")
"""The money was proven not to be paid out: the owner's daily limit has it back."""
REVERSAL = "reversal"
"""In a move's `detail`: the provider's id of the reversal that brings the money back, or that has failed."""
REVERSAL_LENGTH_MAX = 180
SUBMITTED_LOOKUP_SECONDS = 86_400
"""The provider tells by webhook what became of a payout; what it has not told by then, it is asked for."""


@dataclass(frozen=True, slots=True)
class Move:
    """A payout before and after, and why. `cause` is a short word: approved, claimed, answer, webhook, lookup, person,
    expired, lost, ...; `code` the provider's or ours; `occurred_at` business time of the money, `now` without one."""

    before: Payout
    after: Payout
    cause: str
    attempt_no: int | None = None
    code: str | None = None
    actor: str | None = None
    reason: str | None = None
    job_id: UUID | None = None
    occurred_at: datetime | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Note:
    """Something that happened to a payout and changed nothing: a stale webhook, a look-up without an answer."""

    payout: Payout
    cause: str
    attempt_no: int | None = None
    code: str | None = None
    actor: str | None = None
    reason: str | None = None
    job_id: UUID | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


# One JSON document and not arrays: a payout has many columns that may be null. The ids beside it, so that the rows are
# found by them: how many a document holds, no plan knows.
SAVE_SQL = """
    UPDATE payouts p SET
        state = n.state, version = n.version, approved_by = n.approved_by, attempts_made = n.attempts_made,
        next_attempt_at = n.next_attempt_at, cooldown_until = n.cooldown_until,
        approval_expires_at = n.approval_expires_at, provider_reference = n.provider_reference,
        failure_code = n.failure_code, claim_version = n.claim_version, claimed_until = n.claimed_until,
        dispatched_until = n.dispatched_until, in_doubt_since = n.in_doubt_since, lookups_made = n.lookups_made,
        next_lookup_at = n.next_lookup_at, sequence = n.sequence, updated_at = :now
    FROM jsonb_to_recordset(CAST(:payouts AS jsonb)) AS n (id uuid, state text, version int, approved_by text,
        attempts_made int, next_attempt_at timestamptz, cooldown_until timestamptz, approval_expires_at timestamptz,
        provider_reference text, failure_code text, claim_version int, claimed_until timestamptz,
        dispatched_until timestamptz, in_doubt_since timestamptz, lookups_made int, next_lookup_at timestamptz,
        sequence bigint)
    WHERE p.id = n.id AND p.id = ANY(CAST(:ids AS uuid[])) AND p.version = n.version - 1
"""
SAVE = text(SAVE_SQL)

RECORD_SQL = """
    INSERT INTO payout_events (payout_id, tenant, at, cause, from_state, to_state, version, attempt_no, code, actor,
        reason, job_id, transaction_id, detail)
    SELECT n.payout_id, n.tenant, :now, n.cause, n.from_state, n.to_state, n.version, n.attempt_no, n.code, n.actor,
        n.reason, n.job_id, n.transaction_id, n.detail
    FROM jsonb_to_recordset(CAST(:events AS jsonb)) AS n (payout_id uuid, tenant text, cause text, from_state text,
        to_state text, version int, attempt_no int, code text, actor text, reason text, job_id uuid,
        transaction_id bigint, detail jsonb)
"""
RECORD = text(RECORD_SQL)

# Moves that move no money, with their history and their news, in one round trip.
MOVE = text(f"""
    WITH saved AS ({SAVE_SQL} RETURNING p.id), recorded AS ({RECORD_SQL}), told AS ({ANNOUNCE_SQL})
    SELECT count(*) FROM saved
""")  # noqa: S608 - constants


def move(session: Session, moves: Sequence[Move], *, now: datetime, shadow: bool = False) -> list[Payout]:
    """Make these moves, at most one per payout, in the caller's transaction; the payouts as they are now, in order.

    `paid` captures the hold into the provider's clearing account, `failed` and `cancelled` release it, `returned`
    after `paid` brings the money back, and `paid` after `returned` takes it again: then the detail names the reversal
    that has failed. Raises ImpossibleMove for a move that states.MOVES does not have (a caller's bug) and PayoutRaced
    when a payout was not locked and has changed meanwhile.
    """
    if not moves:
        return []
    for one in moves:
        _check(one)
    standing = [_standing(one, now) for one in moves]
    if planned := _planned(moves, now):
        _move_money(session, moves, standing, planned, now, shadow=shadow)
    else:
        _move_alone(session, moves, standing, now)
    release_reservations(session, [p.id for p in standing if p.state in GIVEN_BACK_STATES], now=now)
    renew_reservations(session, [one.before.id for one in moves if _is_taken_again(one)])
    return standing


def note(session: Session, notes: Sequence[Note], *, now: datetime) -> None:
    """Write what happened without moving anything."""
    if notes:
        _record(session, [_event(one, one.payout) for one in notes], now)


def tell(session: Session, payouts: Sequence[Payout], *, now: datetime) -> None:
    """News for the tenant's own systems, one per payout and version."""
    announce(session, _all_news(payouts), now=now)


def _standing(one: Move, now: datetime) -> Payout:
    """As it is afterwards: whoever moves it, a submitted payout will be asked about one day, an ended one never."""
    after = replace(one.after, version=one.before.version + 1)
    match after.state:
        case "in_doubt":
            return after
        case "submitted":
            next_lookup_at = now + timedelta(seconds=SUBMITTED_LOOKUP_SECONDS)
            return replace(after, lookups_made=0, next_lookup_at=next_lookup_at)
        case _:
            return replace(after, next_lookup_at=None)


def _check(one: Move) -> None:
    if one.after.state not in MOVES[one.before.state]:
        raise ImpossibleMove(f"payout {one.before.id}: {one.before.state} -> {one.after.state} is no move")
    if _is_taken_again(one) and not one.detail.get(REVERSAL):
        raise ImpossibleMove(f"payout {one.before.id}: returned -> paid names no reversal that has failed")
    if changed := [name for name in IMMUTABLE if getattr(one.before, name) != getattr(one.after, name)]:
        raise ImpossibleMove(f"payout {one.before.id}: a move cannot change {', '.join(changed)}")


def _planned(moves: Sequence[Move], now: datetime) -> Sequence[tuple[Move, Posting]]:
    """The moves that move money, and how."""
    return [(one, posting) for one in moves if (posting := _posting(one, one.occurred_at or now))]


def _move_alone(session: Session, moves: Sequence[Move], standing: Sequence[Payout], now: datetime) -> None:
    values = {
        **_rows(standing),
        "events": _documents(moves, standing, {}),
        "news": as_json(_all_news(standing)),
        "now": require_aware(now),
    }
    _check_saved(session.execute(MOVE, values).scalar_one(), standing)


def _move_money(
    session: Session,
    moves: Sequence[Move],
    standing: Sequence[Payout],
    planned: Sequence[tuple[Move, Posting]],
    now: datetime,
    *,
    shadow: bool,
) -> None:
    """The payouts first, so that one which has changed meanwhile posts nothing."""
    saved = changed(session, SAVE, {**_rows(standing), "now": require_aware(now)})
    _check_saved(saved, standing)
    transactions = _settle(session, planned, now, shadow=shadow)
    session.execute(RECORD, {"events": _documents(moves, standing, transactions), "now": now})
    tell(session, standing, now=now)


def _rows(payouts: Sequence[Payout]) -> dict[str, Any]:
    rows = [{name: getattr(payout, name) for name in SAVED} for payout in payouts]
    return {"payouts": json.dumps(rows, default=str), "ids": [payout.id for payout in payouts]}


def _documents(moves: Sequence[Move], standing: Sequence[Payout], transactions: Mapping[UUID, int]) -> str:
    moved = [
        _moved(one, payout, transactions.get(payout.id)) for one, payout in zip(moves, standing, strict=True)
    ]
    return json.dumps(moved, default=str)


def _check_saved(saved: int, payouts: Sequence[Payout]) -> None:
    if saved != len(payouts):
        raise PayoutRaced(f"{len(payouts) - saved} of {len(payouts)} payouts have changed meanwhile")


def _settle(
    session: Session, planned: Sequence[tuple[Move, Posting]], now: datetime, *, shadow: bool
) -> dict[UUID, int]:
    """Payout id -> the ledger transaction that its new state asks for."""
    outcomes = post(session, [posting for _, posting in planned], now=now, shadow=shadow)
    found: dict[UUID, int] = {}
    for (one, posting), outcome in zip(planned, outcomes, strict=True):
        if isinstance(outcome, Refused):
            raise ImpossibleMove(f"payout {one.before.id}: the ledger refused {posting.key}: {outcome.code}")
        found[one.before.id] = outcome.transaction_id
    return found


def _posting(one: Move, occurred_at: datetime) -> Posting | None:
    hold = one.before.hold
    match one.after.state:
        case "paid" if _is_taken_again(one):
            return _take_again(one, occurred_at)
        case "paid":
            to_code = clearing_code(one.before.provider)
            return capture(hold, to_code=to_code, occurred_at=occurred_at, job_id=one.job_id)
        case "failed" | "cancelled":
            return release(hold, occurred_at=occurred_at, job_id=one.job_id)
        case "returned":
            reversal = one.detail.get(REVERSAL)
            return bring_back(one.before, occurred_at=occurred_at, job_id=one.job_id, reversal=reversal)
        case _:
            return None


def _is_taken_again(one: Move) -> bool:
    return one.before.state == "returned" and one.after.state == "paid"


def _take_again(one: Move, occurred_at: datetime) -> Posting:
    """The reversal has failed: available -> provider's clearing, once for each reversal. Suspense bears what the wallet
    no longer has: the payee has the money, whatever the owner did with it meanwhile."""
    payout, reversal = one.before, str(one.detail[REVERSAL])
    return Posting(
        tenant=payout.tenant,
        key=_reversal_key(payout, "reversal_failed", reversal),
        kind="payout.reversal_failed",
        legs=(
            Leg(wallet_code(payout.owner), payout.currency, -payout.amount_minor, SHORTFALL),
            Leg(clearing_code(payout.provider), payout.currency, payout.amount_minor),
        ),
        occurred_at=occurred_at,
        job_id=one.job_id,
        subject=f"hold:{payout.hold.id}",
        requires=_reversal_key(payout, "reversed", reversal),
    )


def _reversal_key(payout: Payout, effect: str, reversal: str) -> str:
    return f"hold:{payout.hold.id}:{effect}:{key_part(reversal)[:REVERSAL_LENGTH_MAX]}"


def bring_back(
    payout: Payout, *, occurred_at: datetime, job_id: UUID | None = None, reversal: str | None = None
) -> Posting:
    """The compensating transaction of a late reversal: provider's clearing -> available, once, after the capture; once
    for each `reversal` that the provider names."""
    hold = payout.hold
    return Posting(
        tenant=payout.tenant,
        key=_reversal_key(payout, "reversed", reversal) if reversal else f"hold:{hold.id}:returned",
        kind="payout.returned",
        legs=(
            Leg(clearing_code(payout.provider), payout.currency, -payout.amount_minor),
            Leg(wallet_code(payout.owner), payout.currency, payout.amount_minor),
        ),
        occurred_at=occurred_at,
        job_id=job_id,
        subject=f"hold:{hold.id}",
        requires=hold.settled_key,
    )


def _moved(one: Move, payout: Payout, transaction_id: int | None) -> dict[str, Any]:
    states = {"from_state": one.before.state, "to_state": payout.state, "transaction_id": transaction_id}
    return _event(one, payout) | states


def _event(one: Move | Note, payout: Payout) -> dict[str, Any]:
    return {
        "payout_id": payout.id,
        "tenant": payout.tenant,
        "cause": one.cause,
        "version": payout.version,
        "attempt_no": one.attempt_no,
        "code": one.code,
        "actor": one.actor,
        "reason": one.reason,
        "job_id": one.job_id,
        "detail": dict(one.detail),
    }


def _record(session: Session, events: Sequence[Mapping[str, Any]], now: datetime) -> None:
    session.execute(RECORD, {"events": json.dumps(events, default=str), "now": require_aware(now)})


def _all_news(payouts: Sequence[Payout]) -> list[News]:
    return [_news(payout) for payout in payouts if payout.state not in SILENT_STATES]


def _news(payout: Payout) -> News:
    return News(
        tenant=payout.tenant,
        type=f"payout.{payout.state}",
        subject=payout.subject,
        version=payout.version,
        data={
            "payout_id": str(payout.id),
            "owner": payout.owner,
            "amount_minor": payout.amount_minor,
            "currency": payout.currency,
            "provider": payout.provider,
            "state": payout.state,
            "failure_code": payout.failure_code,
            "attempts_made": payout.attempts_made,
            "next_attempt_at": payout.next_attempt_at and payout.next_attempt_at.isoformat(),
        },
    )
