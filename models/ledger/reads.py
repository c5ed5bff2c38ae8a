"""What the ledger says: balances now and at a time, history by cursor, the wallets of an owner."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.base import require_aware
from models.ledger.outcomes import AccountKey

HISTORY_ROWS_MAX = 1000

BALANCE = text(
    "SELECT balance_minor FROM accounts WHERE (tenant, code, currency) = (:tenant, :code, :currency)"
)

# Business time decides: what occurred at or before the instant, whenever it was recorded.
BALANCE_AT = text("""
    SELECT coalesce(sum(e.amount_minor), 0)::bigint
    FROM accounts a
    JOIN ledger_entries e ON e.account_id = a.id
    JOIN ledger_transactions t ON t.id = e.transaction_id
    WHERE (a.tenant, a.code, a.currency) = (:tenant, :code, :currency) AND t.occurred_at <= :at
""")

HISTORY = text("""
    SELECT e.id, e.transaction_id, t.kind, t.idempotency_key, t.subject, t.job_id, e.amount_minor,
        e.balance_after_minor, t.occurred_at
    FROM accounts a
    JOIN ledger_entries e ON e.account_id = a.id
    JOIN ledger_transactions t ON t.id = e.transaction_id
    WHERE (a.tenant, a.code, a.currency) = (:tenant, :code, :currency)
        AND (CAST(:before AS bigint) IS NULL OR e.id < :before)
    ORDER BY e.id DESC LIMIT :rows
""")

WALLETS = text("""
    SELECT owner, currency, available_minor, held_minor FROM wallets
    WHERE tenant = :tenant AND (CAST(:owner AS text) IS NULL OR owner = :owner)
    ORDER BY owner, currency
""")


@dataclass(frozen=True, slots=True)
class HistoryLine:
    """One entry of an account, with the transaction it belongs to."""

    entry_id: int
    transaction_id: int
    kind: str
    idempotency_key: str
    subject: str | None
    job_id: UUID | None
    amount_minor: int
    balance_after_minor: int
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """Newest first. `next_cursor` continues with older lines; None at the end."""

    lines: tuple[HistoryLine, ...]
    next_cursor: int | None


@dataclass(frozen=True, slots=True)
class Wallet:
    """What one owner has in one currency, in minor units."""

    owner: str
    currency: str
    available_minor: int
    held_minor: int


def balance(session: Session, account: AccountKey) -> int:
    """The balance now; an account that does not exist has 0 (fail-closed)."""
    found: int | None = session.execute(BALANCE, _named(account)).scalar_one_or_none()
    return found or 0


def balance_at(session: Session, account: AccountKey, *, at: datetime) -> int:
    """The sum of what had occurred at or before `at`."""
    total: int = session.execute(BALANCE_AT, _named(account) | {"at": require_aware(at)}).scalar_one()
    return total


def history(
    session: Session, account: AccountKey, *, cursor: int | None = None, rows: int = 50
) -> HistoryPage:
    """A page of the account's entries, newest first; stable while new ones arrive. `rows` is 1..1000."""
    if not 1 <= rows <= HISTORY_ROWS_MAX:
        raise ValueError(f"rows must be 1..{HISTORY_ROWS_MAX}, {rows} was asked for")
    parameters = _named(account) | {"before": cursor, "rows": rows + 1}
    found = [HistoryLine(*row) for row in session.execute(HISTORY, parameters)]
    page = tuple(found[:rows])
    return HistoryPage(page, page[-1].entry_id if len(found) > rows else None)


def wallets_of(session: Session, tenant: str, owner: str | None = None) -> Sequence[Wallet]:
    """The tenant's wallets, of one owner or of all, by owner and currency."""
    return [Wallet(*row) for row in session.execute(WALLETS, {"tenant": tenant, "owner": owner})]


def _named(account: AccountKey) -> dict[str, object]:
    tenant, code, currency = account
    return {"tenant": tenant, "code": code, "currency": currency}
