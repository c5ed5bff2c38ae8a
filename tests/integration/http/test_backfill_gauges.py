"""Backfills where the monitoring sees them."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from models.backfills.runs import NewRun, create_run
from models.backfills.tables import backfills
from tests.integration.http.test_operations import metrics, value
from worker.database import Transaction

ACME = {"tenant": "acme"}
POSTINGS = {**ACME, "kind": "postings"}


def begun(transaction: Transaction, *, dry_run: bool = False, tenant: str = "acme", **changed: Any) -> None:
    """A run that stands so."""
    new = NewRun(
        id=uuid4(), tenant=tenant, kind="postings", source={"type": "sql", "name": "old"}, namespace="old",
        actor="ops:dana", reason="ticket 311", dry_run=dry_run,
    )  # fmt: skip
    with transaction() as session:
        create_run(session, new, now=datetime.now(UTC) - timedelta(hours=5))
        if changed:
            session.execute(backfills.update().where(backfills.c.id == new.id).values(**changed))


def test_how_backfills_stand_and_what_became_of_their_rows(
    client: httpx.Client, transaction: Transaction, tenant: str
) -> None:
    counts: dict[str, Any] = {
        "rows_read": 21,
        "posted": 6,
        "replayed": 5,
        "unchanged": 4,
        "quarantined": 3,
        "waiting": 3,
    }
    begun(transaction, state="running", **counts)
    begun(transaction, state="done", finished_at=datetime.now(UTC), rows_read=1, posted=1)
    begun(transaction, dry_run=True, state="running", rows_read=99, posted=99)
    found = metrics(client)
    assert value(found, "ledgerbeat_backfills", **ACME, state="running") == 2
    assert value(found, "ledgerbeat_backfills", **ACME, state="done") == 1
    for outcome, rows in {"posted": 7, "replayed": 5, "unchanged": 4, "quarantined": 3}.items():
        assert value(found, "ledgerbeat_backfills_rows_total", **POSTINGS, outcome=outcome) == rows
    assert value(found, "ledgerbeat_backfills_quarantined_rows", **POSTINGS) == 6
    assert value(found, "ledgerbeat_backfills_stopped_oldest_seconds", **ACME) == 0


def test_one_that_has_stopped_grows_old(client: httpx.Client, transaction: Transaction, tenant: str) -> None:
    now = datetime.now(UTC)
    begun(transaction, state="paused", pause_code="cap_reached", last_batch_at=now - timedelta(hours=2))
    begun(transaction, state="failed", last_batch_at=now - timedelta(hours=3))
    begun(
        transaction, state="paused", pause_code="asked", dry_run=True, last_batch_at=now - timedelta(hours=9)
    )
    begun(transaction, tenant="globex", dry_run=True, state="failed", last_batch_at=now - timedelta(hours=9))
    found = metrics(client)
    oldest = value(found, "ledgerbeat_backfills_stopped_oldest_seconds", **ACME)
    assert oldest == pytest.approx(3 * 3600, abs=600)
    assert value(found, "ledgerbeat_backfills_stopped_oldest_seconds", tenant="globex") == 0
