"""Parked jobs age where the monitoring can see them."""

from datetime import UTC, datetime, timedelta

import httpx

from models.jobs.claim import claim, lock_lane
from models.jobs.outcomes import Parked, finish
from tests.integration.http.requests import CREDIT, credit, job_headers
from tests.integration.http.test_operations import metrics, value
from worker.database import Transaction


def test_the_age_of_what_is_parked_is_shown_by_reason(client: httpx.Client, transaction: Transaction) -> None:
    for n in range(3):
        client.post(CREDIT, json=credit(), headers=job_headers(f"k{n}"))
    now = datetime.now(UTC)
    with transaction() as session:
        assert lock_lane(session, "acme")
        first, second, _ = claim(session, "acme", limit=3)
        outcomes = [
            (first, Parked("awaiting_capture", ("a",))),
            (second, Parked("unknown_reference", ("b",))),
        ]
        finish(session, outcomes, now=now + timedelta(hours=1))
    found = metrics(client)
    for reason in ("awaiting_capture", "unknown_reference"):
        age = value(found, "ledgerbeat_parked_oldest_seconds", tenant="acme", reason=reason)
        assert age is not None
        assert 0 <= age < 60
    shown = [labels for name, labels in found if name == "ledgerbeat_parked_oldest_seconds"]
    assert len(shown) == 2
