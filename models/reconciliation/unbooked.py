"""The fees that a provider told of and the ledger does not have, streamed."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.money import BIGINT_MAX
from models.reconciliation.lines import EACH
from models.reconciliation.retold import newest_only, set_stale_apart
from models.reconciliation.scope import Scope, allow_long_statements

# By record; in two currencies, where a fee's own fee is in another.
UNBOOKED_FEES = f"""
    SELECT r.record_id, min(r.occurred_at), array_agg(f.currency), array_agg(f.minor)
    FROM provider_records r
    CROSS JOIN LATERAL (
        SELECT currency, CAST(sum(minor) AS bigint) AS minor FROM (VALUES (r.fee_currency, r.fee_minor),
            (r.currency, CASE r.kind WHEN 'fee' THEN -r.amount_minor ELSE 0 END)) v (currency, minor)
        GROUP BY currency HAVING abs(sum(minor)) BETWEEN 1 AND :largest) f
    WHERE r.take_id = :take_id AND {EACH} AND (r.fee_minor <> 0 OR r.kind = 'fee') AND NOT EXISTS (
        SELECT FROM ledger_transactions t WHERE t.tenant = :tenant AND t.idempotency_key
            = :fee || replace(replace(r.record_id, '%', '%25'), '\\:', '%3A'))
    GROUP BY r.record_id, r.ctid
"""  # noqa: S608 - put together from constants of this room


@dataclass(frozen=True, slots=True)
class Fee:
    """What the provider kept for one record, by currency; negative: gave back."""

    record_id: str
    occurred_at: datetime
    minor: Sequence[tuple[str, int]]


def unbooked_fees(
    session: Session, scope: Scope, rows_at_once: int, *, told_again: bool
) -> Generator[Sequence[Fee], None, None]:
    """Stream the fees of the staged records that the ledger does not have, in batches; in bounded memory.

    `told_again`: some of the feed's records may be told more than once.
    """
    allow_long_statements(session)
    if told_again:
        set_stale_apart(session, scope)
    query = text(newest_only(UNBOOKED_FEES) if told_again else UNBOOKED_FEES)
    values = {name: scope.values[name] for name in ("take_id", "tenant", "fee")} | {"largest": BIGINT_MAX}
    with session.execute(query, values, execution_options={"yield_per": rows_at_once}) as streamed:
        for rows in streamed.partitions():
            yield [
                Fee(record_id, at, tuple(zip(currencies, minor, strict=True)))
                for record_id, at, currencies, minor in rows
            ]
