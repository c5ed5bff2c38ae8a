"""A day begins when the tenant's clocks say so; a moment is one everywhere."""

from zoneinfo import ZoneInfo

import pytest

from tasks.backfills.moments import moment_of


@pytest.mark.parametrize(
    ("told", "zone", "expected"),
    [
        ("2026-03-01", "Europe/Istanbul", "2026-02-28T21:00:00+00:00"),
        ("2026-03-01", "UTC", "2026-03-01T00:00:00+00:00"),
        ("2026-03-29", "Europe/Berlin", "2026-03-28T23:00:00+00:00"),
        ("2026-03-30", "Europe/Berlin", "2026-03-29T22:00:00+00:00"),
        ("2026-04-24", "Africa/Cairo", "2026-04-23T22:00:00+00:00"),  # it begins at one: midnight is left out
        ("2026-03-01T00:00:00+03:00", "UTC", "2026-02-28T21:00:00+00:00"),
        ("2026-03-01T00:00:00Z", "Europe/Istanbul", "2026-03-01T00:00:00+00:00"),
    ],
)
def test_what_people_say_is_a_moment(told: str, zone: str, expected: str) -> None:
    assert moment_of(told, ZoneInfo(zone)).isoformat() == expected


@pytest.mark.parametrize(
    "told", ["", "yesterday", "2026-02-30", "2026-03-01T00:00:00", "20260301", "0001-01-01"]
)
def test_what_is_neither_is_told(told: str) -> None:
    with pytest.raises(ValueError, match="is neither a day, 2026-03-01, nor a time with its offset"):
        moment_of(told, ZoneInfo("Europe/Istanbul"))
