"""Payouts, accounts, findings and news where the monitoring sees them; no query reads the whole history."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import TextClause, text

from models.reconciliation import Finding, record_findings
from tests.integration.http.test_operations import metrics, value
from tests.integration.payouts.histories import Histories
from worker.database import Transaction
from worker.http import payout_gauges
from worker.http.payout_gauges import QUERIES

SANDBOX = {"tenant": "acme", "provider": "sandbox"}


@pytest.fixture
def histories(transaction: Transaction, tenant: str) -> Histories:
    """Made a moment ago, by the real clock: gauges compare with it."""
    made = Histories(transaction, datetime.now(UTC) - timedelta(seconds=100), tenant)
    made.account()
    with transaction() as session:
        session.execute(text("UPDATE tenants SET notified = true"))
    return made


def test_open_payouts_are_counted_by_state(client: httpx.Client, histories: Histories) -> None:
    histories.every_state()
    found = metrics(client)
    counted = {
        dict(labels)["state"]: count
        for (name, labels), count in found.items()
        if name == "ledgerbeat_payouts"
    }
    assert counted == dict.fromkeys(
        ("awaiting_approval", "approved", "sending", "submitted", "in_doubt", "cooling"), 1.0
    )
    assert (value(found, "ledgerbeat_payouts_oldest_due_seconds", **SANDBOX) or 0) > 60
    assert value(found, "ledgerbeat_payout_attempts_recent", **SANDBOX, outcome="declined") == 2
    assert value(found, "ledgerbeat_payout_attempts_recent", **SANDBOX, outcome="returned") == 1
    assert (value(found, "ledgerbeat_notifications", tenant="acme", state="pending") or 0) > 9


def test_what_a_person_must_look_at_is_told(client: httpx.Client, histories: Histories) -> None:
    made = histories.every_state()
    with histories.transaction() as session:
        session.execute(
            text("UPDATE payouts SET lookups_made = 5 WHERE id = :id"), {"id": made["in_doubt"]},
        )  # fmt: skip
        session.execute(
            text("""UPDATE provider_accounts
                SET paused_at = now(), paused_by = 'boss', breaker = 'open', breaker_code = 'timeout',
                    probe_at = now()""")
        )
        about = f"payout:{made['in_doubt']}"
        record_findings(session, [Finding("acme", "sandbox", "in_doubt_overdue", about)], now=histories.now)
        session.execute(
            text("""UPDATE notifications SET state = 'gave_up', next_try_at = NULL WHERE version = 1""")
        )
    found = metrics(client)
    assert value(found, "ledgerbeat_payouts_in_doubt_overdue", **SANDBOX) == 1
    assert value(found, "ledgerbeat_provider_breaker", **SANDBOX) == 2
    assert value(found, "ledgerbeat_provider_paused", **SANDBOX) == 1
    assert value(found, "ledgerbeat_payouts_oldest_due_seconds", **SANDBOX) == 0
    assert value(found, "ledgerbeat_findings_open", tenant="acme", kind="in_doubt_overdue") == 1
    assert value(found, "ledgerbeat_notifications", tenant="acme", state="gave_up") == 10


def test_an_account_has_its_gauges_from_the_start(client: httpx.Client, histories: Histories) -> None:
    found = metrics(client)
    for name in (
        "payouts_in_doubt_overdue",
        "provider_breaker",
        "provider_paused",
        "payouts_oldest_due_seconds",
    ):
        assert value(found, f"ledgerbeat_{name}", **SANDBOX) == 0


@pytest.mark.parametrize("query", [one for one in QUERIES if one is not payout_gauges.ACCOUNTS])
def test_no_query_reads_the_whole_history(histories: Histories, query: TextClause) -> None:
    """With sequential scans dear, each table that grows is read by an index."""
    with histories.transaction() as session:
        session.execute(text("SET LOCAL enable_seqscan = off"))
        explained = text(f"EXPLAIN (FORMAT JSON) {query.text}")
        values = {"seconds": payout_gauges.RECENT_SECONDS} if "seconds" in query.text else {}
        [plan] = session.execute(explained, values).scalar_one()
    growing = ("payouts", "payout_attempts", "reconciliation_findings", "notifications")
    read = [node for node in nodes(plan["Plan"]) if node.get("Relation Name") in growing]
    assert read
    assert all("Index Name" in node or node["Node Type"] == "Bitmap Heap Scan" for node in read), json.dumps(
        plan
    )
    if "FROM payout_attempts" in query.text:
        assert any("Index Cond" in node for node in nodes(plan["Plan"])), json.dumps(plan)


def nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(found for below in plan.get("Plans", ()) for found in nodes(below))]
