"""The tick on real rows: each night one row and one message at a time, whoever ticks and whatever is lost."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from models.reconciliation.due import LEASE_SECONDS, RunName
from models.reconciliation.runs import claim_run
from models.tenants import sync_tenants
from tasks.reconciliation.hands import Hands
from tasks.reconciliation.scheduling import has_work, tick
from tests.integration.providers.accounts import account
from worker.database import Transaction
from worker.settings import TenantSettings

NOON = datetime(2026, 3, 14, 12, tzinfo=UTC)
DAY = timedelta(days=1)
ZONES = ("Europe/Istanbul", "America/New_York", "Australia/Lord_Howe", "UTC")


@dataclass
class Beats:
    """Beats that share a database: what they sent, and the time at which they tick."""

    transaction: Transaction
    tenants: dict[str, TenantSettings]
    now: datetime = NOON
    sent: list[tuple[str, str, date]] = field(default_factory=list)
    broker_is_down: bool = False

    def publish(self, tenant: str, provider: str, business_date: date) -> None:
        if self.broker_is_down:
            raise ConnectionError
        self.sent.append((tenant, provider, business_date))

    def hands(self) -> Hands:
        return Hands(
            self.transaction,
            self.tenants,
            Path("reports"),
            lambda: self.now,
        )

    def tick(self, now: datetime | None = None) -> list[date]:
        self.now = now or self.now
        return [run.business_date for run in tick(self.hands(), self.publish)]

    def rows(self) -> list[dict[str, Any]]:
        with self.transaction() as session:
            found = session.execute(text("SELECT * FROM reconciliation_runs ORDER BY tenant, business_date"))
            return [dict(row) for row in found.mappings()]

    def end(self, state: str = "done") -> None:
        """Every run has ended."""
        error = "'no answer'" if state == "failed" else "NULL"
        with self.transaction() as session:
            session.execute(
                text(
                    f"UPDATE reconciliation_runs SET state = :state, finished_at = :now, claimed_until = NULL, "  # noqa: S608
                    f"last_error = {error}, revision = revision + 1"
                ),
                {"state": state, "now": self.now},
            )


def settings(*names: str) -> dict[str, TenantSettings]:
    provider = account("sandbox", base_url="http://127.0.0.1:1", api_key="sk_test")
    return {name: TenantSettings(name=name, providers={provider.name: provider}) for name in names}


def born(owner_transaction: Transaction, at: datetime) -> None:
    with owner_transaction() as session:
        session.execute(text("UPDATE tenants SET created_at = :at"), {"at": at})


@pytest.fixture
def beats(transaction: Transaction, owner_transaction: Transaction, tenant: str) -> Beats:
    """acme alone is configured; its first night, the 13th, is due."""
    born(owner_transaction, NOON - 400 * DAY)
    return Beats(transaction, settings("acme"))


def test_a_night_that_is_due_is_a_row_and_a_message_once(beats: Beats) -> None:
    assert beats.tick() == [date(2026, 3, 13)]
    assert beats.tick(NOON + timedelta(seconds=30)) == []
    [row] = beats.rows()
    assert (row["state"], row["provider"], row["revision"]) == ("pending", "sandbox", 0)


def test_a_lost_message_is_sent_again_when_its_lease_is_over(beats: Beats) -> None:
    beats.tick()
    assert beats.tick(NOON + timedelta(seconds=LEASE_SECONDS - 1)) == []
    assert beats.tick(NOON + timedelta(seconds=LEASE_SECONDS)) == [date(2026, 3, 13)]


def test_without_the_broker_the_row_waits_for_its_lease(beats: Beats) -> None:
    beats.broker_is_down = True
    assert beats.tick() == []
    beats.broker_is_down = False
    assert beats.tick(NOON + timedelta(seconds=LEASE_SECONDS)) == [date(2026, 3, 13)]


def test_two_beats_at_once_make_one_row_and_send_one_message(beats: Beats) -> None:
    beats.tick(NOON - 3 * DAY)
    beats.sent.clear()
    beats.now = NOON
    with ThreadPoolExecutor(4) as threads:
        found = [
            one.result() for one in [threads.submit(tick, beats.hands(), beats.publish) for _ in range(8)]
        ]
    assert sum(map(len, found)) == len(beats.sent)
    assert len(beats.sent) == len(set(beats.sent))
    assert [row["business_date"].day for row in beats.rows()] == [10, 11, 12, 13]


@pytest.mark.parametrize("zone", ZONES)
def test_a_month_over_the_changed_clocks_with_three_days_away(
    beats: Beats, transaction: Transaction, zone: str
) -> None:
    with transaction() as session:
        sync_tenants(session, {"acme": zone})
    now = datetime(2026, 3, 5, 1, tzinfo=UTC)
    while now < datetime(2026, 4, 8, tzinfo=UTC):
        if not datetime(2026, 3, 28, 12, tzinfo=UTC) <= now < datetime(2026, 3, 31, 12, tzinfo=UTC):
            beats.tick(now)
            beats.end()
        now += timedelta(hours=6)
    days = [row["business_date"] for row in beats.rows()]
    assert days == [days[0] + n * DAY for n in range(len(days))]
    assert len(days) >= 33
    assert sorted(beats.sent) == [("acme", "sandbox", day) for day in days]


def test_what_ended_is_left_alone_and_what_failed_is_tried_again_ever_later(beats: Beats) -> None:
    beats.tick()
    beats.end("failed")
    tries, now = [], NOON
    while now < NOON + timedelta(hours=12):
        now += timedelta(minutes=5)
        if date(2026, 3, 13) in beats.tick(now):
            tries.append(now)
            beats.end("failed")
    pauses = [(after - before).total_seconds() for before, after in pairwise(tries)]
    assert len(tries) >= 4
    assert pauses == sorted(pauses)
    beats.end("done")
    assert beats.tick(now + timedelta(hours=9)) == []


def test_a_run_whose_worker_died_is_sent_again(beats: Beats) -> None:
    beats.tick()
    with beats.transaction() as session:
        window = (NOON - DAY, NOON)
        assert claim_run(session, "acme", "sandbox", date(2026, 3, 13), window=window, seconds=900, now=NOON)
    assert beats.tick(NOON + timedelta(seconds=600)) == []
    assert beats.tick(NOON + timedelta(seconds=901)) == [date(2026, 3, 13)]


def test_a_message_for_what_ended_meanwhile_finds_no_work(beats: Beats) -> None:
    beats.tick()
    run = RunName("acme", "sandbox", date(2026, 3, 13))
    assert has_work(beats.hands(), run)
    beats.end()
    assert not has_work(beats.hands(), run)
    assert not has_work(beats.hands(), replace(run, business_date=date(2026, 3, 1)))


def test_tenants_are_strangers_and_what_is_not_configured_is_left_alone(beats: Beats) -> None:
    beats.tenants = settings("acme", "globex", "unknown")
    beats.tick()
    assert {row["tenant"] for row in beats.rows()} == {"acme", "globex"}
    beats.tenants, beats.sent = settings("globex"), []
    beats.tick(NOON + DAY)
    assert {tenant for tenant, _, _ in beats.sent} == {"globex"}


def test_an_account_that_only_takes_webhooks_has_no_nights(beats: Beats) -> None:
    silent = account("sandbox", None, "").model_copy(update={"api_key": None})
    beats.tenants = {"acme": TenantSettings(name="acme", providers={silent.name: silent})}
    assert beats.tick() == []
    assert beats.rows() == []
