"""payouts.request: what may be paid out becomes a payout - its limit reserved, its money held, its row written.

Requests are decided in the order of the run, as if each had come alone. What was refused takes nothing from a later
one: neither money nor a part of the day's limit.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.jobs.outcomes import Done, Outcome, Refused
from models.ledger import outcomes as ledger
from models.ledger.holds import place
from models.ledger.posting import post
from models.limits import Asked, release_reservations, reserve
from models.payouts.opening import Opening, open_payouts
from models.payouts.payout import Payout
from models.tenants import Tenant
from tasks.intake.port import Touched, Work
from tasks.payouts.policy import Standing, admit, refuse_request
from worker.catalogue import PayoutRequest
from worker.providers.payouts.amounts import operation, representable

Request = Work[PayoutRequest]
Decided = dict[UUID, Payout | Refused]
"""Payout id -> the payout that begins, or why it does not."""

KNOWN = text("SELECT id, state FROM payouts WHERE tenant = :tenant AND id = ANY(CAST(:ids AS uuid[]))")

ADAPTERS = text("SELECT provider, adapter FROM provider_accounts WHERE tenant = :tenant AND enabled")

KYC = text("""
    SELECT owner, kyc_status FROM wallet_owners WHERE tenant = :tenant AND owner = ANY(CAST(:owners AS text[]))
""")


@dataclass(frozen=True, slots=True)
class _Round:
    """Requests decided together. `held` are those that the ledger let through, with their transactions."""

    answers: Decided
    held: Sequence[Opening]
    lacking: bool
    """Was money missing for one that had reserved?"""


def touch_requests(_session: Session, _tenant: str, work: Sequence[Request]) -> Sequence[Touched]:
    """The owner, whose money is held and whose limit it counts for, and the payout, which a command may name."""
    return [frozenset({f"owner:{one.args.owner}", f"payout:{one.job.id}"}) for one in work]


def apply_requests(
    session: Session, work: Sequence[Request], *, tenant: Tenant, now: datetime
) -> list[Outcome]:
    """Handler of `payouts.request`: one outcome per job, in order. The payout's id is the job's."""
    known = _known(session, tenant.name, work)
    fresh = [one for one in work if one.job.id not in known]
    standing = _standing(session, tenant, fresh)
    decided: Decided = {}
    candidates: list[Payout] = []
    for one in fresh:
        refused = refuse_request(tenant.policy, one.args.provider, standing[one.job.id])
        if refused:
            decided[one.job.id] = refused
        else:
            candidates.append(admit(_asked(one, tenant, now), tenant.policy, now))
    decided |= _admit_all(session, tenant, candidates, now)
    return [_outcome(one.job.id, known, decided) for one in work]


def _outcome(payout_id: UUID, known: Mapping[UUID, str], decided: Decided) -> Outcome:
    if payout_id in known:
        return Done({"payout_id": str(payout_id), "state": known[payout_id]}, "replayed")
    answer = decided[payout_id]
    if isinstance(answer, Refused):
        return answer
    return Done({"payout_id": str(payout_id), "state": answer.state})


def _known(session: Session, tenant: str, work: Sequence[Request]) -> dict[UUID, str]:
    """The state of each payout that stands already: its request took effect before."""
    rows = session.execute(KNOWN, {"tenant": tenant, "ids": sorted(one.job.id for one in work)})
    return {row.id: row.state for row in rows}


def _standing(session: Session, tenant: Tenant, work: Sequence[Request]) -> dict[UUID, Standing]:
    adapters = {row.provider: row.adapter for row in session.execute(ADAPTERS, {"tenant": tenant.name})}
    kyc = _kyc(session, tenant.name, work) if tenant.policy.kyc_required else {}
    return {one.job.id: _stands(one.args, adapters.get(one.args.provider), kyc) for one in work}


def _stands(args: PayoutRequest, adapter: str | None, kyc: Mapping[str, str]) -> Standing:
    if adapter is None:
        return Standing(None)
    kind = operation(adapter, args.destination)
    cause = representable(adapter, kind, args.amount_minor, args.currency)
    return Standing(adapter, kyc.get(args.owner, "unverified"), cause)


def _kyc(session: Session, tenant: str, work: Sequence[Request]) -> dict[str, str]:
    owners = sorted({one.args.owner for one in work})
    rows = session.execute(KYC, {"tenant": tenant, "owners": owners})
    return {row.owner: row.kyc_status for row in rows}


def _asked(one: Request, tenant: Tenant, now: datetime) -> Payout:
    args = one.args
    return Payout(
        id=one.job.id,
        tenant=tenant.name,
        owner=args.owner,
        amount_minor=args.amount_minor,
        currency=args.currency,
        provider=args.provider,
        destination=args.destination,
        state="approved",
        requested_by=args.requested_by,
        business_date=tenant.business_date(now),
        requested_at=now,
    )


def _admit_all(session: Session, tenant: Tenant, payouts: Sequence[Payout], now: datetime) -> Decided:
    """All at once, which costs a few statements; one by one per purse where that may end otherwise.

    It may only where money was missing for one that had reserved a part of a limit: what it gave back might have
    done for a later one. Then it is all undone and decided again.
    """
    if not payouts:
        return {}
    undone = session.begin_nested()
    together = _round(session, tenant, payouts, now)
    limited = tenant.policy.daily_payout_limit_minor is not None
    if together.lacking and limited:
        undone.rollback()
        return _open(session, [_round(session, tenant, some, now) for some in in_turns(payouts)], now)
    undone.commit()
    return _open(session, [together], now)


def in_turns(payouts: Iterable[Payout]) -> list[list[Payout]]:
    """The first payout of every purse (owner and currency), then the second of every purse, and so on."""
    numbered: dict[tuple[str, str], int] = {}
    turns: list[tuple[int, Payout]] = []
    for payout in payouts:
        purse = (payout.owner, payout.currency)
        numbered[purse] = numbered.get(purse, 0) + 1
        turns.append((numbered[purse], payout))
    ordered = sorted(turns, key=lambda turn: turn[0])
    return [[payout for _, payout in some] for _, some in groupby(ordered, key=lambda turn: turn[0])]


def _round(session: Session, tenant: Tenant, payouts: Sequence[Payout], now: datetime) -> _Round:
    """Reserve, then hold; what the ledger refuses gives its reservation back."""
    asked = [Asked(one.id, one.owner, one.currency, one.amount_minor) for one in payouts]
    limits = reserve(session, tenant, asked, now=now)
    over = {one.id: limit for one, limit in zip(payouts, limits, strict=True) if limit}
    within = [one for one in payouts if one.id not in over]
    holds = [place(one.hold, occurred_at=now, job_id=one.id) for one in within]
    held = list(zip(within, post(session, holds, now=now, shadow=tenant.shadow), strict=True))
    lacking = {one.id: answer for one, answer in held if isinstance(answer, ledger.Refused)}
    release_reservations(session, lacking, now=now)
    answers: Decided = {one: Refused("limit_exceeded", limit.as_detail()) for one, limit in over.items()}
    answers |= {one: Refused(answer.code, answer.detail) for one, answer in lacking.items()}
    openings = [
        Opening(one, answer.transaction_id) for one, answer in held if not isinstance(answer, ledger.Refused)
    ]
    return _Round(answers, openings, bool(lacking))


def _open(session: Session, rounds: Sequence[_Round], now: datetime) -> Decided:
    openings = [opening for one in rounds for opening in one.held]
    open_payouts(session, openings, now=now)
    decided: Decided = {payout_id: answer for one in rounds for payout_id, answer in one.answers.items()}
    return decided | {opening.payout.id: opening.payout for opening in openings}
