"""Which moments a night is about, when it is due, what is still on its way, and which feed is too short. Pure.

A business date is the tenant's local calendar day, whatever the clock does on it: 23, 24 or 25 hours. Its run asks the
provider for a look-back more, so that what came late is found by a later night, and a margin on both sides, in which
counterparts may lie and nothing is judged.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

LOOKBACK_DAYS = 3
MARGIN = timedelta(hours=6)
EXPECTED_MIN = 20
"""Fewer records than this are too few to tell a short feed from a quiet day."""
KEPT = timedelta(days=14)
"""How long the records of a run are kept, for those that come late on the other side and for people."""
NIGHTS_MAX = 31
"""How many missed nights are caught up; those before are a person's decision."""


@dataclass(frozen=True, slots=True)
class Night:
    """Aware UTC, each from inclusive and to exclusive: the business date itself, [starts_at, ends_at); what is judged,
    [judged_from, ends_at); and what the provider is asked for, [fetched_from, fetched_until)."""

    starts_at: datetime
    ends_at: datetime
    judged_from: datetime
    fetched_from: datetime
    fetched_until: datetime


def night_of(
    business_date: date, timezone: str, *, lookback_days: int = LOOKBACK_DAYS, margin: timedelta = MARGIN
) -> Night:
    """The night of a business date in this time zone."""
    starts_at = _instant(business_date, time(), timezone)
    ends_at = _instant(business_date + timedelta(days=1), time(), timezone)
    fetched_from = _instant(business_date - timedelta(days=lookback_days), time(), timezone)
    return Night(
        starts_at=starts_at,
        ends_at=ends_at,
        judged_from=min(starts_at, fetched_from + margin),
        fetched_from=fetched_from,
        fetched_until=ends_at + margin,
    )


def lookback_for(grace_seconds: int) -> int:
    """Days to look back so that a later night still judges what was `expected` for so long. At least LOOKBACK_DAYS."""
    return max(LOOKBACK_DAYS, -(-grace_seconds // 86_400) + 1)


def due_at(business_date: date, timezone: str, at_local: str) -> datetime:
    """When the night is due, UTC: at this local time ("02:30") of the day after. A time that the clock skips is due as
    long after midnight as it would have been; one that it shows twice, the first time."""
    hours, _, minutes = at_local.partition(":")
    return _instant(business_date + timedelta(days=1), time(int(hours), int(minutes)), timezone)


def forgotten_before(newest: date, timezone: str) -> datetime:
    """Of what happened before this moment no record need be there any more, once this date was the last concluded."""
    return _instant(newest - KEPT, time(), timezone)


def settled_before(now: datetime, grace_seconds: int) -> datetime:
    """What moved after this moment may still be on its way to the other side."""
    return now - timedelta(seconds=grace_seconds)


def is_truncated(
    *, provider_rows: int, ledger_rows: int, records: int, median_records: int | None = None
) -> bool:
    """Is the feed implausibly short? With fewer than half of the movements that the ledger has (both sides: deposits
    and payouts that are judged), or of the records that the last nights had, nothing may be concluded from it."""
    return _is_short(provider_rows, ledger_rows) or _is_short(records, median_records or 0)


def _is_short(found: int, expected: int) -> bool:
    return expected >= EXPECTED_MIN and 2 * found < expected


def _instant(day: date, at: time, timezone: str) -> datetime:
    return datetime.combine(day, at, tzinfo=ZoneInfo(timezone)).astimezone(UTC)
