"""post(): the only way into the ledger. Batch-first, created-gated, account rows locked in sorted order.

A batch of any size costs three statements: lock the accounts, look up the keys, write transactions, entries and
balances. Where needed two more open new accounts and lock them, one records mismatches, and one fetches what the
replays said the first time: seven at most.
"""

from collections.abc import Callable, Sequence
from datetime import datetime

import psycopg
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from models.arrays import integers, texts
from models.base import require_aware
from models.errors import PostingRaced
from models.ledger.answers import outcomes_of
from models.ledger.deciding import Account, Batch, Write, account_keys
from models.ledger.facts import NEW_ACCOUNTS, find_transactions, lock_accounts, new_accounts
from models.ledger.outcomes import AccountKey, Posting, PostingOutcome

OPEN_ACCOUNTS = text(f"""
    INSERT INTO accounts (tenant, code, currency, allow_overdraft, shadow)
    SELECT tenant, code, currency, allow_overdraft, :shadow FROM ({NEW_ACCOUNTS}) n
    ORDER BY tenant, code, currency
    ON CONFLICT (tenant, code, currency) DO NOTHING
""")  # noqa: S608 - a constant of this room

# Transactions, their entries and the new balances in one round trip. `ids` are those of the transactions, in order:
# rows are inserted, numbered and returned in the order of the select, and the keys that come back are held against
# those that were asked for (a join of both took a tenth of the statement's time). NULL where that is not so. A key that
# another transaction took since it was looked up is a violation; ON CONFLICT would cost each row a second look.
WRITE = text("""
    WITH asked AS (
        SELECT * FROM unnest(CAST(:tenants AS text[]), CAST(:kinds AS text[]), CAST(:keys AS text[]),
            CAST(:fingerprints AS text[]), CAST(:subjects AS text[]), CAST(:job_ids AS uuid[]),
            CAST(:times AS timestamptz[]))
            WITH ORDINALITY AS p (tenant, kind, key, fingerprint, subject, job_id, occurred_at, posting)
    ), written AS (
        INSERT INTO ledger_transactions (tenant, kind, idempotency_key, fingerprint, subject, job_id, occurred_at)
        SELECT tenant, kind, key, decode(fingerprint, 'hex'), subject, job_id, occurred_at FROM asked ORDER BY posting
        RETURNING id, tenant, idempotency_key
    ), numbered AS (
        SELECT CASE WHEN array_agg(tenant) = CAST(:tenants AS text[])
            AND array_agg(idempotency_key) = CAST(:keys AS text[]) THEN array_agg(id) END AS ids
        FROM written
    ), entered AS (
        INSERT INTO ledger_entries (transaction_id, account_id, amount_minor, balance_after_minor)
        SELECT n.ids[e.posting], e.account_id, e.amount_minor, e.balance_after_minor
        FROM unnest(CAST(:entry_posting AS int[]), CAST(:entry_account AS bigint[]),
            CAST(:entry_amount AS bigint[]), CAST(:entry_balance AS bigint[]))
            WITH ORDINALITY AS e (posting, account_id, amount_minor, balance_after_minor, line), numbered n
        WHERE n.ids[e.posting] IS NOT NULL
        ORDER BY e.line
    ), moved AS (
        UPDATE accounts a SET balance_minor = b.balance_minor
        FROM unnest(CAST(:account_ids AS bigint[]), CAST(:balances AS bigint[])) AS b (id, balance_minor)
        WHERE a.id = b.id AND a.id = ANY(CAST(:account_ids AS bigint[]))
    )
    SELECT ids FROM numbered
""")

KEYS = "ledger_transactions_tenant_idempotency_key_key"

RECORD_MISMATCHES = text("""
    INSERT INTO ledger_mismatches (tenant, transaction_id, account_id, short_minor)
    SELECT * FROM unnest(CAST(:tenants AS text[]), CAST(:transaction_ids AS bigint[]),
        CAST(:account_ids AS bigint[]), CAST(:shorts AS bigint[]))
""")


def post(
    session: Session,
    postings: Sequence[Posting],
    *,
    now: datetime,
    shadow: bool = False,
    meanwhile: Callable[[], object] | None = None,
) -> list[PostingOutcome]:
    """Post a batch in the caller's transaction; one outcome per posting, in order. Safe to repeat.

    Postings take effect one after another, as if each had been posted alone: an earlier credit pays for a later
    debit. `shadow` opens new accounts in shadow mode. A provider's clock may run ahead of ours: a time later than
    `now` is recorded as `now`. `meanwhile` is called just before PostgreSQL gets all that is to be written, if there
    is anything: other threads have the time until its answer. Raises PostingRaced when another transaction took one
    of the keys meanwhile: roll back and run again.
    """
    if not postings:
        return []
    accounts = _lock_or_open(session, account_keys(postings), shadow=shadow)
    batch = Batch(accounts, find_transactions(session, postings))
    decisions = batch.decide(postings)
    writes = [decision for decision in decisions if isinstance(decision, Write)]
    if writes:
        _write(session, writes, require_aware(now), meanwhile)
    return outcomes_of(session, decisions, batch)


def _lock_or_open(session: Session, keys: set[AccountKey], *, shadow: bool) -> dict[AccountKey, Account]:
    accounts = lock_accounts(session, keys)
    if missing := keys - accounts.keys():
        session.execute(OPEN_ACCOUNTS, new_accounts(missing) | {"shadow": shadow})
        accounts |= lock_accounts(session, missing)
    return accounts


def _write(
    session: Session, writes: Sequence[Write], now: datetime, meanwhile: Callable[[], object] | None
) -> None:
    """Insert what was decided and note the new ids."""
    columns = _transaction_columns([write.posting for write in writes], now) | _entry_columns(writes)
    if meanwhile is not None:
        meanwhile()
    try:
        ids = session.execute(WRITE, columns).scalar_one()
    except IntegrityError as error:
        if _constraint(error) == KEYS:
            raise PostingRaced(f"of {len(writes)} keys one was taken meanwhile") from None
        raise
    if ids is None:
        raise RuntimeError("PostgreSQL has not written the transactions in the order that was asked for")
    for write, row_id in zip(writes, ids, strict=True):
        write.standing.id = row_id
    _record_mismatches(session, writes)


def _constraint(error: IntegrityError) -> str | None:
    return error.orig.diag.constraint_name if isinstance(error.orig, psycopg.Error) else None


def _transaction_columns(postings: Sequence[Posting], now: datetime) -> dict[str, str]:
    return {
        "tenants": texts([posting.tenant for posting in postings]),
        "kinds": texts([posting.kind for posting in postings]),
        "keys": texts([posting.key for posting in postings]),
        "fingerprints": texts([posting.fingerprint.hex() for posting in postings]),
        "subjects": texts([posting.subject for posting in postings]),
        "job_ids": texts([posting.job_id.hex if posting.job_id else None for posting in postings]),
        "times": texts([min(posting.occurred_at, now).isoformat() for posting in postings]),
    }


def _entry_columns(writes: Sequence[Write]) -> dict[str, str]:
    entries = [entry for write in writes for entry in write.entries]
    accounts, _, _, amounts, balances_after, _ = zip(*entries, strict=True)
    balances = dict(zip(accounts, balances_after, strict=True))
    return {
        "entry_posting": integers([number for number, write in enumerate(writes, 1) for _ in write.entries]),
        "entry_account": integers(accounts),
        "entry_amount": integers(amounts),
        "entry_balance": integers(balances_after),
        "account_ids": integers(balances),
        "balances": integers(balances.values()),
    }


def _record_mismatches(session: Session, writes: Sequence[Write]) -> None:
    short = [
        (write.posting.tenant, write.standing.id, entry)
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
