"""What owners had moved by a moment, as the ledger knows it: asked before an older system's balance is taken over."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.arrays import texts

MOVED = text("""
    SELECT w.number, sum(e.amount_minor), count(*)
    FROM unnest(CAST(:owners AS text[]), CAST(:currencies AS text[]), CAST(:times AS timestamptz[]),
        CAST(:keys AS text[])) WITH ORDINALITY AS w (owner, currency, at, key, number)
    JOIN accounts a ON a.tenant = :tenant AND a.owner = w.owner AND a.currency = w.currency
    JOIN ledger_entries e ON e.account_id = a.id
    JOIN ledger_transactions t ON t.id = e.transaction_id
    WHERE t.occurred_at <= w.at AND t.idempotency_key <> w.key
    GROUP BY w.number
""")

STANDING = text("""
    SELECT idempotency_key FROM ledger_transactions
    WHERE tenant = :tenant AND idempotency_key = ANY(CAST(:keys AS text[]))
""")


@dataclass(frozen=True, slots=True)
class Asked:
    """An owner's wallet in a currency (available and held together) at a moment, but for the transaction `key`."""

    owner: str
    currency: str
    at: datetime
    key: str


@dataclass(frozen=True, slots=True)
class Moved:
    """The sum of `entries` entries."""

    amount_minor: int = 0
    entries: int = 0


def moved_by_then(session: Session, tenant: str, asked: Sequence[Asked]) -> list[Moved]:
    """One for each that is asked, in order. Locks nothing: ask again when the accounts are locked."""
    columns = {
        "owners": texts(one.owner for one in asked),
        "currencies": texts(one.currency for one in asked),
        "times": texts(one.at.isoformat() for one in asked),
        "keys": texts(one.key for one in asked),
    }
    found = {
        number: Moved(int(amount), entries)
        for number, amount, entries in session.execute(MOVED, columns | {"tenant": tenant})
    }
    return [found.get(number, Moved()) for number in range(1, len(asked) + 1)]


def standing(session: Session, tenant: str, keys: Sequence[str]) -> set[str]:
    """Those of the keys that the ledger knows."""
    return set(session.execute(STANDING, {"tenant": tenant, "keys": texts(keys)}).scalars())
