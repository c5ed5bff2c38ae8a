"""A year of nights in four zones: every business date once, at its hour, whoever ticks and whatever was missed."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from tasks.reconciliation.nights import LATENESS_MAX, Calendar, DueNight, due_nights
from tasks.reconciliation.policy import NIGHTS_MAX, night_of

ZONES = (
    "Europe/Istanbul", "America/New_York", "Australia/Lord_Howe", "UTC", "America/Havana", "Asia/Beirut",
)  # fmt: skip
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
YEAR = timedelta(days=365)
DAY = timedelta(days=1)


class Account:
    """An account whose rows are kept as the database keeps them: one per date, whoever writes it."""

    def __init__(self, zone: str, at_local: str = "02:30", since: datetime = BEGIN) -> None:
        self.calendar = Calendar("acme", "sandbox", zone, at_local, since)
        self.ran: list[tuple[date, datetime]] = []

    def read(self) -> Calendar:
        known = {night for night, _ in self.ran}
        return replace(self.calendar, known=known, first=min(known, default=None))

    def write(self, nights: list[DueNight], now: datetime) -> None:
        for night in nights:
            if night.business_date not in {known for known, _ in self.ran}:
                self.ran.append((night.business_date, now))

    def tick(self, now: datetime) -> list[DueNight]:
        found = due_nights(self.read(), now=now)
        self.write(found, now)
        return found

    @property
    def dates(self) -> list[date]:
        return [night for night, _ in self.ran]


def ticks(begin: datetime, end: datetime, every: timedelta = timedelta(minutes=30)) -> Iterator[datetime]:
    while begin < end:
        yield begin
        begin += every


def consecutive(first: date, last: date) -> list[date]:
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


@pytest.mark.parametrize("at_local", ["00:00", "02:15", "02:30", "23:30"])
@pytest.mark.parametrize("zone", ZONES)
def test_a_year_of_nights_runs_each_business_date_once(zone: str, at_local: str) -> None:
    account = Account(zone, at_local)
    for now in ticks(BEGIN, BEGIN + YEAR):
        account.tick(now)
    begun = BEGIN.astimezone(ZoneInfo(zone)).date()
    assert account.dates == consecutive(begun, account.dates[-1])
    assert len(account.dates) >= 363
    for night, ran_at in account.ran:
        local = ran_at.astimezone(ZoneInfo(zone))
        assert local.date() == night + DAY
        wanted = datetime.combine(night + DAY, datetime.strptime(at_local, "%H:%M").time(), ZoneInfo(zone))  # noqa: DTZ007
        assert timedelta(0) <= ran_at - wanted.astimezone(UTC) < timedelta(hours=1)
        assert ran_at >= night_of(night, zone).ends_at


@pytest.mark.parametrize("zone", ZONES)
def test_two_beats_that_read_before_either_writes_run_each_date_once(zone: str) -> None:
    account = Account(zone)
    for now in ticks(BEGIN, BEGIN + YEAR, timedelta(hours=1)):
        first, second = due_nights(account.read(), now=now), due_nights(account.read(), now=now)
        account.write(first, now)
        account.write(second, now)
    assert account.dates == consecutive(account.dates[0], account.dates[-1])


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize(
    "away_from", [datetime(2026, 3, 6, 12, tzinfo=UTC), datetime(2026, 10, 31, tzinfo=UTC)]
)
def test_three_days_of_downtime_are_caught_up_oldest_first(zone: str, away_from: datetime) -> None:
    account = Account(zone)
    for now in ticks(away_from - 5 * DAY, away_from):
        account.tick(now)
    before = len(account.ran)
    caught_up = [night.business_date for night in account.tick(away_from + 3 * DAY)]
    assert len(caught_up) == 3
    assert caught_up == sorted(caught_up)
    assert account.dates == consecutive(account.dates[0], account.dates[-1])
    assert len(account.ran) == before + 3


def test_a_long_absence_is_caught_up_for_31_nights_only() -> None:
    account = Account("UTC")
    account.tick(BEGIN + 10 * DAY)
    back = BEGIN + 100 * DAY + timedelta(hours=12)
    found = account.tick(back)
    assert [night.business_date for night in found] == consecutive(
        (back - NIGHTS_MAX * DAY).date(), (back - DAY).date()
    )
    assert account.tick(back) == []


def test_no_night_is_run_that_has_been_due_for_longer_than_the_maximum_lateness() -> None:
    account = Account("UTC", "00:00")
    account.tick(BEGIN + 10 * DAY)
    found = account.tick(BEGIN + 100 * DAY + timedelta(hours=23))
    assert all(BEGIN + 100 * DAY + timedelta(hours=23) - night.due_at <= LATENESS_MAX for night in found)


def test_what_never_ran_begins_with_its_newest_night() -> None:
    account = Account("Europe/Istanbul", since=BEGIN - 400 * DAY)
    assert [night.business_date for night in account.tick(BEGIN + 12 * timedelta(hours=1))] == [
        date(2025, 12, 31)
    ]


@pytest.mark.parametrize("zone", ZONES)
def test_no_night_lies_before_the_tenant_was(zone: str) -> None:
    since = datetime(2026, 6, 15, 12, tzinfo=UTC)
    account = Account(zone, since=since)
    first_day = since.astimezone(ZoneInfo(zone)).date()
    assert account.tick(since + timedelta(minutes=1)) == []
    account.tick(since + 2 * DAY)
    assert account.dates
    assert min(account.dates) >= first_day
    early = replace(account.calendar, first=date(2026, 6, 1), known={date(2026, 6, 1)})
    assert min(night.business_date for night in due_nights(early, now=since + 2 * DAY)) == first_day


def test_a_date_that_a_person_ran_early_leaves_no_gap_behind_it() -> None:
    account = Account("UTC")
    account.tick(BEGIN + 5 * DAY)
    account.ran.append((date(2026, 1, 9), BEGIN + 8 * DAY))
    account.tick(BEGIN + 9 * DAY + timedelta(hours=12))
    assert sorted(account.dates) == consecutive(date(2026, 1, 4), date(2026, 1, 9))


def test_another_hour_or_zone_runs_no_date_twice_and_skips_none() -> None:
    account = Account("Europe/Istanbul")
    for now in ticks(BEGIN + DAY, BEGIN + 10 * DAY):
        account.tick(now)
    account.calendar = replace(account.calendar, timezone="America/New_York", at_local="23:00")
    for now in ticks(BEGIN + 10 * DAY, BEGIN + 20 * DAY):
        account.tick(now)
    assert account.dates == consecutive(account.dates[0], account.dates[-1])


def test_an_hour_that_the_clock_skips_or_shows_twice_is_due_once() -> None:
    skipped = Account("America/New_York", "02:30")
    skipped.tick(datetime(2026, 3, 7, 12, tzinfo=UTC))
    [night] = [one for now in ticks(datetime(2026, 3, 8, 5, tzinfo=UTC), datetime(2026, 3, 8, 12, tzinfo=UTC))
               for one in skipped.tick(now)]  # fmt: skip
    assert (night.business_date, night.due_at) == (date(2026, 3, 7), datetime(2026, 3, 8, 7, 30, tzinfo=UTC))
    twice = Account("Australia/Lord_Howe", "01:45")
    twice.tick(datetime(2026, 4, 3, 20, tzinfo=UTC))
    [night] = [one for now in ticks(datetime(2026, 4, 4, 13, tzinfo=UTC), datetime(2026, 4, 4, 20, tzinfo=UTC),
               timedelta(minutes=5)) for one in twice.tick(now)]  # fmt: skip
    assert (night.business_date, night.due_at) == (date(2026, 4, 4), datetime(2026, 4, 4, 14, 45, tzinfo=UTC))
