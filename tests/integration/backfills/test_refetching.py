"""provider_events: over a provider's list, page by page; whatever its webhooks did not tell becomes a job, once."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from models.backfills.runs import Run
from ops.sandbox.config import SandboxConfig
from tasks.backfills.hands import Hands
from tasks.backfills.refetching import SLICE_MIN, check_events, settle_events
from tasks.backfills.service import NotPossible, resume
from tests.integration.backfills.working import hands, set_aside, started, worked
from tests.integration.families.desk import Desk
from tests.integration.providers.accounts import account
from tests.integration.providers.eventlist import EventList
from tests.integration.reconciliation.books import NOON
from tests.integration.reconciliation.test_sweep import API_KEY, NOW, Stripe, captured, names
from tests.integration.sandbox.running import API_KEY as SANDBOX_KEY
from tests.integration.sandbox.running import running_sandbox
from worker.database import Transaction
from worker.settings import ProviderSettings, TenantSettings
from worker.sources.configured import BackfillSettings
from worker.sources.port import SourceFailed

EVENTS = 250
DAY = timedelta(days=1)


def tenant_with(provider: ProviderSettings) -> TenantSettings:
    return TenantSettings(name="acme", timezone="Europe/Istanbul", providers={provider.name: provider})


def told(
    provider: str = "stripe", since: datetime = NOON - DAY, until: datetime = NOON + 2 * DAY
) -> dict[str, Any]:
    return {"type": "events", "provider": provider, "since": since.isoformat(), "until": until.isoformat()}


@dataclass
class Refetch:
    """An account at Stripe, and backfills of its events."""

    stripe: Stripe
    hands: Hands

    def start(self, **more: Any) -> UUID:
        return started(self.hands, "provider_events", told(), **({"batch_rows": 30} | more))

    def work(self, run_id: UUID, batches: int = 10_000) -> Run:
        return worked(self.hands, run_id, batches)

    def run(self, **more: Any) -> Run:
        return self.work(self.start(**more))

    def jobs(self) -> int:
        [row] = self.stripe.desk.rows("SELECT count(*) AS rows FROM jobs WHERE name = 'webhooks.event'")
        return int(row["rows"])


@pytest.fixture
def refetch(transaction: Transaction, tenant: str) -> Iterator[Refetch]:
    with EventList(API_KEY) as server:
        stripe = Stripe(Desk(transaction, tenant, NOW), server)
        known = tenant_with(stripe.account)
        yield Refetch(stripe, hands(transaction, NOW, {"acme": known}))


def counts(run: Run) -> tuple[str, int, int, int, int, int]:
    return run.state, run.rows_read, run.posted, run.replayed, run.unchanged, run.quarantined


def test_every_event_that_no_webhook_told_becomes_its_job_once(refetch: Refetch) -> None:
    events = refetch.stripe.sells()
    refetch.stripe.tells(*events[10:50])
    run = refetch.run()
    assert counts(run) == ("done", EVENTS, EVENTS - 40, 40, 0, 0)
    assert (refetch.stripe.heard(), refetch.stripe.gaps()) == (names(events), EVENTS - 40)
    assert refetch.stripe.bodies() == EVENTS - 40
    refetch.stripe.check_credited()
    again = refetch.run()
    assert counts(again) == ("done", EVENTS, 0, EVENTS, 0, 0)
    refetch.stripe.tells(*events)
    assert refetch.jobs() == EVENTS
    refetch.stripe.check_credited()


def test_jobs_are_accepted_in_the_order_of_the_events(refetch: Refetch) -> None:
    refetch.stripe.sells()
    refetch.run()
    rows = refetch.stripe.desk.rows(
        "SELECT args ->> 'event_key' AS key FROM jobs WHERE name = 'webhooks.event' ORDER BY seq"
    )
    assert [row["key"] for row in rows] == [f"evt_{number}" for number in range(EVENTS)]


def test_a_dry_run_says_what_the_run_then_does_and_writes_nothing(refetch: Refetch) -> None:
    events = refetch.stripe.sells()
    refetch.stripe.tells(*events[10:50])
    before = refetch.jobs()
    dry = refetch.run(dry_run=True)
    assert (refetch.jobs(), refetch.stripe.gaps(), refetch.stripe.bodies()) == (before, 0, 0)
    assert counts(dry) == counts(refetch.run()) == ("done", EVENTS, EVENTS - 40, 40, 0, 0)


@pytest.mark.parametrize("batch_rows", [1, 7, 30, 100, 1000])
def test_a_second_with_more_events_than_a_batch_is_told_in_parts(refetch: Refetch, batch_rows: int) -> None:
    """150 of 250 events in one second, in ids' order or not: nothing is skipped, nothing told twice."""
    events = refetch.stripe.sells()
    for event in events[50:200]:
        event["created"] = events[50]["created"]
    refetch.stripe.server.rows = events[::-1]
    run = refetch.run(batch_rows=batch_rows)
    assert counts(run) == ("done", EVENTS, EVENTS, 0, 0, 0)
    assert refetch.stripe.heard() == names(events)


@pytest.mark.parametrize("batch_rows", [10, 64])
def test_killed_after_any_batch_it_goes_on_where_it_was(refetch: Refetch, batch_rows: int) -> None:
    """Each batch is done by another process, which dies; and some of them die before they commit."""
    events = refetch.stripe.sells()
    for event in events[50:120]:
        event["created"] = events[50]["created"]
    run_id = refetch.start(batch_rows=batch_rows)
    for number in range(1000):
        if number % 3 == 1:
            _die_before_commit(refetch, run_id)
        run = refetch.work(run_id, batches=1)
        if run.state == "done":
            break
    assert counts(run) == ("done", EVENTS, EVENTS, 0, 0, 0)
    assert (refetch.stripe.heard(), refetch.stripe.gaps()) == (names(events), EVENTS)
    refetch.stripe.check_credited()


class Killed(BaseException):
    """The process is gone."""


def _die_before_commit(refetch: Refetch, run_id: UUID) -> None:
    """When everything is applied: the third look at the clock of a batch is at the end of its transaction."""
    looks = iter(range(10))

    def dying() -> float:
        if (look := next(looks)) == 2:
            raise Killed
        return look

    before = refetch.jobs()
    with pytest.raises(Killed):
        worked(replace(refetch.hands, ticks=dying), run_id, 1)
    assert refetch.jobs() == before
    with refetch.hands.transaction() as session:
        session.execute(text("UPDATE backfills SET claimed_until = NULL"))


def test_webhooks_that_come_meanwhile_are_not_doubled(refetch: Refetch) -> None:
    events = refetch.stripe.sells()
    late = iter([events[0], events[120], events[-1]])
    refetch.stripe.server.before = lambda _: refetch.stripe.tells(*[one for one in [next(late, None)] if one])
    run = refetch.run()
    assert counts(run) == ("done", EVENTS, EVENTS - 3, 3, 0, 0)
    assert refetch.stripe.heard() == names(events)
    refetch.stripe.check_credited()


def test_an_event_that_cannot_be_understood_becomes_the_dead_job_of_its_webhook(refetch: Refetch) -> None:
    events = refetch.stripe.sells(40)
    bad = captured(20)
    bad |= {
        "id": "evt_half_a_letter",
        "data": {"object": bad["data"]["object"] | {"metadata": {"reference": "\ud800"}}},
    }
    refetch.stripe.server.rows.append(bad)
    dry, run = refetch.run(dry_run=True), refetch.run()
    assert counts(dry) == counts(run) == ("done", 41, 41, 0, 0, 0)
    refetch.stripe.desk.drain()
    [job] = refetch.stripe.desk.rows("SELECT result ->> 'code' AS code FROM jobs WHERE state = 'dead'")
    assert job["code"] == "malformed_event"
    assert refetch.stripe.heard() == names(events) | {"evt_half_a_letter"}


def test_an_event_that_cannot_be_applied_stops_none_of_the_others(
    refetch: Refetch, owner_transaction: Transaction
) -> None:
    """The database takes no job of that name: whatever the cause, one event stands alone in the end."""
    events = refetch.stripe.sells(40)
    with owner_transaction() as session:
        session.execute(
            text("ALTER TABLE jobs ADD CHECK (args ->> 'event_key' IS DISTINCT FROM 'evt_17') NOT VALID")
        )
    run = refetch.run()
    assert counts(run) == ("done", 40, 39, 0, 0, 1)
    [row] = set_aside(refetch.hands.transaction, run.id)
    assert (row.code, "evt_17" in row.raw) == ("failed", True)
    assert refetch.stripe.heard() == names(events) - {"evt_17"}


def test_a_list_that_fails_pauses_the_run_which_goes_on_later(refetch: Refetch) -> None:
    events = refetch.stripe.sells()
    run_id = refetch.start()
    refetch.work(run_id, batches=3)
    key = refetch.stripe.server._api_key
    refetch.stripe.server._api_key = "sk_another"
    run = refetch.work(run_id)
    assert (run.state, run.pause_code) == ("paused", "source_failed")
    assert "http_401" in str(run.last_error)
    refetch.stripe.server._api_key = key
    with refetch.hands.transaction() as session:
        resume(session, run_id, actor="ops", reason="key set", now=NOW)
    assert counts(refetch.work(run_id)) == ("done", EVENTS, EVENTS, 0, 0, 0)
    assert refetch.stripe.heard() == names(events)


def test_what_the_provider_no_longer_lists_is_refused_not_taken_for_nothing(refetch: Refetch) -> None:
    refetch.stripe.sells(5)
    with pytest.raises(SourceFailed, match="30 days only"):
        started(refetch.hands, "provider_events", told(since=NOW - 31 * DAY))
    run_id = refetch.start()
    later = replace(refetch.hands, clock=lambda: NOW + 40 * DAY)
    run = worked(later, run_id)
    assert (run.state, run.pause_code) == ("paused", "source_failed")
    assert refetch.jobs() == 0


def test_a_cap_is_refused(refetch: Refetch) -> None:
    with pytest.raises((NotPossible, SourceFailed)):
        refetch.start(max_amount_minor=100)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (told("nobody"), "no such provider"),
        (told("adyen"), "adyen has no list of events"),
        (told(since=NOW, until=NOON), "since must be before until"),
        (told(since=NOW + DAY, until=NOW + 2 * DAY), "before now"),
        (told() | {"since": "yesterday"}, "since must be a time"),
        (told() | {"since": "2026-03-13T00:00:00"}, "since has no offset"),
        ({"type": "events", "provider": "stripe"}, "since must be a time"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_with_a_sentence(source: dict[str, Any], expected: str) -> None:
    accounts = {name: account(name, "http://127.0.0.1:9", "key") for name in ("stripe", "adyen")}
    with pytest.raises(SourceFailed, match=expected):
        settle_events(TenantSettings(name="acme", providers=accounts), source, NOW)


@pytest.mark.parametrize("end", [{}, {"until": (NOW + DAY).isoformat()}])
def test_a_source_of_the_settings_and_an_end_that_is_open_are_settled_once(
    refetch: Refetch, end: dict[str, str]
) -> None:
    known = tenant_with(refetch.stripe.account)
    named = known.model_copy(update={"backfills": {"missed": BackfillSettings(provider="stripe")}})
    source = {"type": "events", "name": "missed", "since": "2026-03-13T03:00:00+03:00", **end}
    assert settle_events(named, source, NOW) == {
        "type": "events", "name": "missed", "provider": "stripe", "since": "2026-03-13T00:00:00+00:00",
        "until": NOW.isoformat(),
    }  # fmt: skip


def test_a_key_that_is_refused_is_told_before_a_run_begins(refetch: Refetch) -> None:
    known = tenant_with(refetch.stripe.account)
    check_events(known, told(), NOW)
    refetch.stripe.server._api_key = "sk_another"
    with pytest.raises(SourceFailed, match="http_401"):
        check_events(known, told(), NOW)


def test_a_month_with_little_in_it_costs_few_calls(refetch: Refetch) -> None:
    refetch.stripe.sells(10)
    since = NOW - 29 * DAY
    run = worked(refetch.hands, started(refetch.hands, "provider_events", told(since=since, until=NOW)))
    assert counts(run) == ("done", 10, 10, 0, 0, 0)
    assert len(refetch.stripe.server.seen) < 60


def test_the_sandboxes_events_are_fetched_again_too(transaction: Transaction, tenant: str) -> None:
    """Over HTTP, with its own clock and microseconds."""
    with running_sandbox(SandboxConfig(api_key=SANDBOX_KEY, settle_seconds=None)) as sandbox:
        desk = Desk(transaction, tenant, datetime.now(UTC))
        desk.expect(*(f"order-{number}" for number in range(30)))
        for number in range(30):
            sandbox.deposit(f"order-{number}", 100)
        known = tenant_with(account("sandbox", str(sandbox.base_url), SANDBOX_KEY))
        now = datetime.now(UTC) + SLICE_MIN
        ready = hands(transaction, now, {"acme": known})
        source = told("sandbox", since=now - timedelta(hours=1), until=now)
        run = worked(ready, started(ready, "provider_events", source, batch_rows=4))
        assert counts(run) == ("done", 30, 30, 0, 0, 0)
        desk.drain()
        assert desk.wallet() == 3000
