"""The same pipeline in SQL alone: pgbench INSERTs jobs, a commit each; one connection claims and posts them in sets."""

import subprocess
import tempfile
import threading
import time
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict

from ops.embedded.binaries import find_postgres
from tests.bench.running import Connection, connected, number

CLIENTS = 32
BATCH = 200

# One request: what the door's INSERT writes, for one job.
INSERT = """
\\set owner random(0, 999)
\\set amount random(1, 10000)
INSERT INTO jobs (tenant, name, origin, idempotency_key, fingerprint, args, due_at, accepted_at)
SELECT 'acme', 'wallets.credit', 'app', gen_random_uuid()::text, job_fingerprint('wallets.credit', a), a, now(), now()
FROM (SELECT jsonb_build_object('owner', 'player-' || :owner, 'amount_minor', :amount,
    'currency', 'EUR', 'reason', 'promo') AS a) AS args;
"""

# One batch: claim, post and finish, in one statement, on wallets that exist.
DRAIN = """
    WITH claimed AS MATERIALIZED (
        SELECT id, seq, idempotency_key AS key, fingerprint, 'wallet:' || (args->>'owner') || ':available' AS code,
            (args->>'amount_minor')::bigint AS amount
        FROM jobs WHERE tenant = 'acme' AND state = 'queued' ORDER BY seq LIMIT %s FOR NO KEY UPDATE SKIP LOCKED
    ), legs AS MATERIALIZED (
        SELECT key, seq, 0 AS leg, 'house:promo' AS code, -amount AS amount FROM claimed
        UNION ALL SELECT key, seq, 1, code, amount FROM claimed
    ), locked AS MATERIALIZED (
        SELECT id, code, balance_minor FROM accounts
        WHERE tenant = 'acme' AND currency = 'EUR' AND code IN (SELECT code FROM legs)
        ORDER BY id FOR NO KEY UPDATE
    ), written AS (
        INSERT INTO ledger_transactions (tenant, kind, idempotency_key, fingerprint, job_id, occurred_at)
        SELECT 'acme', 'wallet.credit', 'wallets.credit:' || key, fingerprint, id, now() FROM claimed ORDER BY seq
        ON CONFLICT (tenant, idempotency_key) DO NOTHING RETURNING id, job_id
    ), entries AS MATERIALIZED (
        SELECT w.id, a.id AS account_id, l.amount, a.balance_minor
            + sum(l.amount) OVER (PARTITION BY a.id ORDER BY l.seq, l.leg)::bigint AS after, l.seq, l.leg, w.job_id
        FROM written w JOIN claimed c ON c.id = w.job_id JOIN legs l ON l.key = c.key JOIN locked a ON a.code = l.code
    ), entered AS (
        INSERT INTO ledger_entries (transaction_id, account_id, amount_minor, balance_after_minor)
        SELECT id, account_id, amount, after FROM entries ORDER BY seq, leg
    ), moved AS (
        UPDATE accounts a SET balance_minor = a.balance_minor + s.amount
        FROM (SELECT account_id, sum(amount)::bigint AS amount FROM entries GROUP BY 1) AS s WHERE a.id = s.account_id
    )
    UPDATE jobs j SET state = 'done', attempts = 1, finished_at = now(),
        result = jsonb_build_object('transaction_id', e.id, 'balance_minor', e.after)
    FROM entries e WHERE j.id = e.job_id AND e.leg = 1
"""
LEFT = "SELECT count(*) FROM jobs WHERE tenant = 'acme' AND state = 'queued'"


def run(database_url: str, jobs: int) -> float:
    """Seconds from the first INSERT until the last job is done. Before that, the planner is told of the tables:
    with a plan made for empty ones this is half as fast."""
    inserted = threading.Event()
    with connected(database_url) as connection:
        connection.execute("ANALYZE")
        drainer = threading.Thread(target=_drain, args=(connection, inserted))
        began = time.monotonic()
        drainer.start()
        _insert(database_url, jobs)
        inserted.set()
        drainer.join()
        return time.monotonic() - began


def _drain(connection: Connection, inserted: threading.Event) -> None:
    connection.execute("SET enable_hashjoin = off")
    while True:
        last = inserted.is_set()
        if connection.execute(DRAIN, (BATCH,)).rowcount == 0:
            if last and number(connection, LEFT) == 0:
                return
            time.sleep(0.002)


def _insert(database_url: str, jobs: int) -> None:
    address = conninfo_to_dict(database_url.replace("+psycopg", ""))
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
        script.write(INSERT)
        script.flush()
        program = Path(find_postgres().folder) / "pgbench"
        place = ["-h", str(address["host"]), "-p", str(address["port"]), "-U", str(address["user"])]
        options = ["-n", "-c", str(CLIENTS), "-j", "2", "-t", str(jobs // CLIENTS), "-f", script.name]
        subprocess.run([program, *place, *options, str(address["dbname"])], check=True, capture_output=True)
