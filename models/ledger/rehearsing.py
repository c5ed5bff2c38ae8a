"""rehearse(): what post() would say, by the same facts and decisions; the ledger is neither written nor locked.

What a rehearsal has worked out so far lies over the ledger, in tables of its own under the id of the backfill, so that
one batch after another is decided as if those before it had been posted.
"""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.arrays import integers, texts
from models.ledger.answers import outcomes_of
from models.ledger.deciding import Account, Batch, Standing, TransactionKey, Write, account_keys
from models.ledger.facts import (
    NEW_ACCOUNTS,
    find_transactions,
    new_accounts,
    read_accounts,
    transaction_keys,
)
from models.ledger.outcomes import AccountKey, Posting, PostingOutcome

IMAGINE_ACCOUNTS = text(NEW_ACCOUNTS)

REHEARSED_BALANCES = text("""
    SELECT code, currency, balance_minor FROM backfill_rehearsed_accounts
    WHERE backfill_id = :backfill_id
        AND code = ANY(CAST(:codes AS text[])) AND currency = ANY(CAST(:currencies AS text[]))
""")

REHEARSED_KEYS = text("""
    SELECT key, fingerprint FROM backfill_rehearsed_keys
    WHERE backfill_id = :backfill_id AND key = ANY(CAST(:keys AS text[]))
""")

KEEP = text("""
    WITH keys AS (
        INSERT INTO backfill_rehearsed_keys (backfill_id, key, fingerprint)
        SELECT :backfill_id, key, decode(fingerprint, 'hex')
        FROM unnest(CAST(:keys AS text[]), CAST(:fingerprints AS text[])) AS k (key, fingerprint)
    )
    INSERT INTO backfill_rehearsed_accounts (backfill_id, code, currency, balance_minor)
    SELECT :backfill_id, * FROM unnest(CAST(:codes AS text[]), CAST(:currencies AS text[]),
        CAST(:balances AS bigint[]))
    ON CONFLICT (backfill_id, code, currency) DO UPDATE SET balance_minor = excluded.balance_minor
""")

FORGET = text("""
    WITH keys AS (DELETE FROM backfill_rehearsed_keys WHERE backfill_id = :backfill_id)
    DELETE FROM backfill_rehearsed_accounts WHERE backfill_id = :backfill_id
""")


def rehearse(
    session: Session, postings: Sequence[Posting], *, backfill_id: UUID, shadow: bool = False
) -> list[PostingOutcome]:
    """What post() would answer to this batch, had those that were rehearsed under this id before it been posted.

    One outcome per posting, in order. What is only rehearsed has transaction 0; a later replay of it is `Replayed`
    without balances. `shadow` as in post(). Nothing is locked: who posts meanwhile does not wait, and may make another
    rehearsal say something else; an account's balance is read when the rehearsal first moves it, and not again.
    Raises ValueError when the postings are not all of one tenant.
    """
    if not postings:
        return []
    if len(tenants := {posting.tenant for posting in postings}) > 1:
        raise ValueError(f"a rehearsal is of one tenant, {len(tenants)} were given")
    keys = account_keys(postings)
    batch = Batch(
        _accounts(session, keys, backfill_id, shadow=shadow),
        _rehearsed(session, postings, backfill_id) | find_transactions(session, postings),
    )
    decisions = batch.decide(postings)
    if writes := [decision for decision in decisions if isinstance(decision, Write)]:
        _keep(session, writes, backfill_id)
    return outcomes_of(session, decisions, batch)


def forget_rehearsal(session: Session, backfill_id: UUID) -> None:
    """Drop what was rehearsed under this id."""
    session.execute(FORGET, {"backfill_id": backfill_id})


def _accounts(
    session: Session, keys: set[AccountKey], backfill_id: UUID, *, shadow: bool
) -> dict[AccountKey, Account]:
    """The accounts as they are, those that are yet to open as they would be, with the rehearsed balances."""
    accounts = read_accounts(session, keys)
    if missing := keys - accounts.keys():
        for tenant, code, currency, allow_overdraft in session.execute(
            IMAGINE_ACCOUNTS, new_accounts(missing)
        ):
            accounts[tenant, code, currency] = Account(0, 0, allow_overdraft, shadow)
    (tenant,) = {tenant for tenant, _, _ in keys}
    columns = {"codes": texts(code for _, code, _ in keys), "currencies": texts({key[2] for key in keys})}
    for code, currency, balance in session.execute(
        REHEARSED_BALANCES, columns | {"backfill_id": backfill_id}
    ):
        if account := accounts.get((tenant, code, currency)):
            account.balance = balance
    return accounts


def _rehearsed(
    session: Session, postings: Sequence[Posting], backfill_id: UUID
) -> dict[TransactionKey, Standing]:
    keys = transaction_keys(postings)
    rows = session.execute(
        REHEARSED_KEYS, {"backfill_id": backfill_id, "keys": texts(key for _, key in keys)}
    )
    tenant = postings[0].tenant
    return {(tenant, key): Standing(bytes(fingerprint), None) for key, fingerprint in rows}


def _keep(session: Session, writes: Sequence[Write], backfill_id: UUID) -> None:
    balances = {
        (entry.code, entry.currency): entry.balance_after_minor for write in writes for entry in write.entries
    }
    session.execute(
        KEEP,
        {
            "backfill_id": backfill_id,
            "keys": texts(write.posting.key for write in writes),
            "fingerprints": texts(write.posting.fingerprint.hex() for write in writes),
            "codes": texts(code for code, _ in balances),
            "currencies": texts(currency for _, currency in balances),
            "balances": integers(balances.values()),
        },
    )
