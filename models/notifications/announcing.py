"""announce(): news in the transaction of what it tells of."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.base import require_aware


@dataclass(frozen=True, slots=True)
class News:
    """What happened to `subject` (`payout:<id>`) as its version `version`; `data` is JSON-ready and has ids only."""

    tenant: str
    type: str
    subject: str
    version: int
    data: Mapping[str, Any]


# Only for tenants that have somewhere to be told.
ANNOUNCE_SQL = """
    INSERT INTO notifications (tenant, type, subject, version, data, created_at, next_try_at)
    SELECT n.tenant, n.type, n.subject, n.version, n.data, :now, :now
    FROM jsonb_to_recordset(CAST(:news AS jsonb)) AS n (tenant text, type text, subject text, version int, data jsonb)
    JOIN tenants t ON t.tenant = n.tenant AND t.notified
    ORDER BY n.tenant, n.subject, n.version
    ON CONFLICT (tenant, subject, version) DO NOTHING
"""
"""Also for a statement that does something else beside."""
ANNOUNCE = text(ANNOUNCE_SQL)


def announce(session: Session, news: Sequence[News], *, now: datetime) -> None:
    """Write the news in the caller's transaction; a version that stands already is not told twice."""
    if news:
        session.execute(ANNOUNCE, {"news": as_json(news), "now": require_aware(now)})


def as_json(news: Sequence[News]) -> str:
    """As ANNOUNCE_SQL takes it."""
    rows = [
        {"tenant": one.tenant, "type": one.type, "subject": one.subject, "version": one.version,
         "data": dict(one.data)}
        for one in news
    ]  # fmt: skip
    return json.dumps(rows)
