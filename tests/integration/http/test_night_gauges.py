"""The nights where the monitoring sees them."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import httpx
import pytest
from sqlalchemy import text

from models.reconciliation.runs import plan_run
from tests.integration.http.test_operations import metrics, value
from worker.database import Transaction

SANDBOX = {"tenant": "acme", "provider": "sandbox"}


def test_the_last_success_and_the_missed_nights_are_told(
    client: httpx.Client, transaction: Transaction, tenant: str
) -> None:
    now = datetime.now(UTC)
    today = now.astimezone(ZoneInfo("Europe/Istanbul")).date()
    with transaction() as session:
        for days in (1, 4, 5, 6):
            plan_run(session, "acme", "sandbox", today - timedelta(days=days), due_at=now)
        ended = text(
            "UPDATE reconciliation_runs SET state = 'done', finished_at = :now WHERE business_date = :day"
        )
        session.execute(ended, {"now": now, "day": today - timedelta(days=6)})
    found = metrics(client)
    last = value(found, "ledgerbeat_reconciliation_last_success_timestamp", **SANDBOX)
    assert last == pytest.approx(now.timestamp())
    assert value(found, "ledgerbeat_reconciliation_missed_nights", **SANDBOX) == 2
