"""What a row of an older system asks of the ledger. Pure.

A row's key is its namespace and its own id: whichever run, file or order brings it, it is posted once.
"""

from datetime import datetime
from typing import Any

from models.ledger.codes import house_code, key_part, wallet_code
from models.ledger.outcomes import Leg, Posting
from worker.sources.port import OpeningRow, PostingRow, Row

OPENING_CODE = house_code("opening_balance")
"""The other side of every opening balance."""


def row_key(namespace: str, row_id: str) -> str:
    """Of a row of the history."""
    return f"backfill:{key_part(namespace)}:{key_part(row_id)}"


def opening_key(namespace: str, row: OpeningRow) -> str:
    """Of a balance: one for each owner and currency."""
    return f"opening:{key_part(namespace)}:{key_part(row.owner)}:{row.currency}"


def history_posting(tenant: str, namespace: str, row: PostingRow) -> Posting:
    """The house and the owner, or one owner and another. Raises MalformedPosting."""
    key = row_key(namespace, row.row_id)
    if row.to_owner is None:
        giver, taker = house_code(row.reason), wallet_code(row.owner)
    else:
        giver, taker = wallet_code(row.owner), wallet_code(row.to_owner)
    return _posting(
        tenant, key, "backfill.posting", giver, taker, row.amount_minor, row.currency, row.occurred_at
    )


def opening_posting(tenant: str, namespace: str, row: OpeningRow, amount_minor: int) -> Posting:
    """What the owner had, or what is lacking to it. Raises MalformedPosting, also for 0."""
    key, wallet = opening_key(namespace, row), wallet_code(row.owner)
    return _posting(
        tenant, key, "backfill.opening", OPENING_CODE, wallet, amount_minor, row.currency, row.as_of
    )


def _posting(
    tenant: str,
    key: str,
    kind: str,
    giver: str,
    taker: str,
    amount_minor: int,
    currency: str,
    occurred_at: datetime,
) -> Posting:
    """The key is the subject, too: whoever looks for an older row finds it by its id."""
    legs = (Leg(giver, currency, -amount_minor), Leg(taker, currency, amount_minor))
    return Posting(tenant=tenant, key=key, kind=kind, legs=legs, occurred_at=occurred_at, subject=key)


def as_fields(row: Row) -> dict[str, Any]:
    """What is needed to look at a row again, as JSON; its place, line and text are kept beside it."""
    if isinstance(row, OpeningRow):
        return {
            "owner": row.owner, "amount_minor": row.amount_minor, "currency": row.currency,
            "as_of": row.as_of.isoformat(),
        }  # fmt: skip
    return {
        "owner": row.owner, "to_owner": row.to_owner, "amount_minor": row.amount_minor, "currency": row.currency,
        "reason": row.reason, "occurred_at": row.occurred_at.isoformat(),
    }  # fmt: skip


def from_fields(place: str, line: int | None, row_id: str | None, raw: str, fields: dict[str, Any]) -> Row:
    """The row again."""
    told = dict(fields)
    if "as_of" in told:
        return OpeningRow(place, line, raw=raw, **told | {"as_of": datetime.fromisoformat(told["as_of"])})
    told["occurred_at"] = datetime.fromisoformat(told["occurred_at"])
    return PostingRow(place, line, row_id or "", raw=raw, **told)
