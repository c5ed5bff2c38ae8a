"""post(): the only way into the ledger. Batch-first, created-gated, account rows locked in sorted order.

A batch of any size costs three statements: lock the accounts, look up the keys, write transactions, entries and
balances. Where needed two more open new accounts and lock them, one records mismatches, and one fetches what the
replays said the first time: seven at most.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.arrays import integers, texts
from models.base import require_aware
from models.errors import PostingRaced
from models.ledger.codes import may_overdraw
from models.ledger.deciding import (
    Account,
    Batch,
    Decision,
    Entry,
    Replay,
    Standing,
    TransactionKey,
    Write,
    account_keys,
)
from models.ledger.outcomes import AccountKey, Created, Posting, PostingOutcome, Refused, Replayed

# Locks the accounts of the batch in the order of their ids: every batch does, so none waits in a circle. The three
# lists narrow what the index is asked for; which of their combinations are meant, the join says.
LOCK_ACCOUNTS = text("""
    SELECT a.id, a.tenant, a.code, a.currency, a.balance_minor, a.allow_overdraft, a.shadow
    FROM accounts a
    WHERE a.tenant = ANY(CAST(:tenants AS text[])) AND a.code = ANY(CAST(:codes AS text[]))
        AND a.currency = ANY(CAST(:currencies AS text[])) AND (a.tenant, a.code, a.currency) IN (
        SELECT * FROM unnest(CAST(:tenants AS text[]), CAST(:codes AS text[]), CAST(:currencies AS text[])))
    ORDER BY a.id FOR NO KEY UPDATE OF a
""")

# Opens accounts at zero; a wallet inherits what wallets.configure said of its owner.
OPEN_ACCOUNTS = text("""
    INSERT INTO accounts (tenant, code, currency, allow_overdraft, shadow)
    SELECT n.tenant, n.code, n.currency,
        n.may_overdraw OR (coalesce(o.allow_overdraft, false) AND n.code LIKE '%available'), :shadow
    FROM unnest(CAST(:tenants AS text[]), CAST(:codes AS text[]), CAST(:currencies AS text[]),
        CAST(:may_overdraw AS boolean[])) AS n (tenant, code, currency, may_overdraw)
    LEFT JOIN wallet_owners o
        ON o.tenant = n.tenant AND o.owner = substring(n.code from '^wallet:(.+):(available|held)$')
    ORDER BY n.tenant, n.code, n.currency
    ON CONFLICT (tenant, code, currency) DO NOTHING
""")

FIND_TRANSACTIONS = text("""
    SELECT t.id, t.tenant, t.idempotency_key, t.fingerprint
    FROM unnest(CAST(:tenants AS text[]), CAST(:keys AS text[])) AS k (tenant, key)
    JOIN ledger_transactions t ON t.tenant = k.tenant AND t.idempotency_key = k.key
    WHERE t.tenant = ANY(CAST(:tenants AS text[])) AND t.idempotency_key = ANY(CAST(:keys AS text[]))
""")

# Transactions, their entries and the new balances in one round trip. A key that another transaction took since
# FIND_TRANSACTIONS returns no row, which the caller notices.
WRITE = text("""
    WITH written AS (
        INSERT INTO ledger_transactions (tenant, kind, idempotency_key, fingerprint, subject, job_id, occurred_at)
        SELECT * FROM unnest(CAST(:tenants AS text[]), CAST(:kinds AS text[]), CAST(:keys AS text[]),
            CAST(:fingerprints AS bytea[]), CAST(:subjects AS text[]), CAST(:job_ids AS uuid[]),
            CAST(:times AS timestamptz[]))
        ON CONFLICT (tenant, idempotency_key) DO NOTHING
        RETURNING id, tenant, idempotency_key
    ), entered AS (
        INSERT INTO ledger_entries (transaction_id, account_id, amount_minor, balance_after_minor)
        SELECT w.id, e.account_id, e.amount_minor, e.balance_after_minor
        FROM unnest(CAST(:entry_posting AS int[]), CAST(:entry_account AS bigint[]),
            CAST(:entry_amount AS bigint[]), CAST(:entry_balance AS bigint[]))
            WITH ORDINALITY AS e (posting, account_id, amount_minor, balance_after_minor, line)
        JOIN unnest(CAST(:tenants AS text[]), CAST(:keys AS text[])) WITH ORDINALITY AS p (tenant, key, posting)
            ON p.posting = e.posting
        JOIN written w ON w.tenant = p.tenant AND w.idempotency_key = p.key
        ORDER BY e.line
    ), moved AS (
        UPDATE accounts a SET balance_minor = b.balance_minor
        FROM unnest(CAST(:account_ids AS bigint[]), CAST(:balances AS bigint[])) AS b (id, balance_minor)
        WHERE a.id = b.id AND a.id = ANY(CAST(:account_ids AS bigint[]))
    )
    SELECT id, tenant, idempotency_key FROM written
""")

RECORD_MISMATCHES = text("""
    INSERT INTO ledger_mismatches (tenant, transaction_id, account_id, short_minor)
    SELECT * FROM unnest(CAST(:tenants AS text[]), CAST(:transaction_ids AS bigint[]),
        CAST(:account_ids AS bigint[]), CAST(:shorts AS bigint[]))
""")

ENTRIES_OF = text("""
    SELECT e.transaction_id, a.code, a.currency, e.balance_after_minor
    FROM ledger_entries e JOIN accounts a ON a.id = e.account_id
    WHERE e.transaction_id = ANY(CAST(:ids AS bigint[]))
    ORDER BY e.id
""")


def post(
    session: Session, postings: Sequence[Posting], *, now: datetime, shadow: bool = False
) -> list[PostingOutcome]:
    """Post a batch in the caller's transaction; one outcome per posting, in order. Safe to repeat.

    Postings take effect one after another, as if each had been posted alone: an earlier credit pays for a later
    debit. `shadow` opens new accounts in shadow mode. A provider's clock may run ahead of ours: a time later than
    `now` is recorded as `now`. Raises PostingRaced when another transaction took one of the keys meanwhile: roll
    back and run again.
    """
    if not postings:
        return []
    batch = Batch(_lock_accounts(session, account_keys(postings), shadow=shadow), _find(session, postings))
    decisions = batch.decide(postings)
    writes = [decision for decision in decisions if isinstance(decision, Write)]
    if writes:
        _write(session, writes, batch, require_aware(now))
    return _outcomes(session, decisions, batch)


def _lock_accounts(
    session: Session, keys: Collection[AccountKey], *, shadow: bool
) -> dict[AccountKey, Account]:
    accounts = _lock(session, keys)
    if missing := sorted(key for key in keys if key not in accounts):
        overdrafts = {"may_overdraw": [may_overdraw(code) for _, code, _ in missing], "shadow": shadow}
        session.execute(OPEN_ACCOUNTS, _columns(missing) | overdrafts)
        accounts |= _lock(session, missing)
    return accounts


def _lock(session: Session, keys: Collection[AccountKey]) -> dict[AccountKey, Account]:
    rows = session.execute(LOCK_ACCOUNTS, _columns(keys)).all()
    return {
        (tenant, code, currency): Account(row_id, balance, allow_overdraft, shadow)
        for row_id, tenant, code, currency, balance, allow_overdraft, shadow in rows
    }


def _columns(keys: Iterable[AccountKey]) -> dict[str, Any]:
    tenants, codes, currencies = zip(*keys, strict=True)
    return {"tenants": texts(tenants), "codes": texts(codes), "currencies": texts(currencies)}


def _find(session: Session, postings: Sequence[Posting]) -> dict[TransactionKey, Standing]:
    keys = {(posting.tenant, posting.key) for posting in postings}
    keys |= {(posting.tenant, posting.requires) for posting in postings if posting.requires}
    tenants, names = zip(*sorted(keys), strict=True)
    rows = session.execute(FIND_TRANSACTIONS, {"tenants": texts(tenants), "keys": texts(names)}).all()
    return {(tenant, key): Standing(bytes(fingerprint), row_id) for row_id, tenant, key, fingerprint in rows}


def _write(session: Session, writes: Sequence[Write], batch: Batch, now: datetime) -> None:
    """Insert what was decided and note the new ids in `batch.standing`."""
    entries = [(number, entry) for number, write in enumerate(writes, 1) for entry in write.entries]
    balances = {entry.account_id: entry.balance_after_minor for _, entry in entries}
    rows = session.execute(
        WRITE,
        _transaction_columns(writes, now)
        | _entry_columns(entries)
        | {"account_ids": integers(balances), "balances": integers(balances.values())},
    ).all()
    if len(rows) != len(writes):
        raise PostingRaced(f"{len(writes) - len(rows)} of {len(writes)} keys were taken meanwhile")
    for row_id, tenant, key in rows:
        batch.standing[tenant, key] = Standing(batch.standing[tenant, key].fingerprint, row_id)
    _record_mismatches(session, writes, batch)


def _transaction_columns(writes: Sequence[Write], now: datetime) -> dict[str, str]:
    postings = [write.posting for write in writes]
    return {
        "tenants": texts(posting.tenant for posting in postings),
        "kinds": texts(posting.kind for posting in postings),
        "keys": texts(posting.key for posting in postings),
        "fingerprints": texts(f"\\x{write.fingerprint.hex()}" for write in writes),
        "subjects": texts(posting.subject for posting in postings),
        "job_ids": texts(posting.job_id.hex if posting.job_id else None for posting in postings),
        "times": texts(min(posting.occurred_at, now).isoformat() for posting in postings),
    }


def _entry_columns(entries: Sequence[tuple[int, Entry]]) -> dict[str, str]:
    return {
        "entry_posting": integers(number for number, _ in entries),
        "entry_account": integers(entry.account_id for _, entry in entries),
        "entry_amount": integers(entry.amount_minor for _, entry in entries),
        "entry_balance": integers(entry.balance_after_minor for _, entry in entries),
    }


def _record_mismatches(session: Session, writes: Sequence[Write], batch: Batch) -> None:
    short = [
        (write.posting.tenant, batch.standing[write.posting.tenant, write.posting.key].id, entry)
        for write in writes
        for entry in write.entries
        if entry.short_minor
    ]
    if short:
        columns = {
            "tenants": [tenant for tenant, _, _ in short],
            "transaction_ids": [transaction_id for _, transaction_id, _ in short],
            "account_ids": [entry.account_id for _, _, entry in short],
            "shorts": [entry.short_minor for _, _, entry in short],
        }
        session.execute(RECORD_MISMATCHES, columns)


def _outcomes(session: Session, decisions: Sequence[Decision], batch: Batch) -> list[PostingOutcome]:
    replayed = sorted({_id_of(batch, decision.key) for decision in decisions if isinstance(decision, Replay)})
    balances = _balances_then(session, replayed)
    return [_outcome(decision, batch, balances) for decision in decisions]


def _balances_then(session: Session, ids: Sequence[int]) -> Mapping[int, tuple[tuple[str, str, int], ...]]:
    found: dict[int, tuple[tuple[str, str, int], ...]] = {}
    if ids:
        for row_id, code, currency, balance in session.execute(ENTRIES_OF, {"ids": list(ids)}):
            found[row_id] = (*found.get(row_id, ()), (code, currency, balance))
    return found


def _outcome(
    decision: Decision, batch: Batch, balances: Mapping[int, tuple[tuple[str, str, int], ...]]
) -> PostingOutcome:
    match decision:
        case Write(posting, _, entries):
            after = tuple((entry.code, entry.currency, entry.balance_after_minor) for entry in entries)
            return Created(_id_of(batch, (posting.tenant, posting.key)), after)
        case Replay(key):
            row_id = _id_of(batch, key)
            return Replayed(row_id, balances[row_id])
        case Refused():
            return decision


def _id_of(batch: Batch, key: TransactionKey) -> int:
    row_id = batch.standing[key].id
    assert row_id is not None, key  # noqa: S101 - written above or found before: the type cannot say so
    return row_id
