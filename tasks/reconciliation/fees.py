"""A provider's fees into the ledger: each record's fee is booked once, by the first run that is told of it."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from models.ledger.codes import house_code, key_part
from models.ledger.outcomes import Created, Leg, Posting
from models.ledger.posting import post
from models.reconciliation.scope import Scope
from models.reconciliation.unbooked import Unbooked

FEES = house_code("fees")
BATCH_ROWS = 500


def book_fees(
    session: Session, scope: Scope, fees: Sequence[Unbooked], *, shadow: bool, now: datetime
) -> int:
    """Post them in the caller's transaction; how many were new. One that stands already with another amount is left
    as it is: matching tells of it."""
    outcomes = post(session, [_posting(scope, fee) for fee in fees], now=now, shadow=shadow)
    return sum(isinstance(outcome, Created) for outcome in outcomes)


def _posting(scope: Scope, fee: Unbooked) -> Posting:
    """The provider owes us less by its fee; the house bears it."""
    legs = [
        leg
        for currency, minor in sorted(fee.minor)
        for leg in (Leg(scope.holds, currency, minor), Leg(FEES, currency, -minor))
    ]
    return Posting(
        tenant=scope.tenant,
        key=f"fee:{scope.provider}:{key_part(fee.record_id)}",
        kind="fee.booked",
        legs=tuple(legs),
        occurred_at=fee.occurred_at,
        subject=f"fee:{scope.provider}:{fee.record_id}",
    )
