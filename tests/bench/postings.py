"""The same work three ways: batches of postings for post(), for bare SQL through psycopg, and for pgledger."""

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count

import psycopg

from models.ledger.outcomes import Leg, Posting

NOW = datetime(2026, 3, 14, 12, 0, tzinfo=UTC)
TENANT = "acme"
HOT = "provider:sandbox:clearing"
WALLETS = [f"wallet:player-{number}:available" for number in range(1000)]
CLEARINGS = [f"provider:bank-{number}:clearing" for number in range(1000)]

numbers: Iterator[int] = count(1)


def deposits(size: int, *, hot: bool = True) -> list[Posting]:
    """Postings of two entries, each from a clearing account (one for all when `hot`) to some wallet."""
    return [deposit(HOT if hot else random.choice(CLEARINGS)) for _ in range(size)]  # noqa: S311 - no secret


def deposit(source: str) -> Posting:
    number, amount = next(numbers), random.randint(1, 10_000)  # noqa: S311 - no secret
    legs = (Leg(source, "EUR", -amount), Leg(random.choice(WALLETS), "EUR", amount))  # noqa: S311
    return Posting(TENANT, f"deposit:{number}", "deposit", legs, NOW, subject=f"deposit:sandbox:{number}")


LOCK = """
    SELECT id, code, balance_minor FROM accounts WHERE tenant = %s AND code = ANY(%s) AND currency = 'EUR'
    ORDER BY id FOR NO KEY UPDATE
"""

# The batch in one statement: every row that post() writes, the fingerprint made by the database.
WRITE = """
    WITH asked AS MATERIALIZED (
        SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::bigint[], %s::bigint[], %s::bigint[])
            WITH ORDINALITY AS p (key, subject, legs, source_id, target_id, amount, line)
    ), written AS (
        INSERT INTO ledger_transactions (tenant, kind, idempotency_key, fingerprint, subject, occurred_at)
        SELECT %s, 'deposit', key, sha256(convert_to(legs, 'UTF8')), subject, %s FROM asked ORDER BY line
        ON CONFLICT (tenant, idempotency_key) DO NOTHING RETURNING id, idempotency_key
    ), entries AS (
        SELECT w.id, e.account_id, e.amount, 2 * a.line + e.leg AS line
        FROM asked a JOIN written w ON w.idempotency_key = a.key
        CROSS JOIN LATERAL (VALUES (a.source_id, -a.amount, 0), (a.target_id, a.amount, 1))
            AS e (account_id, amount, leg)
    ), entered AS (
        INSERT INTO ledger_entries (transaction_id, account_id, amount_minor, balance_after_minor)
        SELECT e.id, e.account_id, e.amount,
            b.balance_minor + sum(e.amount) OVER (PARTITION BY e.account_id ORDER BY e.line)
        FROM entries e JOIN unnest(%s::bigint[], %s::bigint[]) AS b (id, balance_minor) ON b.id = e.account_id
        ORDER BY e.line
    )
    UPDATE accounts a SET balance_minor = a.balance_minor + s.amount
    FROM (SELECT account_id, sum(amount) AS amount FROM entries GROUP BY account_id) AS s
    WHERE a.id = s.account_id
"""


def post_bare(connection: "psycopg.Connection[tuple[object, ...]]", postings: list[Posting]) -> None:
    """A batch on accounts that exist and may go below zero: two statements and a commit."""
    codes = sorted({leg.code for posting in postings for leg in posting.legs})
    rows = connection.execute(LOCK, (TENANT, codes)).fetchall()
    ids = {code: row_id for row_id, code, _ in rows}
    connection.execute(
        WRITE,
        (
            [posting.key for posting in postings],
            [posting.subject for posting in postings],
            [json.dumps([[leg.code, leg.currency, leg.amount_minor] for leg in p.legs]) for p in postings],
            [ids[posting.legs[0].code] for posting in postings],
            [ids[posting.legs[1].code] for posting in postings],
            [posting.legs[1].amount_minor for posting in postings],
            TENANT,
            NOW,
            [row_id for row_id, _, _ in rows],
            [balance for _, _, balance in rows],
        ),
    )
    connection.commit()
