"""A provider's own transfers between us and our bank into the ledger: each is booked once, by the first run told of it.

    provider:<name>:clearing ──settlement.booked──▶ bank:<account>       it paid out to us what it owes us
    provider:<name>:clearing ◀──settlement.returned── bank:<account>     that came back, or we topped up

None of these is a payout of ours: see `unbooked`. The bank's own records show which of them arrived.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from models.ledger.codes import key_part
from models.ledger.outcomes import Created, Leg, Posting
from models.ledger.posting import post
from models.reconciliation.scope import Scope
from models.reconciliation.unbooked import Unbooked

BOOKED, RETURNED = "settlement.booked", "settlement.returned"


@dataclass(frozen=True, slots=True)
class SettlementTerms:
    """What the settings say of an account's own transfers. `bank_account`: where they go, None for one of the
    provider's name; `is_bank`: the account is that bank account; `grace_seconds`: how long what moved may be on its
    way, None for the tenant's policy."""

    bank_account: str | None = None
    is_bank: bool = False
    grace_seconds: int | None = None


def book_settlements(
    session: Session, scope: Scope, transfers: Sequence[Unbooked], *, shadow: bool, now: datetime
) -> int:
    """Post them in the caller's transaction; how many were new. One that stands already with another amount is left as
    it is: matching tells of it."""
    outcomes = post(session, [_posting(scope, one) for one in transfers], now=now, shadow=shadow)
    return sum(isinstance(outcome, Created) for outcome in outcomes)


def _posting(scope: Scope, transfer: Unbooked) -> Posting:
    """The provider owes us less by what it paid out to us, and the bank has it."""
    legs = [
        leg
        for currency, minor in sorted(transfer.minor)
        for leg in (Leg(scope.holds, currency, -minor), Leg(scope.bank, currency, minor))
    ]
    return Posting(
        tenant=scope.tenant,
        key=f"settlement:{scope.provider}:{key_part(transfer.record_id)}",
        kind=BOOKED if sum(minor for _, minor in transfer.minor) < 0 else RETURNED,
        legs=tuple(legs),
        occurred_at=transfer.occurred_at,
        subject=f"settlement:{scope.provider}:{transfer.object_id or transfer.record_id}",
    )
