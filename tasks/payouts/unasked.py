"""Look-ups that nobody makes: the provider is not configured any more, or no worker has its key.

Its money stays held, and no look-up can say so: a person is told by a finding.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import structlog

from models.payouts.attempts import unasked
from models.reconciliation import Finding, record_findings
from tasks.payouts.hands import Hands
from tasks.payouts.pacing import DAY_SECONDS
from tasks.payouts.sightings import SUBMITTED_OVERDUE, SUBMITTED_OVERDUE_SECONDS

UNASKED_MAX = 200

log = structlog.get_logger("ledgerbeat.payouts")


def sweep_unasked(hands: Hands) -> int:
    """Record a finding for each payout in doubt whose look-up is a day late, and for each that was taken a week ago and
    never asked about since. How many. Once: what a person has to look at already is left alone."""
    now = hands.clock()
    with hands.transaction() as session:
        rows = unasked(
            session,
            in_doubt_before=now - timedelta(seconds=DAY_SECONDS),
            submitted_before=now - timedelta(seconds=SUBMITTED_OVERDUE_SECONDS - DAY_SECONDS),
            limit=UNASKED_MAX,
        )
        record_findings(session, [_finding(row) for row in rows], now=now)
    for row in rows:
        log.warning("payout.lookup.not_made", payout_id=str(row["id"]), state=row["state"])
    return len(rows)


def _finding(row: Mapping[str, Any]) -> Finding:
    in_doubt, due_at = row["state"] == "in_doubt", row["next_lookup_at"]
    assert isinstance(due_at, datetime)  # noqa: S101 - the query asks for those that have one
    return Finding(
        tenant=row["tenant"],
        provider=row["provider"],
        kind="in_doubt_overdue" if in_doubt else "status_mismatch",
        subject=f"payout:{row['id']}",
        amount_minor=row["amount_minor"],
        currency=row["currency"],
        detail={"code": "not_asked", "next_lookup_at": due_at.isoformat()}
        | ({} if in_doubt else {"cause": SUBMITTED_OVERDUE}),
        mark="" if in_doubt else SUBMITTED_OVERDUE,
    )
