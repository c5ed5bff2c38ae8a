"""Everything that a stack has written, without the ids and times that differ between two runs of the same story."""

from typing import Any

from sqlalchemy import text

from models.ledger.verify import verify
from worker.database import Transaction

Books = dict[str, list[tuple[Any, ...]]]

PAGES = {
    "jobs": """
        SELECT tenant, origin, idempotency_key, name, args::text, state, attempts, last_error, wait_keys::text,
            (result - 'transaction_id')::text FROM jobs""",
    "ledger": """
        SELECT t.tenant, t.idempotency_key, t.kind, a.code, a.currency, e.amount_minor
        FROM ledger_transactions t JOIN ledger_entries e ON e.transaction_id = t.id
            JOIN accounts a ON a.id = e.account_id""",
    "accounts": "SELECT tenant, code, currency, balance_minor, allow_overdraft FROM accounts",
    "deposits": "SELECT tenant, provider, reference, state, captured_minor, version, parts::text FROM deposits",
    "deliveries": "SELECT tenant, provider, encode(body_sha256, 'hex') FROM webhook_deliveries",
    "counters": "SELECT tenant, name, outcome, reason, total FROM job_outcomes",
    "slots": "SELECT schedule, finished_at IS NOT NULL, result::text FROM schedule_slots",
    "audit": "SELECT tenant, actor, action, subject, detail::text FROM audit_events",
    "owners": "SELECT tenant, owner, kyc_status, allow_overdraft FROM wallet_owners",
    "tenants": "SELECT tenant, timezone, daily_deposit_limit_minor FROM tenants",
}


def read(transaction: Transaction) -> Books:
    with transaction() as session:
        return {
            page: sorted((tuple(row) for row in session.execute(text(query))), key=repr)
            for page, query in PAGES.items()
        }


def broken(transaction: Transaction) -> list[str]:
    """The invariants that do not hold."""
    with transaction() as session:
        return [check.name for check in verify(session) if check.broken]
