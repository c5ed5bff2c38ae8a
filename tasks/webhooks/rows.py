"""The SQL of the webhooks: finding and locking deposits, writing them back, and what a posting took."""

import json
from collections.abc import Collection, Mapping
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from tasks.webhooks.facts import SHORTFALL, Deposit

# Every deposit that these events may mean, by our reference or by a payment of the provider's; in the order of
# their ids, so that two batches never wait for each other in a circle.
LOCK_DEPOSITS = text("""
    SELECT d.id, d.provider, d.reference, d.owner, d.currency, d.expected_minor, d.object_ids, d.parts,
        d.version
    FROM deposits d
    WHERE d.id IN (
        SELECT r.id
        FROM unnest(CAST(:providers AS text[]), CAST(:references AS text[])) AS k (provider, reference)
        JOIN deposits r ON r.tenant = :tenant AND r.provider = k.provider AND r.reference = k.reference
        UNION
        SELECT o.id FROM deposits o WHERE o.tenant = :tenant AND o.object_ids && CAST(:object_ids AS text[]))
    ORDER BY d.id FOR NO KEY UPDATE OF d
""")

# One JSON document and not arrays: `parts` would have to be escaped twice.
SAVE_DEPOSITS = text("""
    UPDATE deposits d SET
        captured_minor = n.captured_minor, refunded_minor = n.refunded_minor,
        charged_back_minor = n.charged_back_minor, state = n.state, parts = n.parts,
        object_ids = ARRAY(SELECT jsonb_array_elements_text(n.object_ids)),
        version = d.version + 1, updated_at = :now
    FROM jsonb_to_recordset(CAST(:deposits AS jsonb)) AS n (id bigint, captured_minor bigint,
        refunded_minor bigint, charged_back_minor bigint, state text, parts jsonb, object_ids jsonb)
    WHERE d.id = n.id
""")

# What suspense has borne for each deposit and was not yet made good.
SHORTFALLS = text("""
    SELECT t.subject, -sum(e.amount_minor)::bigint AS shortfall_minor
    FROM ledger_transactions t
    JOIN ledger_entries e ON e.transaction_id = t.id
    JOIN accounts a ON a.id = e.account_id
    WHERE t.tenant = :tenant AND t.subject = ANY(CAST(:subjects AS text[])) AND a.code = :code
    GROUP BY 1
""")


def lock_deposits(
    session: Session, tenant: str, references: Collection[tuple[str, str]], object_ids: Collection[str]
) -> dict[int, Deposit]:
    """Row id -> facts, locked until the transaction ends. `references` are (provider, reference)."""
    named = sorted(references)
    columns = {"providers": [provider for provider, _ in named], "references": [name for _, name in named]}
    values = {"tenant": tenant, "object_ids": sorted(object_ids)} | columns
    return {
        row["id"]: Deposit.from_row(dict(row)) for row in session.execute(LOCK_DEPOSITS, values).mappings()
    }


def save_deposits(session: Session, deposits: Mapping[int, Deposit], *, now: datetime) -> None:
    """Write the facts and their sums back, one version further."""
    if deposits:
        rows = [{"id": row_id, **deposit.as_row()} for row_id, deposit in deposits.items()]
        session.execute(SAVE_DEPOSITS, {"deposits": json.dumps(rows), "now": now})


def shortfalls(session: Session, tenant: str, subjects: Collection[str]) -> dict[str, int]:
    """Ledger subject of a deposit -> minor units, where there are any."""
    if not subjects:
        return {}
    values = {"tenant": tenant, "subjects": sorted(subjects), "code": SHORTFALL}
    return {subject: minor for subject, minor in session.execute(SHORTFALLS, values) if minor}
