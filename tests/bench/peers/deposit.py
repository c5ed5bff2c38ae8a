"""One posting per message, as a queue's task would do it: idempotent, balanced, one hot account. Needs only psycopg."""

import os
import threading

import psycopg

URL = os.environ["LEDGERBEAT_DATABASE_URL"].replace("+psycopg", "")

# The same rows as post() writes; the accounts exist.
LOCK = """
    SELECT id, code, balance_minor FROM accounts
    WHERE tenant = 'acme' AND code = ANY(%s) AND currency = 'EUR' ORDER BY id FOR NO KEY UPDATE
"""
WRITE = """
    WITH written AS (
        INSERT INTO ledger_transactions (tenant, kind, idempotency_key, fingerprint, occurred_at)
        VALUES ('acme', 'wallet.credit', %(key)s, sha256(convert_to(%(asked)s, 'UTF8')), now())
        ON CONFLICT (tenant, idempotency_key) DO NOTHING RETURNING id
    ), entered AS (
        INSERT INTO ledger_entries (transaction_id, account_id, amount_minor, balance_after_minor)
        SELECT w.id, e.account_id, e.amount, e.after FROM written w
        CROSS JOIN (VALUES (%(house)s::bigint, -%(amount)s::bigint, %(house_after)s::bigint),
            (%(wallet)s, %(amount)s, %(wallet_after)s)) AS e (account_id, amount, after)
    )
    UPDATE accounts a SET balance_minor = a.balance_minor + e.amount FROM written w
    CROSS JOIN (VALUES (%(house)s::bigint, -%(amount)s::bigint), (%(wallet)s, %(amount)s)) AS e (account_id, amount)
    WHERE a.id = e.account_id
"""
mine = threading.local()


def deposit(key: str, owner: str, amount: int) -> None:
    """House to wallet, in a transaction of its own."""
    if not hasattr(mine, "connection"):
        mine.connection = psycopg.connect(URL)
    wallet = f"wallet:{owner}:available"
    with mine.connection.transaction():
        found = {
            code: (row_id, balance)
            for row_id, code, balance in mine.connection.execute(LOCK, (["house:promo", wallet],))
        }
        (house_id, house_balance), (wallet_id, wallet_balance) = found["house:promo"], found[wallet]
        asked = {"key": key, "asked": f"{owner} {amount}", "amount": amount}
        house = {"house": house_id, "house_after": house_balance - amount}
        mine.connection.execute(
            WRITE, asked | house | {"wallet": wallet_id, "wallet_after": wallet_balance + amount}
        )
