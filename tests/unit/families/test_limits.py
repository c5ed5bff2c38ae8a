"""When a daily limit resets: the next local midnight, through every change of the clocks."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.tenants import Policy, Tenant
from tasks.deposits.limits import exceeds_limit, resets_at


def tenant(timezone: str, limit_minor: int | None = None) -> Tenant:
    return Tenant("acme", timezone, Policy(daily_deposit_limit_minor=limit_minor))


@pytest.mark.parametrize(
    ("timezone", "now", "expected"),
    [
        ("UTC", "2026-03-14T12:00", "2026-03-15T00:00"),
        ("Europe/Istanbul", "2026-03-14T20:59", "2026-03-14T21:00"),
        ("Europe/Istanbul", "2026-03-14T21:00", "2026-03-15T21:00"),
        ("Europe/Paris", "2026-03-28T23:30", "2026-03-29T22:00"),  # a day of 23 hours
        ("Europe/Paris", "2026-10-24T22:30", "2026-10-25T23:00"),  # a day of 25 hours
        ("Africa/Cairo", "2026-04-23T21:00", "2026-04-23T22:00"),  # the clocks skip midnight
        ("America/Havana", "2026-10-31T12:00", "2026-11-01T04:00"),  # midnight strikes twice
        ("Asia/Kathmandu", "2026-03-14T12:00", "2026-03-14T18:15"),
    ],
)
def test_a_limit_resets_at_the_next_local_midnight(timezone: str, now: str, expected: str) -> None:
    at = datetime.fromisoformat(now).replace(tzinfo=UTC)
    assert resets_at(tenant(timezone), at) == datetime.fromisoformat(expected).replace(tzinfo=UTC)


ZONES = (
    "UTC",
    "Europe/Istanbul",
    "Europe/Paris",
    "Africa/Cairo",
    "America/Havana",
    "America/Santiago",
    "Asia/Kathmandu",
)


@given(st.sampled_from(ZONES), st.integers(1_580_000_000, 2_050_000_000))
def test_the_business_date_changes_exactly_when_the_limit_resets(timezone: str, seconds: int) -> None:
    now = datetime.fromtimestamp(seconds, UTC)
    zone, at = tenant(timezone), resets_at(tenant(timezone), now)
    assert now < at <= now + timedelta(hours=25)
    assert zone.business_date(at) == zone.business_date(now) + timedelta(days=1)
    assert zone.business_date(at - timedelta(microseconds=1)) == zone.business_date(now)


@pytest.mark.parametrize(
    ("limit", "used", "amount", "left"),
    [
        (None, 10**18, 10**18, None),
        (100, 0, 100, None),
        (100, 60, 40, None),
        (100, 60, 41, 40),
        (0, 0, 1, 0),
        (100, 160, 1, 0),
    ],
)
def test_a_refusal_says_what_is_left(limit: int | None, used: int, amount: int, left: int | None) -> None:
    refused = exceeds_limit(tenant("UTC", limit), used, amount, datetime(2026, 3, 14, 12, tzinfo=UTC))
    assert (refused.detail["left_minor"] if refused else None) == left
