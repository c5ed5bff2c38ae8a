"""Nights, their windows and when they are due, in zones whose days have 23, 24, 24.5 and 25 hours; short feeds."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from tasks.reconciliation.policy import due_at, is_truncated, night_of, settled_before

ZONES = ["UTC", "Europe/Istanbul", "America/New_York", "Australia/Lord_Howe", "America/Havana", "Asia/Beirut"]
YEAR = [date(2026, 1, 1) + timedelta(days=n) for n in range(365)]


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("UTC", date(2026, 3, 8), 24),
        ("Europe/Istanbul", date(2026, 3, 29), 24),
        ("America/New_York", date(2026, 3, 8), 23),
        ("America/New_York", date(2026, 11, 1), 25),
        ("Australia/Lord_Howe", date(2026, 4, 5), 24.5),
        ("Australia/Lord_Howe", date(2026, 10, 4), 23.5),
        ("America/Havana", date(2026, 3, 8), 23),
        ("America/Havana", date(2026, 11, 1), 25),
    ],
)
def test_a_business_date_is_as_long_as_its_local_day(zone: str, day: date, hours: float) -> None:
    night = night_of(day, zone)
    assert night.ends_at - night.starts_at == timedelta(hours=hours)
    assert night.starts_at.astimezone(ZoneInfo(zone)).date() == day
    assert (night.ends_at - timedelta(microseconds=1)).astimezone(ZoneInfo(zone)).date() == day


@pytest.mark.parametrize("zone", ZONES)
def test_the_nights_of_a_year_follow_one_another_without_gap_or_overlap(zone: str) -> None:
    nights = [night_of(day, zone) for day in YEAR]
    assert all(one.ends_at == after.starts_at for one, after in pairwise(nights))
    assert all(one.fetched_from < one.judged_from < one.starts_at < one.ends_at for one in nights)
    assert all(one.ends_at < one.fetched_until for one in nights)


def test_a_night_asks_for_its_look_back_and_a_margin_on_both_sides() -> None:
    night = night_of(date(2026, 3, 13), "Europe/Istanbul")
    assert night.starts_at == datetime(2026, 3, 12, 21, tzinfo=UTC)
    assert night.fetched_from == datetime(2026, 3, 9, 21, tzinfo=UTC)
    assert night.judged_from == datetime(2026, 3, 10, 3, tzinfo=UTC)
    assert night.fetched_until == datetime(2026, 3, 14, 3, tzinfo=UTC)


def test_without_look_back_the_day_itself_is_judged_whole() -> None:
    night = night_of(date(2026, 3, 13), "UTC", lookback_days=0)
    assert night.judged_from == night.starts_at == night.fetched_from


@pytest.mark.parametrize(
    ("zone", "day", "at", "wanted"),
    [
        ("UTC", date(2026, 3, 13), "02:30", datetime(2026, 3, 14, 2, 30, tzinfo=UTC)),
        ("Europe/Istanbul", date(2026, 3, 13), "02:30", datetime(2026, 3, 13, 23, 30, tzinfo=UTC)),
        ("America/New_York", date(2026, 3, 7), "02:30", datetime(2026, 3, 8, 7, 30, tzinfo=UTC)),
        ("America/New_York", date(2026, 10, 31), "01:30", datetime(2026, 11, 1, 5, 30, tzinfo=UTC)),
    ],
)
def test_a_night_is_due_at_its_local_time_of_the_day_after(
    zone: str, day: date, at: str, wanted: datetime
) -> None:
    assert due_at(day, zone, at) == wanted


@pytest.mark.parametrize(
    ("provider_rows", "ledger_rows", "records", "median", "short"),
    [
        (0, 0, 0, None, False),
        (0, 19, 0, 19, False),
        (0, 20, 0, None, True),
        (10, 20, 10, None, False),
        (9, 20, 9, None, True),
        (9, 0, 9, 20, True),
        (10, 0, 10, 20, False),
        (49, 100, 200, 10, True),
        (100, 100, 100, 201, True),
        (0, 0, 1_000, 20, False),
    ],
)
def test_a_feed_of_fewer_than_half_of_what_was_to_be_expected_is_short(
    provider_rows: int, ledger_rows: int, records: int, median: int | None, short: bool
) -> None:
    found = is_truncated(
        provider_rows=provider_rows, ledger_rows=ledger_rows, records=records, median_records=median
    )
    assert found is short


def test_what_moved_within_the_grace_may_be_on_its_way() -> None:
    now = datetime(2026, 3, 14, 12, tzinfo=UTC)
    assert settled_before(now, 86_400) == datetime(2026, 3, 13, 12, tzinfo=UTC)
