"""A tenant's business date is its own calendar's; a naive time is nobody's."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from models.base import require_aware
from models.tenants import POLICY_FIELDS, Policy, Tenant, tenants


@pytest.mark.parametrize(
    ("zone", "at", "day"),
    [
        ("UTC", datetime(2026, 3, 14, 23, 59, 59, tzinfo=UTC), date(2026, 3, 14)),
        ("Europe/Istanbul", datetime(2026, 3, 14, 20, 59, 59, tzinfo=UTC), date(2026, 3, 14)),
        ("Europe/Istanbul", datetime(2026, 3, 14, 21, 0, tzinfo=UTC), date(2026, 3, 15)),
        ("America/New_York", datetime(2026, 3, 14, 3, 59, tzinfo=UTC), date(2026, 3, 13)),
        ("Europe/Paris", datetime(2026, 3, 28, 23, 0, tzinfo=UTC), date(2026, 3, 29)),
        ("Europe/Paris", datetime(2026, 3, 29, 22, 0, tzinfo=UTC), date(2026, 3, 30)),
        ("Pacific/Kiritimati", datetime(2026, 3, 14, 10, 0, tzinfo=UTC), date(2026, 3, 15)),
        ("UTC", datetime(2026, 3, 15, 1, 0, tzinfo=timezone(timedelta(hours=3))), date(2026, 3, 14)),
    ],
)
def test_a_business_date_is_the_tenants_local_day(zone: str, at: datetime, day: date) -> None:
    assert Tenant("acme", zone, Policy()).business_date(at) == day


@pytest.mark.parametrize(("mode", "shadow"), [("enforce", False), ("shadow", True)])
def test_the_ledger_mode_says_whether_it_is_shadow(mode: str, shadow: bool) -> None:
    assert Tenant("acme", "UTC", Policy(ledger_mode=mode)).shadow is shadow


def test_every_field_of_a_policy_is_a_column() -> None:
    assert set(POLICY_FIELDS) == set(tenants.columns.keys()) - {
        "tenant", "timezone", "paused_at", "notified", "created_at"
    }  # fmt: skip


def test_an_aware_time_is_turned_to_utc() -> None:
    istanbul = datetime(2026, 3, 14, 15, 0, tzinfo=timezone(timedelta(hours=3)))
    assert require_aware(istanbul).isoformat() == "2026-03-14T12:00:00+00:00"


def test_a_naive_time_is_refused() -> None:
    with pytest.raises(ValueError, match="2026-03-14T15:00:00 has no time zone"):
        require_aware(datetime(2026, 3, 14, 15, 0))  # noqa: DTZ001 - the point
