"""Which slots are due: aligned, once, through daylight saving, caught up only where asked for."""

from datetime import UTC, datetime, time, timedelta

import pytest

from tasks.schedules.policy import SLOTS_MAX, Daily, Every, Rhythm, due

HOURLY = Every(seconds=3600)
PARIS = Daily(time(2, 30), "Europe/Paris")


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "slot"),
    [
        ("2026-03-14 12:00:00", "2026-03-14 12:00"),
        ("2026-03-14 12:59:59.999999", "2026-03-14 12:00"),
        ("2026-03-14 13:00:00", "2026-03-14 13:00"),
    ],
)
def test_hourly_slots_are_full_hours(now: str, slot: str) -> None:
    assert HOURLY.latest(utc(now)) == utc(slot)


@pytest.mark.parametrize(
    ("now", "slot"),
    [
        ("2026-01-15 01:30", "2026-01-15 01:30"),  # winter: 02:30 is 01:30 UTC
        ("2026-01-15 01:29", "2026-01-14 01:30"),
        (
            "2026-03-29 12:00",
            "2026-03-29 01:30",
        ),  # 02:30 does not exist: as if the clocks had not changed yet
        ("2026-03-30 12:00", "2026-03-30 00:30"),
        ("2026-10-25 00:30", "2026-10-25 00:30"),  # 02:30 exists twice: the first
        ("2026-10-25 12:00", "2026-10-25 00:30"),
        ("2026-10-26 00:30", "2026-10-25 00:30"),
        ("2026-10-26 01:30", "2026-10-26 01:30"),
    ],
)
def test_a_daily_slot_is_a_local_time_once_per_local_day(now: str, slot: str) -> None:
    assert PARIS.latest(utc(now)) == utc(slot)


@pytest.mark.parametrize("rhythm", [HOURLY, PARIS, Every(seconds=7)])
def test_no_instant_of_a_year_has_a_slot_in_its_future_or_goes_back(rhythm: Rhythm) -> None:
    now, before = utc("2026-01-01 00:00"), utc("2025-01-01 00:00")
    while now < utc("2027-01-01 00:00"):
        slot = rhythm.latest(now)
        assert before <= slot <= now
        assert rhythm.latest(slot) == slot
        now, before = now + timedelta(minutes=241), slot


def ask(now: str, last: str | None, *, catch_up: bool, lateness: int = 10**9) -> list[str]:
    last_slot = utc(last) if last else None
    slots = due(HOURLY, last=last_slot, now=utc(now), catch_up=catch_up, max_lateness_seconds=lateness)
    return [slot.strftime("%d %H:%M") for slot in slots]


def test_a_slot_is_due_once() -> None:
    assert ask("2026-03-14 12:10", "2026-03-14 11:00", catch_up=False) == ["14 12:00"]
    assert ask("2026-03-14 12:10", "2026-03-14 12:00", catch_up=True) == []
    assert ask("2026-03-14 12:10", "2026-03-14 13:00", catch_up=True) == []


def test_a_schedule_that_never_ran_starts_with_its_newest_slot() -> None:
    assert ask("2026-03-14 12:10", None, catch_up=False) == ["14 12:00"]
    assert ask("2026-03-14 12:10", None, catch_up=True) == ["14 12:00"]


def test_missed_slots_are_caught_up_oldest_first_only_where_asked_for() -> None:
    assert ask("2026-03-14 12:10", "2026-03-14 08:00", catch_up=False) == ["14 12:00"]
    assert ask("2026-03-14 12:10", "2026-03-14 08:00", catch_up=True) == [
        "14 09:00",
        "14 10:00",
        "14 11:00",
        "14 12:00",
    ]


def test_what_is_too_late_is_given_up() -> None:
    assert ask("2026-03-14 12:10", "2026-03-14 08:00", catch_up=True, lateness=4200) == [
        "14 11:00",
        "14 12:00",
    ]
    assert ask("2026-03-14 12:10", "2026-03-14 08:00", catch_up=False, lateness=599) == []


def test_a_long_absence_is_caught_up_in_portions() -> None:
    assert len(ask("2026-03-14 12:10", "2025-03-14 08:00", catch_up=True)) == SLOTS_MAX
