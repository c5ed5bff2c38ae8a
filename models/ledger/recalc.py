"""Balances against the entries, which are the truth: find accounts that drifted, and set them right.

A balance drifts only when somebody writes around post(). Account rows are locked in the order of their ids, as post()
does: while they are, no entry of theirs can be added. Running balances (`balance_after_minor`) are append-only: what
is wrong there is told, and stays.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from models import audit
from models.base import require_aware

ROWS_MAX = 200
"""Accounts of one look, and of one transaction that repairs."""


@dataclass(frozen=True, slots=True)
class Drift:
    """An account whose balance is not the sum of its entries. Not `repairable`: the sum is no balance it may have."""

    account_id: int
    tenant: str
    code: str
    currency: str
    balance_minor: int
    entries_minor: int
    repairable: bool


@dataclass(frozen=True, slots=True)
class BrokenRun:
    """An account with entries whose `balance_after_minor` does not follow from the entry before."""

    account_id: int
    tenant: str
    entries: int
    first_entry_id: int


# A sum of entries that the CHECK accounts_not_overdrawn refuses, or that no bigint holds, cannot be written.
_DRIFTED = """
    WITH chosen AS MATERIALIZED (
        SELECT * FROM accounts WHERE {chosen}
    ), sums AS (
        SELECT account_id, sum(amount_minor) AS total FROM ledger_entries
        WHERE account_id IN (SELECT id FROM chosen) GROUP BY 1
    )
    SELECT c.id, c.tenant, c.code, c.currency, c.balance_minor, coalesce(s.total, 0) AS entries_minor,
        (coalesce(s.total, 0) >= 0 OR c.allow_overdraft OR c.shadow)
            AND coalesce(s.total, 0) BETWEEN -9223372036854775808 AND 9223372036854775807 AS repairable
    FROM chosen c LEFT JOIN sums s ON s.account_id = c.id
    WHERE c.balance_minor <> coalesce(s.total, 0)
    ORDER BY c.id LIMIT :rows
"""

DRIFTED = text(
    _DRIFTED.format(
        chosen="""(CAST(:tenant AS text) IS NULL OR tenant = :tenant)
            AND (CAST(:owner AS text) IS NULL OR owner = :owner) AND id > :after"""
    )
)
DRIFTED_OF = text(_DRIFTED.format(chosen="id = ANY(CAST(:ids AS bigint[]))"))

_ACCOUNTS = "FROM accounts WHERE tenant = :tenant AND (CAST(:owner AS text) IS NULL OR owner = :owner)"
COUNT_ACCOUNTS = text(f"SELECT count(*) {_ACCOUNTS}")
ACCOUNTS = text(f"SELECT id {_ACCOUNTS} AND id > :after ORDER BY id LIMIT :rows")

BROKEN_RUNS = text("""
    SELECT a.id, a.tenant, count(*), min(x.id) FROM (
        SELECT e.id, e.account_id, e.balance_after_minor,
            e.amount_minor + coalesce(lag(e.balance_after_minor) OVER (PARTITION BY e.account_id ORDER BY e.id), 0)
                AS expected
        FROM ledger_entries e JOIN accounts c ON c.id = e.account_id
        WHERE (CAST(:tenant AS text) IS NULL OR c.tenant = :tenant)
            AND (CAST(:owner AS text) IS NULL OR c.owner = :owner)
    ) x JOIN accounts a ON a.id = x.account_id
    WHERE x.balance_after_minor <> x.expected
    GROUP BY 1, 2 ORDER BY 1 LIMIT :rows
""")

LOCK = text("SELECT id FROM accounts WHERE id = ANY(CAST(:ids AS bigint[])) ORDER BY id FOR NO KEY UPDATE")

SET_RIGHT = text("""
    UPDATE accounts a SET balance_minor = r.balance_minor
    FROM unnest(CAST(:ids AS bigint[]), CAST(:balances AS bigint[])) AS r (id, balance_minor) WHERE a.id = r.id
""")


def find_drift(
    session: Session, *, tenant: str | None = None, owner: str | None = None, after: int = 0
) -> list[Drift]:
    """Up to ROWS_MAX drifted accounts, of all, of a tenant or of an owner, by id; `after` continues. Reads only."""
    rows = session.execute(DRIFTED, {"tenant": tenant, "owner": owner, "after": after, "rows": ROWS_MAX})
    return _drifts(rows)


def count_accounts(session: Session, tenant: str, *, owner: str | None = None) -> int:
    """How many accounts a tenant, or one of its owners, has."""
    return int(session.execute(COUNT_ACCOUNTS, {"tenant": tenant, "owner": owner}).scalar_one())


def account_ids(
    session: Session, tenant: str, *, owner: str | None = None, after: int = 0, rows: int = ROWS_MAX
) -> list[int]:
    """The next accounts by id, drifted or not; `after` continues."""
    values = {"tenant": tenant, "owner": owner, "after": after, "rows": rows}
    return list(session.execute(ACCOUNTS, values).scalars())


def drift_of(session: Session, account_ids: Collection[int], *, lock: bool = False) -> list[Drift]:
    """Those of them that have drifted, by id. With `lock` the accounts are held until the transaction ends, so that it
    stays as it is told."""
    ids = sorted(account_ids)
    if lock:
        session.execute(LOCK, {"ids": ids})
    return _drifts(session.execute(DRIFTED_OF, {"ids": ids, "rows": len(ids)}))


def find_broken_runs(
    session: Session, *, tenant: str | None = None, owner: str | None = None
) -> Sequence[BrokenRun]:
    """Up to ROWS_MAX accounts with running balances that do not add up. Reads only."""
    rows = session.execute(BROKEN_RUNS, {"tenant": tenant, "owner": owner, "rows": ROWS_MAX})
    return [BrokenRun(*row) for row in rows]


def repair(
    session: Session, account_ids: Collection[int], *, actor: str, reason: str, run: UUID, now: datetime
) -> list[Drift]:
    """Set the balances of these accounts to the sum of their entries and audit each. Which accounts were set right.

    What has not drifted (any more) or is not repairable is left as it is.
    """
    drifted = drift_of(session, account_ids, lock=True)  # anew: the rows are ours only now
    wrong = [one for one in drifted if one.repairable]
    columns = {"ids": [one.account_id for one in wrong], "balances": [one.entries_minor for one in wrong]}
    session.execute(SET_RIGHT, columns)
    for one in wrong:
        audit.record(
            session,
            tenant=one.tenant,
            actor=actor,
            action="account.recalculated",
            subject=f"account:{one.account_id}",
            reason=reason,
            now=require_aware(now),
            detail={
                "run": str(run),
                "currency": one.currency,
                "was_minor": one.balance_minor,
                "is_minor": one.entries_minor,
            },
        )
    return wrong


def _drifts(rows: Iterable[Any]) -> list[Drift]:
    return [
        Drift(
            one.id,
            one.tenant,
            one.code,
            one.currency,
            one.balance_minor,
            int(one.entries_minor),
            one.repairable,
        )
        for one in rows
    ]
