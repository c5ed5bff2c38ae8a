"""What a batch is decided on: its accounts and the transactions that stand under its keys. Reads, and locks if asked.

The arrays of a statement narrow what the index is asked for; which of their combinations are meant, its last condition
says. IS TRUE makes that condition a hash table. As a join it is planned for ten rows, whatever the batch is, and
compares each row that is found with each of the batch.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from sqlalchemy import TextClause, text
from sqlalchemy.orm import Session

from models.arrays import texts
from models.ledger.codes import may_overdraw
from models.ledger.deciding import Account, Standing, TransactionKey
from models.ledger.outcomes import AccountKey, Posting

ACCOUNTS = """
    SELECT a.id, a.tenant, a.code, a.currency, a.balance_minor, a.allow_overdraft, a.shadow
    FROM accounts a
    WHERE a.tenant = ANY(CAST(:tenants AS text[])) AND a.code = ANY(CAST(:codes AS text[]))
        AND a.currency = ANY(CAST(:currencies AS text[])) AND ((a.tenant, a.code, a.currency) IN (
        SELECT * FROM unnest(CAST(:tenants AS text[]), CAST(:codes AS text[]), CAST(:currencies AS text[])))) IS TRUE
"""
READ_ACCOUNTS = text(ACCOUNTS)

# Locks the accounts of the batch in the order of their ids: every batch does, so none waits in a circle.
LOCK_ACCOUNTS = text(f"{ACCOUNTS} ORDER BY a.id FOR NO KEY UPDATE OF a")

# An account as it is opened, at zero: a wallet inherits what wallets.configure said of its owner.
NEW_ACCOUNTS = """
    SELECT n.tenant, n.code, n.currency,
        n.may_overdraw OR (coalesce(o.allow_overdraft, false) AND n.code LIKE '%available') AS allow_overdraft
    FROM unnest(CAST(:tenants AS text[]), CAST(:codes AS text[]), CAST(:currencies AS text[]),
        CAST(:may_overdraw AS boolean[])) AS n (tenant, code, currency, may_overdraw)
    LEFT JOIN wallet_owners o
        ON o.tenant = n.tenant AND o.owner = substring(n.code from '^wallet:(.+):(available|held)$')
"""

FIND_TRANSACTIONS = text("""
    SELECT t.id, t.tenant, t.idempotency_key, t.fingerprint
    FROM ledger_transactions t
    WHERE t.tenant = ANY(CAST(:tenants AS text[])) AND t.idempotency_key = ANY(CAST(:keys AS text[]))
        AND ((t.tenant, t.idempotency_key) IN (
        SELECT * FROM unnest(CAST(:tenants AS text[]), CAST(:keys AS text[])))) IS TRUE
""")


def lock_accounts(session: Session, keys: Collection[AccountKey]) -> dict[AccountKey, Account]:
    """Those of the accounts that exist, locked until the transaction ends."""
    return _accounts(session, LOCK_ACCOUNTS, keys)


def read_accounts(session: Session, keys: Collection[AccountKey]) -> dict[AccountKey, Account]:
    """Those of the accounts that exist, as they are at this moment."""
    return _accounts(session, READ_ACCOUNTS, keys)


def new_accounts(keys: Collection[AccountKey]) -> dict[str, Any]:
    """The parameters of NEW_ACCOUNTS."""
    return _columns(keys) | {"may_overdraw": [may_overdraw(code) for _, code, _ in keys]}


def find_transactions(session: Session, postings: Sequence[Posting]) -> dict[TransactionKey, Standing]:
    """What stands under the keys of the postings, and under those that they require."""
    tenants, names = zip(*transaction_keys(postings), strict=True)
    rows = session.execute(FIND_TRANSACTIONS, {"tenants": texts(tenants), "keys": texts(names)}).all()
    return {(tenant, key): Standing(bytes(fingerprint), row_id) for row_id, tenant, key, fingerprint in rows}


def transaction_keys(postings: Sequence[Posting]) -> Collection[TransactionKey]:
    """The keys of the postings, and those that they require: each once."""
    keys = dict.fromkeys((posting.tenant, posting.key) for posting in postings)
    return keys | dict.fromkeys(
        (posting.tenant, posting.requires) for posting in postings if posting.requires
    )


def _accounts(session: Session, query: TextClause, keys: Collection[AccountKey]) -> dict[AccountKey, Account]:
    rows = session.execute(query, _columns(keys)).all()
    return {
        (tenant, code, currency): Account(row_id, balance, allow_overdraft, shadow)
        for row_id, tenant, code, currency, balance, allow_overdraft, shadow in rows
    }


def _columns(keys: Iterable[AccountKey]) -> dict[str, str]:
    tenants, codes, currencies = zip(*keys, strict=True)
    return {"tenants": texts(tenants), "codes": texts(codes), "currencies": texts(currencies)}
