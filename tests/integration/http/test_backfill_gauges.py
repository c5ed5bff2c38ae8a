"""Backfills where the monitoring sees them."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from models.backfills.closing import Which, dismiss
from models.backfills.quarantine import SetAside, set_aside
from models.backfills.runs import NewRun, create_run
from models.backfills.tables import backfills
from tests.integration.http.test_operations import metrics, value
from worker.database import Transaction

ACME = {"tenant": "acme"}
POSTINGS = {**ACME, "kind": "postings"}


def begun(
    transaction: Transaction, *aside: str, dry_run: bool = False, tenant: str = "acme", **changed: Any
) -> UUID:
    """A run that stands so, with rows `aside` in the quarantine."""
    new = NewRun(
        id=uuid4(), tenant=tenant, kind="postings", source={"type": "sql", "name": "old"}, namespace="old",
        actor="ops:dana", reason="ticket 311", batch_rows=100, dry_run=dry_run,
    )  # fmt: skip
    with transaction() as session:
        create_run(session, new, now=datetime.now(UTC) - timedelta(hours=5))
        if changed:
            session.execute(backfills.update().where(backfills.c.id == new.id).values(**changed))
        rows = [
            SetAside(str(place), place, str(place), "raw", "zero_amount", "it is 0", state, {})
            for place, state in enumerate(aside)
        ]
        set_aside(session, new.id, rows, now=datetime.now(UTC))
    return new.id


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


def test_rows_that_are_set_aside_are_told_until_they_are_closed(
    client: httpx.Client, transaction: Transaction, tenant: str
) -> None:
    first = begun(transaction, "open", "open", "waiting", "posted")
    begun(transaction, "open")
    begun(transaction, "open", "waiting", dry_run=True)
    begun(transaction, "open", tenant="globex")
    with transaction() as session:
        dismiss(session, first, Which(["0"]), actor="ops:dana", reason="twice", now=datetime.now(UTC))
    found = metrics(client)
    assert value(found, "ledgerbeat_backfills_quarantined_rows", **POSTINGS) == 3
    assert value(found, "ledgerbeat_backfills_quarantined_rows", tenant="globex", kind="postings") == 1
