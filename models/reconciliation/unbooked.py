"""What a provider told of and the night books: fees, and its own transfers to and from our bank; streamed."""

# ruff: noqa: S608 - the statements are put together from constants of this room alone

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.money import BIGINT_MAX
from models.payouts.states import OPEN_STATES
from models.reconciliation.lines import EACH, FEED
from models.reconciliation.retold import newest_only, set_stale_apart
from models.reconciliation.scope import Scope, allow_long_statements

UNDECIDED_OUTCOMES = ("sending", "not_sent", "in_doubt", "submitted", "not_found", "abandoned")
"""Of attempts that may have paid, or may yet turn out to have."""

NOT_BOOKED = """
    NOT EXISTS (SELECT FROM ledger_transactions t WHERE t.tenant = :tenant AND t.idempotency_key
        = {prefix} || replace(replace(r.record_id, '%', '%25'), '\\:', '%3A'))
"""

# By record; in two currencies, where a fee's own fee is in another.
UNBOOKED_FEES = f"""
    SELECT record_id, NULL, min(at), array_agg(currency), array_agg(CAST(minor AS bigint))
    FROM (
        SELECT r.record_id, min(r.occurred_at) AS at, v.currency, sum(v.minor) AS minor
        FROM provider_records r
        CROSS JOIN LATERAL (VALUES (r.fee_currency, r.fee_minor),
            (r.currency, CASE r.kind WHEN 'fee' THEN -r.amount_minor ELSE 0 END)) v (currency, minor)
        WHERE r.take_id = :take_id AND {EACH} AND (r.fee_minor <> 0 OR r.kind = 'fee') AND r.kind <> 'ignore'
            AND {NOT_BOOKED.format(prefix=":fee")}
        GROUP BY r.record_id, v.currency HAVING abs(sum(v.minor)) BETWEEN 1 AND :largest) fees
    GROUP BY record_id
"""

# Of the whole feed, so that what had to wait is booked by a later night. A payout of ours is none of these, whatever
# the provider calls it: neither one that it names by our reference or its own, nor one of the same amount of which we
# do not know yet what became of it, unless both have names and these differ.
UNBOOKED_TRANSFERS = f"""
    SELECT record_id, min(object_id), min(at), array_agg(currency), array_agg(CAST(minor AS bigint))
    FROM (
        SELECT r.record_id, min(r.object_id) AS object_id, min(r.occurred_at) AS at, r.currency,
            sum(r.amount_minor) AS minor
        FROM provider_records r
        WHERE {FEED} AND r.kind = 'own_transfer' AND r.amount_minor <> 0
            AND {NOT_BOOKED.format(prefix=":settlement")}
            AND NOT EXISTS (SELECT FROM payout_attempts p
                WHERE p.tenant = :tenant AND p.provider = :provider AND p.reference = r.reference)
            AND NOT EXISTS (SELECT FROM payout_attempts p
                WHERE p.tenant = :tenant AND p.provider = :provider AND p.object_id = r.object_id)
            AND NOT EXISTS (SELECT FROM payouts p JOIN payout_attempts t ON t.payout_id = p.id
                WHERE p.tenant = :tenant AND p.provider = :provider AND p.state IN {OPEN_STATES}
                    AND p.currency = r.currency AND p.amount_minor = -r.amount_minor
                    AND t.outcome IN {UNDECIDED_OUTCOMES} AND (t.object_id IS NULL OR r.object_id IS NULL))
        GROUP BY r.record_id, r.currency HAVING abs(sum(r.amount_minor)) BETWEEN 1 AND :largest) transfers
    GROUP BY record_id
"""


@dataclass(frozen=True, slots=True)
class Unbooked:
    """A record that is to be booked. `minor` by currency: of a fee what the provider kept (negative: gave back), of a
    transfer what it adds to what the provider owes us. `object_id` is the provider's name for the transfer."""

    record_id: str
    object_id: str | None
    occurred_at: datetime
    minor: Sequence[tuple[str, int]]


Batches = Generator[Sequence[Unbooked], None, None]


def unbooked_fees(session: Session, scope: Scope, rows_at_once: int, *, told_again: bool) -> Batches:
    """Stream the fees of the staged records that the ledger does not have, in batches; in bounded memory.

    `told_again`: some of the feed's records may be told more than once.
    """
    return _unbooked(session, UNBOOKED_FEES, scope, rows_at_once, told_again=told_again)


def unbooked_transfers(session: Session, scope: Scope, rows_at_once: int, *, told_again: bool) -> Batches:
    """The same of the provider's own transfers between us and our bank."""
    return _unbooked(session, UNBOOKED_TRANSFERS, scope, rows_at_once, told_again=told_again)


def _unbooked(session: Session, sql: str, scope: Scope, rows_at_once: int, *, told_again: bool) -> Batches:
    allow_long_statements(session)
    if told_again:
        set_stale_apart(session, scope)
    query = text(newest_only(sql) if told_again else sql)
    values = scope.values | {"largest": BIGINT_MAX}
    with session.execute(query, values, execution_options={"yield_per": rows_at_once}) as streamed:
        for rows in streamed.partitions():
            yield [
                Unbooked(record_id, object_id, at, tuple(zip(currencies, minor, strict=True)))
                for record_id, object_id, at, currencies, minor in rows
            ]
