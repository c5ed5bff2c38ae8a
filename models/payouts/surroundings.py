"""What a payout's next step depends on beside its own row, read in one round trip."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import column, text
from sqlalchemy.orm import Session

from models.errors import UnknownTenant
from models.payouts.payout import ATTEMPT_FIELDS, Attempt, Payout
from models.provider_accounts import ProviderAccount
from models.tenants import POLICY_FIELDS, Policy, Tenant

ACCOUNT_FIELDS = tuple(field.name for field in fields(ProviderAccount) if field.name != "tenant_paused")
COLUMNS = (
    "t.timezone",
    *(f"t.{name}" for name in POLICY_FIELDS),
    *(f"a.{name}" for name in ACCOUNT_FIELDS),
    "t.paused_at IS NOT NULL",
    *(f"x.{name}" for name in ATTEMPT_FIELDS),
)
POLICY_ENDS = 1 + len(POLICY_FIELDS)
ACCOUNT_ENDS = POLICY_ENDS + len(ACCOUNT_FIELDS) + 1

# One row per attempt; one with nothing in its last columns where there is none.
READ = text(f"""
    SELECT {", ".join(COLUMNS)}
    FROM tenants t
    LEFT JOIN provider_accounts a ON a.tenant = t.tenant AND a.provider = :provider
    LEFT JOIN payout_attempts x ON x.payout_id = :payout_id
    WHERE t.tenant = :tenant ORDER BY x.attempt_no
""").columns(*(column(f"c{number}") for number in range(len(COLUMNS))))  # noqa: S608 - constants


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The payout's tenant, its account (None when no settings ever named it), and its attempts in order."""

    tenant: Tenant
    account: ProviderAccount | None
    attempts: Sequence[Attempt]


def read_surroundings(session: Session, payout: Payout) -> Surroundings:
    """As they are now; lock the payout first, in a statement of its own. Raises UnknownTenant."""
    values = {"payout_id": payout.id, "tenant": payout.tenant, "provider": payout.provider}
    rows: list[tuple[Any, ...]] = [tuple(row) for row in session.execute(READ, values)]
    if not rows:
        raise UnknownTenant(f"no tenant {payout.tenant!r} in the database")
    first = rows[0]
    account, attempts = first[POLICY_ENDS:ACCOUNT_ENDS], [row[ACCOUNT_ENDS:] for row in rows]
    return Surroundings(
        Tenant(payout.tenant, first[0], Policy(*first[1:POLICY_ENDS])),
        None if account[0] is None else ProviderAccount(*account),
        [Attempt(*one) for one in attempts if one[0] is not None],
    )
