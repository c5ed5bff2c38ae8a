"""Webhook completeness against a list of events over HTTP, asked with Stripe's SDK: every gap is filled, once."""

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import text

from models.reconciliation.due import RunName
from models.reconciliation.runs import load_run
from models.steps import run
from tasks.reconciliation.completeness import CHUNK_EVENTS, Sweep, fill_gaps
from tasks.reconciliation.hands import Hands
from tasks.reconciliation.nightly import Told as NightTold
from tasks.reconciliation.nightly import run_night
from tasks.reconciliation.policy import night_of
from tests.integration.families.desk import Desk
from tests.integration.providers.accounts import SECRETS, account
from tests.integration.providers.eventlist import LIMIT_MAX, EventList
from tests.integration.providers.replaying import Reply
from tests.integration.reconciliation.books import NIGHT, NOON, Told
from tests.unit.providers.shapes import fixture, stripe_headers
from worker.database import Transaction
from worker.http.recording import recording
from worker.http.webhooks import submission
from worker.providers.records.asking import Patience
from worker.providers.records.events import ListedEvent, missed_events
from worker.providers.records.gaps import LISTED
from worker.providers.records.port import SourceFailed
from worker.providers.registry import receive
from worker.settings import ProviderSettings, TenantSettings

API_KEY = "sk_live_TopSecret0123456789"
NOW = NOON + timedelta(days=3)
EVENTS = 250
"""Three pages of a hundred; more than one chunk."""
CALLS = 6
"""Three down to the oldest page, one that the other types have none, two up."""
MINUTE = timedelta(minutes=1)


@dataclass
class Stripe:
    """An account at Stripe whose list is `server`, and the desk of its tenant."""

    desk: Desk
    server: EventList
    pauses: list[float] = field(default_factory=list)

    @property
    def account(self) -> ProviderSettings:
        return account("stripe", self.server.url, API_KEY)

    @property
    def patience(self) -> Patience:
        return Patience(tries=2, first_pause_seconds=1, sleep=self.pauses.append)

    def sells(self, count: int = EVENTS) -> list[dict[str, Any]]:
        """So many announced deposits, captured one a minute from noon on; their events are in the list."""
        args = [
            {"provider": "stripe", "reference": f"order-{number}", "owner": "ada", "amount_minor": amount(number),
             "currency": "EUR"}
            for number in range(count)
        ]  # fmt: skip
        self.desk.do("deposits.expect", *args)
        self.server.rows = [captured(number) for number in range(count)]
        return list(self.server.rows)

    def tells(self, *events: dict[str, Any], **changed: object) -> None:
        """By signed webhooks, as the shim records them; laid out otherwise than in the list."""
        for event in events:
            body = json.dumps(event | changed, indent=1).encode()
            headers = stripe_headers(body, secret=SECRETS["stripe"], at=int(NOW.timestamp()))
            received = receive("stripe", [SECRETS["stripe"]], headers, body, NOW)
            with self.desk.transaction() as session:
                run(session, recording([submission("acme", "stripe", received, body, NOW)], now=NOW))

    def listed(self) -> Iterator[ListedEvent]:
        window = night_of(NIGHT, "Europe/Istanbul")
        return missed_events(self.account, window.fetched_from, window.fetched_until, self.patience)

    def sweep(self) -> Sweep:
        return fill_gaps(self.desk.transaction, "acme", self.account, self.listed(), now=NOW)

    def calls(self) -> int:
        """Of the calls that a list takes, the last one that tells events."""
        *_, last = (len(self.server.seen) for _ in self.listed())
        self.server.seen.clear()
        return last

    def night(self, reports: Path) -> NightTold:
        tenants = {"acme": TenantSettings(name="acme", providers={"stripe": self.account})}
        hands = Hands(self.desk.transaction, tenants, reports, lambda: NOW, self.patience)
        return run_night(hands, RunName("acme", "stripe", NIGHT), self.account, Told())

    def heard(self) -> set[str]:
        """The events that have a job. Fails when one has two."""
        keys = [row["key"] for row in self.desk.rows(
            "SELECT args ->> 'event_key' AS key FROM jobs WHERE name = 'webhooks.event'"
        )]  # fmt: skip
        assert len(keys) == len(set(keys))
        return set(keys)

    def gaps(self) -> int:
        """As they are counted for ever."""
        [row] = self.desk.rows(
            "SELECT coalesce(sum(total), 0) AS total FROM job_outcomes WHERE outcome = 'missed'"
        )
        return int(row["total"])

    def bodies(self) -> int:
        """How many were kept as the list told them."""
        kept = "SELECT count(*) AS rows FROM webhook_deliveries WHERE secret_index = :listed"
        return int(self.desk.rows(kept, listed=LISTED)[0]["rows"])

    def check_credited(self, count: int = EVENTS) -> None:
        """Each deposit once, and nothing else."""
        self.desk.drain()
        assert self.desk.wallet() == sum(map(amount, range(count)))
        states = self.desk.rows("SELECT state, count(*) AS rows FROM deposits GROUP BY 1")
        assert states == [{"state": "captured", "rows": count}]


def amount(number: int) -> int:
    return 1000 + number % 97


def captured(number: int) -> dict[str, Any]:
    """The event of one charge."""
    at = int((NOON + number * MINUTE).timestamp())
    charge = fixture("stripe_charge") | {
        "id": f"ch_{number}", "amount": amount(number), "amount_captured": amount(number), "created": at,
        "metadata": {"reference": f"order-{number}"}, "payment_intent": f"pi_{number}",
    }  # fmt: skip
    return fixture("stripe_event") | {"id": f"evt_{number}", "created": at, "data": {"object": charge}}


def names(events: Sequence[dict[str, Any]]) -> set[str]:
    return {event["id"] for event in events}


@pytest.fixture
def stripe(transaction: Transaction, tenant: str) -> Iterator[Stripe]:
    with EventList(API_KEY) as server:
        yield Stripe(Desk(transaction, tenant, NOW), server)


def test_every_gap_is_filled_once_and_counted(stripe: Stripe, tmp_path: Path) -> None:
    events = stripe.sells()
    stripe.tells(*events[10:50])
    told = stripe.night(tmp_path)
    assert (told.report.state, told.sweep) == ("done", Sweep(EVENTS, EVENTS - 40, 0))
    assert (stripe.heard(), stripe.gaps()) == (names(events), EVENTS - 40)
    assert stripe.bodies() == EVENTS - 40
    stripe.check_credited()
    with stripe.desk.transaction() as session:
        row = load_run(session, "acme", "stripe", NIGHT)
    assert row is not None
    assert row["counts"] | {"webhooks_listed": EVENTS, "webhooks_missed": EVENTS - 40} == row["counts"]
    night = night_of(NIGHT, "Europe/Istanbul")
    for asked in stripe.server.asked():
        assert asked["limit"] == "100"
        assert asked["created[gte]"] == str(int(night.fetched_from.timestamp()))
        assert asked["created[lt]"] == str(int(night.fetched_until.timestamp()))
    assert any("starting_after" in asked for asked in stripe.server.asked())


def test_a_replay_fills_nothing(stripe: Stripe, tmp_path: Path) -> None:
    events = stripe.sells()
    stripe.sweep()
    stripe.check_credited()
    for _ in range(2):
        again = stripe.night(tmp_path).sweep
        assert again == Sweep(EVENTS, 0, 0)
    stripe.tells(*events)
    assert stripe.sweep() == Sweep(EVENTS, 0, 0)
    assert (stripe.heard(), stripe.gaps()) == (names(events), EVENTS)
    stripe.check_credited()
    assert stripe.bodies() == EVENTS


def test_what_arrives_meanwhile_is_not_doubled(stripe: Stripe) -> None:
    """While the list is read, the webhooks of its first, its last and a middle event come after all."""
    events = stripe.sells()
    late = [events[0], events[120], events[-1]]
    stripe.server.before = lambda number: stripe.tells(late[number - 1]) if number <= len(late) else None
    found = stripe.sweep()
    assert found == Sweep(EVENTS, EVENTS - len(late), 0)
    assert (stripe.heard(), stripe.gaps()) == (names(events), EVENTS - len(late))
    stripe.check_credited()


def test_sweeps_and_webhooks_at_one_moment_make_one_job_of_each(stripe: Stripe) -> None:
    events = stripe.sells()
    together = Barrier(4)

    def sweep() -> int:
        together.wait(30)
        return stripe.sweep().missed

    def tell(mine: list[dict[str, Any]]) -> int:
        together.wait(30)
        stripe.tells(*mine)
        return 0

    with ThreadPoolExecutor(4) as threads:
        at_once = [threads.submit(sweep) for _ in range(2)]
        at_once += [threads.submit(tell, events[::2]), threads.submit(tell, events[::-2])]
        missed = sum(one.result() for one in at_once)
    assert stripe.heard() == names(events)
    assert missed == stripe.gaps() <= EVENTS
    stripe.check_credited()


def test_a_bad_event_does_not_stop_the_others(stripe: Stripe, tmp_path: Path) -> None:
    events = stripe.sells()
    bad: list[dict[str, Any]] = [
        {"id": "evt_no_object", "data": "garbage"},
        {"id": "evt_no_amount", "data": {"object": {"object": "charge", "captured": True}}},
        {"id": "evt_half_a_letter", "data": {"object": {"metadata": {"reference": "\ud800"}}}},
        {"id": "evt_nul", "data": {"object": {"metadata": {"reference": "a\0b"}}}},
        {"id": None, "data": {}},
    ]
    for number, one in enumerate(bad):
        made = captured(40 * number + 20) | one
        stripe.server.rows.append(made | {"created": made["created"] + 1})
    found = stripe.night(tmp_path).sweep
    assert found is not None
    assert found.listed == EVENTS + len(bad)
    assert found.missed + found.unreadable == EVENTS + len(bad)
    assert names(events) < stripe.heard()
    assert len(stripe.heard()) == found.missed
    stripe.check_credited()
    dead = stripe.desk.rows("SELECT result ->> 'code' AS code FROM jobs WHERE state = 'dead'")
    assert {row["code"] for row in dead} == {"malformed_event"}
    assert stripe.sweep().missed == 0


@pytest.mark.parametrize("failing", range(1, CALLS + 1))
def test_a_list_that_fails_on_any_page_is_gone_on_with_later(
    stripe: Stripe, tmp_path: Path, failing: int
) -> None:
    """The night ends all the same, keeps whatever it was told, and the next one fills in what is left."""
    events = stripe.sells()
    assert stripe.calls() == CALLS
    unable = Reply(500, {"error": {"type": "api_error"}})
    stripe.server.faults = {failing: unable, failing + 1: unable}
    told = stripe.night(tmp_path)
    assert (told.report.state, told.sweep) == ("done", None)
    kept = len(stripe.heard())
    assert stripe.gaps() == kept < EVENTS
    stripe.server.faults = {}
    assert stripe.sweep() == Sweep(EVENTS, EVENTS - kept, 0)
    assert (stripe.heard(), stripe.gaps()) == (names(events), EVENTS)
    stripe.check_credited()


def test_all_that_was_told_before_the_failure_is_kept(stripe: Stripe) -> None:
    """The newest page fails: the hundreds before it are no whole number of chunks."""
    events = stripe.sells()
    newest = stripe.calls()
    unable = Reply(500, {"error": {"type": "api_error"}})
    stripe.server.faults = {newest: unable, newest + 1: unable}
    with pytest.raises(SourceFailed, match="http_500, after 2 tries"):
        stripe.sweep()
    kept = len(stripe.heard())
    assert kept % CHUNK_EVENTS
    assert kept % LIMIT_MAX == EVENTS % LIMIT_MAX
    assert stripe.heard() == names(events[:kept])


def test_what_may_pass_is_asked_for_again(stripe: Stripe) -> None:
    events = stripe.sells()
    throttled = Reply(429, {"error": {"type": "x", "code": "rate_limit"}}, {"Retry-After": "7"})
    stripe.server.faults = {2: throttled, 4: Reply(breaks="reset"), 6: Reply(503, raw=b"<html>")}
    assert stripe.sweep() == Sweep(EVENTS, EVENTS, 0)
    assert stripe.pauses == [7, 1, 1]
    assert stripe.heard() == names(events)


def test_a_key_that_is_refused_stops_no_night(stripe: Stripe, tmp_path: Path) -> None:
    stripe.sells(3)
    stripe.server.faults = {1: Reply(401, {"error": {"type": "invalid_request_error"}})}
    told = stripe.night(tmp_path)
    assert (told.report.state, told.sweep, told.problem) == ("done", None, None)
    assert stripe.heard() == set()


def test_gaps_that_cannot_be_written_stop_no_night(
    stripe: Stripe, owner_transaction: Transaction, tmp_path: Path
) -> None:
    stripe.sells(3)
    with owner_transaction() as session:
        session.execute(text("REVOKE INSERT ON webhook_deliveries FROM ledgerbeat_worker"))
    told = stripe.night(tmp_path)
    assert (told.report.state, told.sweep, told.problem) == ("done", None, None)
