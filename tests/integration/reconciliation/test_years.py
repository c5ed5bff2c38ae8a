"""A year of nights under a frozen clock: each business date once, whatever the clocks of its zone do, with two Beats.

In 2026 New York skips 02:00 to 03:00 on 8 March and shows 01:00 to 02:00 twice on 1 November; Lord Howe shows 01:30 to
02:00 twice on 5 April and skips 02:00 to 02:30 on 4 October. Istanbul and UTC keep their clocks.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text

from models.reconciliation.due import RunName
from models.reconciliation.runs import Ending, claim_run, end_run
from tasks.reconciliation.policy import due_at
from tasks.reconciliation.scheduling import has_work
from tasks.reconciliation.service import reconcile
from tests.integration.reconciliation.beats import Beats, beats_of
from tests.integration.reconciliation.books import Told
from worker.database import Transaction

ZONES = ("Europe/Istanbul", "America/New_York", "Australia/Lord_Howe", "UTC")
WHEN = {"half-past-one": "01:30", "quarter-past-two": "02:15", "half-past-two": "02:30"}
"""A tenant each: shown twice in both zones, skipped in both, and the default, which one of them skips."""
FIRST, LAST = date(2026, 1, 1), date(2026, 12, 31)
AWAY = (datetime(2026, 4, 3, 12, tzinfo=UTC), datetime(2026, 4, 6, 12, tzinfo=UTC))
"""Nobody ticks for three days, over Lord Howe's change of clocks."""
DAY, MINUTE, SECOND = timedelta(days=1), timedelta(minutes=1), timedelta(seconds=1)


def days(first: date, last: date) -> Iterator[date]:
    while first <= last:
        yield first
        first += DAY


def midnight(day: date, zone: str) -> datetime:
    return datetime.combine(day, time(), ZoneInfo(zone)).astimezone(UTC)


def shown_first(day: date, at_local: str, zone: str) -> datetime:
    """When a clock on the wall shows this time on this day; if it never does, as long after midnight.

    No change of clocks here is longer than an hour, or no multiple of half an hour.
    """
    minutes = 60 * int(at_local[:2]) + int(at_local[3:])
    for changed in (-60, -30, 0, 30, 60):
        moment = midnight(day, zone) + (minutes + changed) * MINUTE
        if f"{moment.astimezone(ZoneInfo(zone)):%H:%M}" == at_local:
            return moment
    return midnight(day, zone) + minutes * MINUTE


def due(business_date: date, at_local: str, zone: str) -> datetime:
    """The wall clock of the day after."""
    return shown_first(business_date + DAY, at_local, zone)


def changes(day: date, zone: str) -> bool:
    """Do the clocks change on one of the days around this one?"""
    around = [midnight(day + number * DAY, zone) for number in range(-2, 4)]
    return any(after - before != DAY for before, after in pairwise(around))


def moments(zone: str) -> list[datetime]:
    """Once a day; where clocks change, a second after each night falls due, and before each ten minutes till six."""
    found = {AWAY[1]}
    for day in days(FIRST, LAST):
        falls_due = {due(day - DAY, at_local, zone) + SECOND for at_local in WHEN.values()}
        if changes(day, zone):
            found |= falls_due | {midnight(day, zone) + 10 * number * MINUTE - SECOND for number in range(37)}
        found.add(max(falls_due))
    return sorted(moment for moment in found if not AWAY[0] <= moment < AWAY[1])


@pytest.mark.parametrize("zone", ZONES)
def test_each_night_is_due_when_a_clock_on_the_wall_first_shows_it(zone: str) -> None:
    """Not frozen: freezegun's moments do not know which of two showings they are."""
    for day in days(FIRST, LAST):
        for at_local in ("00:00", *WHEN.values(), "23:59"):
            assert due_at(day, zone, at_local) == due(day, at_local, zone)


@pytest.fixture
def beats(
    request: pytest.FixtureRequest,
    database_url: str,
    owner_transaction: Transaction,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Beats]:
    """Of tenants that are a year older than the year, in one zone."""
    starts = midnight(FIRST, request.param)
    zones = dict.fromkeys(WHEN, request.param)
    with beats_of(zones, database_url, tmp_path, starts, monkeypatch) as beats:
        with owner_transaction() as session:
            for name, at_local in WHEN.items():
                session.execute(
                    text(
                        "UPDATE tenants SET created_at = :born, reconcile_at_local = :at WHERE tenant = :name"
                    ),
                    {"born": starts - 365 * DAY, "at": at_local, "name": name},
                )
        yield beats


def work(beats: Beats, run: RunName, *, in_full: bool) -> None:
    """What the message makes a worker do: all of it, or only the claim and the end."""
    hands = beats.hands()
    assert has_work(hands, run)
    if in_full:
        report = reconcile(
            hands.transaction,
            run.tenant,
            run.provider,
            run.business_date,
            Told(),
            clock=hands.clock,
            with_checks=False,
        )
        assert report.state == "done"
    else:
        with hands.transaction() as session:
            now = hands.clock()
            claim = claim_run(
                session,
                run.tenant,
                run.provider,
                run.business_date,
                window=(now, now),
                seconds=60,
                now=now,
            )
            assert claim is not None
            end_run(session, claim, Ending("done"), now=now)


@pytest.mark.parametrize(("beats", "zone"), [(zone, zone) for zone in ZONES], indirect=["beats"], ids=ZONES)
def test_a_year_of_nights_has_each_business_date_once_and_on_time(beats: Beats, zone: str) -> None:
    ran: dict[str, dict[date, datetime]] = {name: {} for name in WHEN}
    ticked = moments(zone)
    for moment in ticked:
        for run in beats.together(moment):
            assert run.business_date not in ran[run.tenant]
            ran[run.tenant][run.business_date] = moment
            work(beats, run, in_full=changes(run.business_date, zone))
    assert {(row["state"], row["revision"]) for row in beats.rows()} == {("done", 1)}
    assert len(beats.rows()) == len(beats.sent) == sum(map(len, ran.values()))
    for name, at_local in WHEN.items():
        check_a_year(ran[name], at_local, zone, ticked)


def check_a_year(ran: dict[date, datetime], at_local: str, zone: str, ticked: Sequence[datetime]) -> None:
    """Every date in its order, at the first tick after it fell due; the first tick is for the newest night alone."""
    newest = FIRST - DAY if due(FIRST - DAY, at_local, zone) <= ticked[0] else FIRST - 2 * DAY
    assert list(ran) == list(days(newest, LAST - DAY))
    on_time = {day: ticked[bisect_left(ticked, due(day, at_local, zone))] for day in ran}
    assert ran == on_time
    away = [day for day in ran if AWAY[0] <= due(day, at_local, zone) < AWAY[1]]
    assert len(away) == 3
    assert {ran[day] for day in away} == {AWAY[1]}
