"""Any number of provider records and ledger rows, made by the database, with every discrepancy seeded in a thousandth.

What is wrong is decided by a hash of the row's number and the seed. Buckets 0 to 6 of a thousand are wrong, each in its
way; 10 to 18 are unusual and right; all others are plain. The truth is kept in the table `seeded`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import psycopg
from psycopg.rows import tuple_row

from worker.providers.records.port import BadRow, Record, Window

BUSINESS_DATE = date(2026, 3, 13)
NOW = datetime(2026, 3, 16, 12, tzinfo=UTC)
BUCKETS = {
    0: "missing_at_provider",
    1: "missing_in_ledger",
    2: "amount_mismatch",
    3: "currency_mismatch",
    4: "status_mismatch",
    5: "fee_mismatch",
    6: "duplicate_at_provider",
}
ITEMS_AT_ONCE = 10_000

Connection = psycopg.Connection[tuple[object, ...]]

# One plan row is one movement: what the ledger says of it and what the provider does.
PLAN = """
    CREATE TABLE plan AS
    SELECT n, bucket, kind, currency, ref,
        CASE kind WHEN 'deposit' THEN 1 ELSE -1 END * (100 + abs(h) %% 100000) AS minor,
        CASE WHEN bucket IN (5, 14) THEN 20 + abs(h) %% 80 ELSE 0 END AS fee,
        CASE bucket WHEN 12 THEN %(now)s - interval '1 hour' ELSE %(start)s + n * %(step)s END AS at
    FROM (
        SELECT n, h, (abs(h) / 7 %% 1000)::int AS bucket, md5(n || ':' || %(seed)s) AS ref,
            CASE WHEN abs(h) / 7 %% 1000 IN (4, 13) THEN 'payout' WHEN abs(h) / 7 %% 1000 IN (8, 15, 18) THEN 'deposit'
                WHEN abs(h) / 7 %% 1000 = 7 THEN 'refund'
                ELSE (ARRAY['deposit', 'deposit', 'deposit', 'deposit', 'deposit', 'deposit', 'deposit', 'refund',
                    'chargeback', 'payout'])[1 + abs(h) / 7000 %% 10] END AS kind,
            (ARRAY['EUR', 'EUR', 'USD'])[1 + abs(h) / 70000 %% 3] AS currency
        FROM (SELECT n, hashint8extended(n, %(seed)s) >> 8 AS h FROM generate_series(1, %(rows)s) AS n) hashed
    ) rows
"""

LEDGER_ROWS = """
    CREATE TABLE ledger_rows (ref text, kind text, transaction_kind text, key text, currency text, minor bigint,
        at timestamptz);
    INSERT INTO ledger_rows
    SELECT CASE kind WHEN 'payout' THEN ref::uuid::text ELSE ref END, kind,
        CASE kind WHEN 'deposit' THEN 'deposit.captured' WHEN 'refund' THEN 'deposit.refunded'
            WHEN 'chargeback' THEN 'deposit.charged_back' ELSE 'hold.captured' END,
        ref || ':' || v.part, v.currency, v.minor, CASE bucket WHEN 11 THEN at - interval '10 days' ELSE at END
    FROM plan CROSS JOIN LATERAL (
        SELECT 1 AS part, currency, CASE bucket WHEN 10 THEN minor - minor / 3 ELSE minor END AS minor
        UNION ALL SELECT 2, currency, minor / 3 WHERE bucket = 10
        UNION ALL SELECT 2, currency, minor WHERE bucket = 16
        UNION ALL SELECT 2, CASE currency WHEN 'EUR' THEN 'USD' ELSE 'EUR' END, minor WHERE bucket = 17
    ) v WHERE bucket NOT IN (1, 12);
    INSERT INTO ledger_rows
    SELECT ref::uuid::text, 'payout', 'payout.returned', ref || ':back', currency, -minor, at
    FROM plan WHERE bucket = 13;
    INSERT INTO ledger_rows
    SELECT 'rec_' || n, 'fee', 'fee.booked', NULL, currency, -fee - (bucket = 5)::int, at FROM plan WHERE fee <> 0
"""

LEDGER = """
    INSERT INTO accounts (tenant, code, currency, allow_overdraft)
    SELECT 'acme', code, currency, true
    FROM unnest(ARRAY['provider:sandbox:clearing', 'house:seed']) code, unnest(ARRAY['EUR', 'USD']) currency
    ON CONFLICT DO NOTHING;
    ALTER TABLE ledger_entries DISABLE TRIGGER ledger_entries_balanced;
    INSERT INTO ledger_transactions (tenant, kind, idempotency_key, fingerprint, subject, occurred_at)
    SELECT 'acme', transaction_kind, coalesce('seed:' || key, 'fee:sandbox:' || ref), '\\x00',
        CASE kind WHEN 'payout' THEN 'hold:' WHEN 'fee' THEN 'fee:sandbox:' ELSE 'deposit:sandbox:' END || ref, at
    FROM ledger_rows ORDER BY at;
    INSERT INTO ledger_entries (transaction_id, account_id, amount_minor, balance_after_minor)
    SELECT t.id, a.id, CASE a.code WHEN 'house:seed' THEN r.minor ELSE -r.minor END, 0
    FROM ledger_rows r
    JOIN ledger_transactions t ON t.tenant = 'acme'
        AND t.idempotency_key = coalesce('seed:' || r.key, 'fee:sandbox:' || r.ref)
    JOIN accounts a ON a.tenant = 'acme' AND a.currency = r.currency
        AND a.code IN ('provider:sandbox:clearing', 'house:seed')
    ORDER BY t.id, a.id;
    ALTER TABLE ledger_entries ENABLE TRIGGER ledger_entries_balanced;
    TRUNCATE ledger_rows
"""

KNOWN = """
    INSERT INTO payout_attempts (payout_id, attempt_no, tenant, provider, provider_key, reference, claim_version,
        outcome, started_at, first_used_at, key_valid_until, finished_at)
    SELECT ref::uuid, 1, 'acme', 'sandbox', ref, 'po_' || ref, 1, CASE bucket WHEN 13 THEN 'returned' ELSE 'paid' END,
        at, at, at, at FROM plan WHERE kind = 'payout';
    INSERT INTO deposits (tenant, provider, reference, owner, currency, expected_minor, business_date, object_ids,
        expected_at, updated_at)
    SELECT 'acme', 'sandbox', ref, 'o', currency, abs(minor), '2026-03-13', ARRAY['pay_' || n], at, at
    FROM plan WHERE bucket = 15
"""

FEED = """
    CREATE TABLE feed AS
    SELECT n, 'rec_' || n || suffix AS record_id, p.kind,
        CASE WHEN bucket = 15 THEN NULL WHEN p.kind = 'payout' THEN 'po_' || ref ELSE ref END AS reference,
        'pay_' || n AS object_id, v.minor AS amount_minor, v.currency, v.fee AS fee_minor, p.currency AS fee_currency,
        'settled' AS status, at AS occurred_at
    FROM plan p CROSS JOIN LATERAL (
        SELECT '' AS suffix, CASE bucket WHEN 2 THEN minor + 1 ELSE minor END AS minor,
            CASE WHEN bucket = 3 THEN CASE currency WHEN 'EUR' THEN 'USD' ELSE 'EUR' END ELSE currency END AS currency,
            fee WHERE bucket <> 0
        UNION ALL SELECT '_again', minor, currency, 0 WHERE bucket IN (6, 16)
        UNION ALL SELECT '_back', -minor, currency, 0 WHERE bucket IN (4, 13)
        UNION ALL SELECT '_other', minor, CASE currency WHEN 'EUR' THEN 'USD' ELSE 'EUR' END, 0 WHERE bucket = 17
    ) v
"""

SEEDED = """
    CREATE TABLE seeded AS
    SELECT bucket, n, 'rec_' || n || CASE bucket WHEN 4 THEN '_back' WHEN 6 THEN '_again' ELSE '' END AS record_id, ref
    FROM plan WHERE bucket <= 6
"""

# The provider corrects its records, and what we had missed is booked.
MEND_FEED = """
    INSERT INTO feed
    SELECT n, 'rec_' || n, kind, CASE kind WHEN 'payout' THEN 'po_' || ref ELSE ref END, 'pay_' || n, minor, currency,
        0, currency, 'settled', at FROM plan WHERE bucket = 0;
    UPDATE feed f SET amount_minor = p.minor, currency = p.currency, fee_minor = p.fee + (p.bucket = 5)::int
    FROM plan p WHERE p.n = f.n AND p.bucket IN (2, 3, 5);
    DELETE FROM feed f USING seeded s WHERE s.bucket IN (4, 6) AND s.record_id = f.record_id;
    INSERT INTO ledger_rows
    SELECT CASE kind WHEN 'payout' THEN ref::uuid::text ELSE ref END, kind,
        CASE kind WHEN 'deposit' THEN 'deposit.captured' WHEN 'refund' THEN 'deposit.refunded'
            WHEN 'chargeback' THEN 'deposit.charged_back' ELSE 'hold.captured' END,
        ref || ':late', currency, minor, at
    FROM plan WHERE bucket = 1
"""


@dataclass(frozen=True, slots=True)
class Feed:
    """The provider's records, streamed from the table `feed`: a RecordSource in bounded memory."""

    connection: Connection

    def read(self, window: Window) -> Iterator[Record | BadRow]:
        columns = (
            "record_id, kind, reference, object_id, amount_minor, currency, fee_minor, fee_currency, status"
        )
        query = f"SELECT {columns}, occurred_at FROM feed WHERE occurred_at >= %s AND occurred_at < %s"  # noqa: S608
        with self.connection.transaction(), self.connection.cursor("feed", row_factory=tuple_row) as cursor:
            cursor.itersize = ITEMS_AT_ONCE
            for row in cursor.execute(query.encode(), (window.since, window.until)):
                yield Record(*row)


def generate(connection: Connection, rows: int, *, seed: int = 1) -> None:
    """Fill ledger and feed, as the database's owner. `connection` is in autocommit mode; tenant acme exists."""
    start = datetime.combine(BUSINESS_DATE - timedelta(days=2), datetime.min.time(), tzinfo=UTC)
    step = timedelta(days=2, hours=20) / rows
    values = {"rows": rows, "seed": seed, "start": start, "step": step, "now": NOW}
    connection.execute(PLAN.encode(), values)
    for script in (LEDGER_ROWS, LEDGER, KNOWN, FEED, SEEDED):
        connection.execute(script.encode())
    connection.execute(b"VACUUM ANALYZE")


def mend(connection: Connection) -> None:
    """Upstream puts everything right."""
    connection.execute(MEND_FEED.encode())
    connection.execute(LEDGER.encode())


def truth(connection: Connection) -> set[tuple[str, str]]:
    """(kind, record id) of what was seeded; for what the provider does not tell, our reference."""
    rows = connection.execute(
        b"SELECT bucket, CASE bucket WHEN 0 THEN ref ELSE record_id END FROM seeded"
    ).fetchall()
    return {(BUCKETS[int(str(bucket))], str(name)) for bucket, name in rows}


def found(connection: Connection, state: str = "open") -> set[tuple[str, str]]:
    """The same of the findings in this state."""
    rows = connection.execute(
        b"SELECT kind, coalesce(detail ->> 'record_id', replace(detail ->> 'reference', 'po_', '')) "
        b"FROM reconciliation_findings WHERE tenant = 'acme' AND state = %s",
        (state,),
    ).fetchall()
    return {(str(kind), str(name)) for kind, name in rows}
