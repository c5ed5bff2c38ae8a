"""Events about things nobody knows: parked, after the grace a finding, and none any more once they are heard."""

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from models.reconciliation.closing import FindingFilter, ignore, list_findings, resolve
from models.reconciliation.strangers import Strangers, look_for_strangers
from tasks.reconciliation.service import RunReport
from tasks.schedules.service import SCHEDULES, tick
from tests.integration.families.desk import Desk
from tests.integration.reconciliation.books import NIGHT, NOON, Books, Told, record
from tests.integration.reconciliation.test_nightly import night
from tests.unit.families.events import event
from worker.database import Transaction
from worker.providers.port import ProviderEvent

GRACE = timedelta(days=1)
HOUR = timedelta(hours=1)
SIGNED = {"actor": "ops:dana", "reason": "not ours"}
ALL_AT_ONCE = 10_000
# What ten thousand events leave behind, without the time that it takes to hear them one by one.
PARK = text("""
    INSERT INTO jobs (tenant, name, origin, idempotency_key, fingerprint, args, state, attempts, due_at, last_error,
        wait_keys, accepted_at)
    SELECT 'acme', 'webhooks.event', 'provider', 'sandbox:' || n, '\\x00', jsonb_build_object('event_key', 'evt_' || n,
            'move', 'captured', 'reference', 'order-' || n, 'amount_minor', 100, 'currency', 'EUR',
            'provider', 'sandbox'),
        'parked', 1, :due_at, 'unknown_reference', ARRAY['deposit\\:sandbox\\:ref\\:order-' || n], :accepted_at
    FROM generate_series(1, :jobs) AS n
""")


@pytest.fixture
def desk(transaction: Transaction, tenant: str) -> Desk:
    """Events are heard at NOON; they are older than the grace when the nights of `books` run."""
    return Desk(transaction, tenant, NOON)


def stranger(reference: str | None = "lost", **others: Any) -> ProviderEvent:
    told = event("captured", 500, f"cap-{reference}")
    return replace(told, **{"reference": reference, "object_id": f"pay-{reference}", **others})


def findings(desk: Desk, *states: str) -> list[dict[str, Any]]:
    wanted = list(states or ("open",))
    return desk.rows(
        "SELECT * FROM reconciliation_findings WHERE state = ANY(:states) ORDER BY tenant, provider, subject",
        states=wanted,
    )


def look(desk: Desk, now: datetime = NOON + GRACE, **others: Any) -> Strangers:
    with desk.transaction() as session:
        return look_for_strangers(session, now=now, **others)


def close(desk: Desk, how: Callable[..., list[int]], now: datetime = NOON + GRACE) -> None:
    [found] = findings(desk)
    with desk.transaction() as session:
        assert how(session, "acme", [found["id"]], now=now, **SIGNED) == [found["id"]]


def cancel(desk: Desk) -> None:
    with desk.transaction() as session:
        session.execute(
            text("UPDATE jobs SET state = 'cancelled', finished_at = :now, wait_keys = NULL"),
            {"now": NOON + GRACE},
        )


def park_again(desk: Desk) -> None:
    with desk.transaction() as session:
        session.execute(text("UPDATE jobs SET state = 'parked', finished_at = NULL, wait_keys = '{x}'"))


def test_the_night_finds_what_waits_for_longer_than_the_grace(books: Books, desk: Desk) -> None:
    desk.hear(stranger())
    assert books.later(days=-2, seconds=-1).run().findings == {}
    report = books.later(days=-2).run()
    assert (report.findings, report.opened, report.exit_code) == ({"unknown_event": 1}, 1, 1)
    [found] = findings(desk)
    [job] = desk.rows("SELECT id FROM jobs")
    assert (found["kind"], found["provider"], found["subject"], found["severity"]) == (
        "unknown_event",
        "sandbox",
        "deposit:sandbox:lost",
        "medium",
    )
    assert (found["amount_minor"], found["currency"], found["times_seen"]) == (500, "EUR", 1)
    assert (
        found["detail"] | {"job_id": str(job["id"]), "move": "captured", "reference": "lost"}
        == found["detail"]
    )
    assert found["detail"]["cause"] == "unknown_reference"
    assert report.findings_open == 1


def test_it_is_one_finding_however_often_it_is_seen(books: Books, desk: Desk) -> None:
    desk.hear(stranger())
    for times in (1, 2, 3):
        report = books.run()
        [found] = findings(desk)
        assert (found["times_seen"], report.opened) == (times, int(times == 1))


def test_two_events_about_one_thing_are_two_findings(books: Books, desk: Desk) -> None:
    desk.hear(stranger(), stranger(event_key="another"), stranger(reference=None, object_id="pay-9"))
    assert books.run().findings == {"unknown_event": 3}
    subjects = [one["subject"] for one in findings(desk)]
    assert subjects == ["deposit:sandbox:lost", "deposit:sandbox:lost", "deposit:sandbox:pay-9"]


def test_one_about_a_payout_is_filed_under_payouts(books: Books, desk: Desk) -> None:
    told = replace(event("payout_paid", 700), reference="nobody-1")
    assert [one["error"] for one in desk.hear(told)] == ["unknown_reference"]
    books.run()
    assert [one["subject"] for one in findings(desk)] == ["payout:sandbox:nobody-1"]


def test_it_closes_itself_once_the_event_is_heard(books: Books, desk: Desk) -> None:
    desk.hear(stranger())
    books.run()
    desk.expect("lost", amount_minor=500)
    desk.drain()
    report = books.run(record("lost", 500))
    assert (report.closed, report.findings_open, report.exit_code) == (1, 0, 0)
    [found] = findings(desk, "closed")
    assert (found["closed_by"], found["reason"]) == ("reconciliation", "the event is done")


def test_or_is_cancelled_and_opens_again_if_it_is_parked_again(books: Books, desk: Desk) -> None:
    desk.hear(stranger())
    books.run()
    cancel(desk)
    assert books.run().closed == 1
    [found] = findings(desk, "closed")
    assert found["reason"] == "the event is cancelled"
    park_again(desk)
    report = books.run()
    assert (report.reopened, report.opened) == (1, 0)
    [again] = findings(desk)
    assert (again["id"], again["times_seen"], again["closed_at"]) == (found["id"], 2, None)


@pytest.mark.parametrize("state", ["queued", "cooling"])
def test_being_tried_again_it_neither_closes_nor_is_seen(books: Books, desk: Desk, state: str) -> None:
    desk.hear(stranger())
    books.run()
    with desk.transaction() as session:
        session.execute(text("UPDATE jobs SET state = :state, wait_keys = NULL"), {"state": state})
    report = books.run()
    assert (report.findings, report.closed, report.findings_open) == ({}, 0, 1)


def test_one_that_waits_for_something_else_is_no_stranger_any_more(books: Books, desk: Desk) -> None:
    refund = replace(event("refunded", 30, "re-a"), reference="lost")
    desk.hear(refund)
    books.run()
    desk.expect("lost", amount_minor=500)
    desk.drain()
    [job] = desk.rows("SELECT last_error FROM jobs WHERE state = 'parked'")
    assert job["last_error"] == "awaiting_capture"
    assert books.run().closed == 1
    assert look(desk, NOON + 30 * GRACE).seen == 0


def test_a_short_feed_says_nothing_about_it(books: Books, desk: Desk) -> None:
    for number in range(25):
        books.moved(f"r{number}", 100)
    desk.hear(stranger("lost"), stranger("found"))
    report = books.run()
    assert (report.state, report.findings, report.opened) == ("truncated", {"unknown_event": 2}, 2)
    assert {one["kind"] for one in findings(desk)} == {"unknown_event"}
    desk.expect("found", amount_minor=500)
    desk.drain()
    report = books.run()
    assert (report.state, report.closed, report.findings_open) == ("truncated", 1, 1)


def test_what_people_ignore_stays_ignored_and_what_they_resolve_does_not(books: Books, desk: Desk) -> None:
    desk.hear(stranger())
    books.run()
    close(desk, resolve)
    assert books.run().reopened == 1
    close(desk, ignore)
    report = books.run()
    assert (report.ignored, report.reopened, report.findings_open, report.exit_code) == (1, 0, 0, 0)
    cancel(desk)
    assert books.run().closed == 0
    [still] = findings(desk, "ignored")
    assert still["closed_by"] == "ops:dana"


def test_the_records_of_a_night_do_not_close_it(books: Books, desk: Desk) -> None:
    """It lies in the window, under the subject of a deposit that matches, and is in no line of the feed."""
    books.moved("lost", 500)
    desk.hear(stranger(occurred_at=NOON.isoformat()))
    for _ in range(2):
        report = books.run(record("lost", 500))
        assert (report.matched, report.findings) == (1, {"unknown_event": 1})
    assert len(findings(desk)) == 1


def test_each_account_is_told_of_its_own(books: Books, desk: Desk) -> None:
    desk.hear(stranger())
    desk.hear(stranger(), provider="adyen")
    Desk(desk.transaction, "globex", NOON).hear(stranger())
    assert books.run().findings == {"unknown_event": 1}
    assert [(one["tenant"], one["provider"]) for one in findings(desk)] == [("acme", "sandbox")]


def test_by_the_clock_those_of_every_account_are_found_without_any_night(
    books: Books, desk: Desk, owner_transaction: Transaction
) -> None:
    desk.hear(stranger(), provider="adyen")
    Desk(desk.transaction, "globex", NOON).hear(stranger())
    with owner_transaction() as session:
        session.execute(text("UPDATE tenants SET reconcile_grace_seconds = 7200 WHERE tenant = 'globex'"))

    def ticked(now: datetime) -> list[tuple[str, str, int]]:
        ran = tick(desk.transaction, clock=lambda: now, schedules=SCHEDULES)
        assert "reconciliation.unknown_events" in [name for name, _ in ran]
        return [(one["tenant"], one["provider"], one["times_seen"]) for one in findings(desk)]

    assert ticked(NOON + HOUR) == []
    assert ticked(NOON + 2 * HOUR) == [("globex", "sandbox", 1)]
    assert ticked(NOON + 3 * HOUR) == [("globex", "sandbox", 1)]
    both = [("acme", "adyen", 1), ("globex", "sandbox", 2)]
    assert ticked(NOON + 24 * HOUR) == both
    assert ticked(NOON + 25 * HOUR) == both
    cancel(desk)
    assert ticked(NOON + 26 * HOUR) == []
    park_again(desk)
    assert ticked(NOON + 27 * HOUR) == [("acme", "adyen", 2), ("globex", "sandbox", 3)]


def test_what_a_person_resolved_has_a_day_before_the_clock_opens_it_again(desk: Desk) -> None:
    desk.hear(stranger())
    often: dict[str, Any] = {"seen_within": 20 * HOUR}
    assert look(desk, **often).opened == 1
    close(desk, resolve)
    assert look(desk, NOON + GRACE + 19 * HOUR, **often).reopened == 0
    assert look(desk, NOON + GRACE + 20 * HOUR, **often).reopened == 1


def test_ten_thousand_at_once_are_found_once_each_and_closed_again(books: Books, desk: Desk) -> None:
    with desk.transaction() as session:
        session.execute(PARK, {"jobs": ALL_AT_ONCE, "due_at": NOON + 2 * GRACE, "accepted_at": NOON})
    for opened in (ALL_AT_ONCE, 0):
        report = books.run()
        assert (report.findings, report.opened) == ({"unknown_event": ALL_AT_ONCE}, opened)
    counted = "SELECT state, times_seen, count(*) AS rows FROM reconciliation_findings GROUP BY 1, 2"
    assert desk.rows(counted) == [{"state": "open", "times_seen": 2, "rows": ALL_AT_ONCE}]
    cancel(desk)
    assert books.run().closed == ALL_AT_ONCE


def test_two_looks_at_once_find_each_once(desk: Desk) -> None:
    with desk.transaction() as session:
        session.execute(PARK, {"jobs": 300, "due_at": NOON + 2 * GRACE, "accepted_at": NOON})
    for turn in range(1, 4):
        start = threading.Barrier(4)

        def once(start: threading.Barrier = start) -> Strangers:
            start.wait(30)
            return look(desk)

        with ThreadPoolExecutor(4) as threads:
            looks = [one.result() for one in [threads.submit(once) for _ in range(4)]]
        assert sum(one.opened for one in looks) == (300 if turn == 1 else 0)
        assert {one.seen for one in looks} == {300}
        [counted] = desk.rows("SELECT count(*) AS rows, max(times_seen) AS seen FROM reconciliation_findings")
        assert counted == {"rows": 300, "seen": 4 * turn}


def test_two_nights_at_once_find_each_once(books: Books, desk: Desk) -> None:
    desk.hear(*(stranger(f"r{number}") for number in range(20)))
    nights = [NIGHT + timedelta(days=number % 2) for number in range(4)]

    def run(day: Any) -> RunReport:
        return books.run(night=day)

    with ThreadPoolExecutor(4) as threads:
        reports = list(threads.map(run, nights))
    done = [one for one in reports if one.state == "done"]
    assert sum(one.opened for one in done) == 20
    assert len(findings(desk)) == 20


def test_the_list_and_the_report_show_it(books: Books, desk: Desk, tmp_path: Path) -> None:
    desk.hear(stranger())
    told = night(books, tmp_path, Told())
    assert told.problem is None
    [shown] = json.loads(told.paths.json.read_text())["findings"]
    assert (shown["kind"], shown["subject"], shown["amount_minor"]) == (
        "unknown_event",
        "deposit:sandbox:lost",
        500,
    )
    assert shown["theirs"]["reference"] == "lost"
    assert shown["theirs"]["move"] == "captured"
    assert "Unknown event" in told.paths.html.read_text()
    with desk.transaction() as session:
        [row] = list_findings(session, FindingFilter(tenant="acme", kinds=["unknown_event"])).findings
    assert row.age(NOON + GRACE + 3 * GRACE) == GRACE
