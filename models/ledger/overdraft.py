"""Who may go below zero: the overdraft of single wallets, and the shadow mode of a tenant's accounts.

Account rows are locked in the order of their ids, as post() does.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.ledger.codes import wallet_code


@dataclass(frozen=True, slots=True)
class WalletAccount:
    """What an owner may spend in one currency, and whether it may go below zero."""

    owner: str
    currency: str
    balance_minor: int
    allow_overdraft: bool


@dataclass(frozen=True, slots=True)
class Overdrawn:
    """An account below zero that only shadow mode lets be there. `owner` is None for one that is no wallet's."""

    owner: str | None
    code: str
    currency: str
    balance_minor: int


LOCK_WALLETS = text("""
    SELECT owner, currency, balance_minor, allow_overdraft FROM accounts
    WHERE tenant = :tenant AND owner = ANY(CAST(:owners AS text[])) AND code LIKE '%available'
    ORDER BY id FOR NO KEY UPDATE
""")

# Opens the wallet where there is none yet.
SET_OVERDRAFT = text("""
    INSERT INTO accounts (tenant, code, currency, allow_overdraft, shadow)
    SELECT :tenant, n.code, n.currency, n.allow_overdraft, :shadow
    FROM unnest(CAST(:codes AS text[]), CAST(:currencies AS text[]), CAST(:allowed AS boolean[]))
        AS n (code, currency, allow_overdraft)
    ORDER BY n.code, n.currency
    ON CONFLICT (tenant, code, currency) DO UPDATE SET allow_overdraft = excluded.allow_overdraft
""")

LOCK_OVERDRAWN = text("""
    WITH locked AS MATERIALIZED (
        SELECT balance_minor, allow_overdraft FROM accounts
        WHERE tenant = :tenant AND shadow ORDER BY id FOR NO KEY UPDATE
    )
    SELECT count(*) FROM locked WHERE balance_minor < 0 AND NOT allow_overdraft
""")

OVERDRAWN = text("""
    SELECT owner, code, currency, balance_minor FROM accounts
    WHERE tenant = :tenant AND shadow AND balance_minor < 0 AND NOT allow_overdraft
    ORDER BY balance_minor, id LIMIT :rows
""")

FOLLOW_MODE = text("""
    WITH locked AS MATERIALIZED (
        SELECT id FROM accounts WHERE tenant = :tenant AND shadow <> :shadow ORDER BY id FOR NO KEY UPDATE
    )
    UPDATE accounts a SET shadow = :shadow FROM locked WHERE a.id = locked.id
""")


def lock_wallets(session: Session, tenant: str, owners: Collection[str]) -> list[WalletAccount]:
    """The `available` accounts of these owners, locked until the transaction ends."""
    rows = session.execute(LOCK_WALLETS, {"tenant": tenant, "owners": sorted(owners)})
    return [WalletAccount(*row) for row in rows]


def set_overdraft(
    session: Session, tenant: str, wallets: Sequence[tuple[str, str, bool]], *, shadow: bool
) -> None:
    """Let these wallets (owner, currency, allowed) go below zero, or not; a wallet that is new is opened.

    The database refuses to take the overdraft from a wallet that is below zero.
    """
    if wallets:
        values = {
            "codes": [wallet_code(owner) for owner, _, _ in wallets],
            "currencies": [currency for _, currency, _ in wallets],
            "allowed": [allowed for _, _, allowed in wallets],
        }
        session.execute(SET_OVERDRAFT, values | {"tenant": tenant, "shadow": shadow})


def count_overdrawn(session: Session, tenant: str) -> int:
    """How many accounts only shadow mode lets be below zero; all that are in it are locked."""
    return int(session.execute(LOCK_OVERDRAWN, {"tenant": tenant}).scalar_one())


def find_overdrawn(session: Session, tenant: str, *, rows: int) -> list[Overdrawn]:
    """The first of the accounts that `count_overdrawn` counts, the lowest balance first. Locks nothing."""
    found = session.execute(OVERDRAWN, {"tenant": tenant, "rows": rows})
    return [Overdrawn(*row) for row in found]


def follow_mode(session: Session, tenant: str, *, shadow: bool) -> None:
    """Put all accounts of the tenant into shadow mode, or out of it: `count_overdrawn` must then be zero."""
    session.execute(FOLLOW_MODE, {"tenant": tenant, "shadow": shadow})
