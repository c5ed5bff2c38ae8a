"""Which nights an account is to run now. Pure: what the database knows in, business dates out.

A business date is due once the tenant's `reconcile_at_local` has come on the day after. It has one row, so it runs
once whatever the clocks, the time zone's rules and the tenant's settings do afterwards.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from tasks.reconciliation.policy import NIGHTS_MAX, due_at

LATENESS_MAX = timedelta(days=NIGHTS_MAX)
"""A night that has been due for longer is nobody's any more: a person runs it, or lets it be."""


@dataclass(frozen=True, slots=True)
class Calendar:
    """One provider account of a tenant. `known` are the business dates of the last weeks that have a row, `first` is
    the oldest of all; `since` is when the tenant came to be."""

    tenant: str
    provider: str
    timezone: str
    at_local: str
    since: datetime
    first: date | None = None
    known: Collection[date] = ()


@dataclass(frozen=True, slots=True)
class DueNight:
    """A business date that is due and has no row."""

    tenant: str
    provider: str
    business_date: date
    due_at: datetime


def due_nights(calendar: Calendar, *, now: datetime) -> list[DueNight]:
    """Oldest first, at most NIGHTS_MAX, none due for longer than LATENESS_MAX.

    An account that never ran begins with its newest night, and none lies before the tenant's first day.
    """
    newest = _newest(calendar, now)
    nights = [newest - timedelta(days=back) for back in reversed(range(NIGHTS_MAX))]
    begun = calendar.first or newest
    earliest = max(begun, calendar.since.astimezone(ZoneInfo(calendar.timezone)).date())
    found = [_night(calendar, day) for day in nights if day >= earliest and day not in calendar.known]
    return [night for night in found if now - night.due_at <= LATENESS_MAX]


def _newest(calendar: Calendar, now: datetime) -> date:
    """The last business date that is due, whether it ran or not."""
    day = now.astimezone(ZoneInfo(calendar.timezone)).date()
    while due_at(day, calendar.timezone, calendar.at_local) > now:
        day -= timedelta(days=1)
    return day


def _night(calendar: Calendar, day: date) -> DueNight:
    return DueNight(
        calendar.tenant, calendar.provider, day, due_at(day, calendar.timezone, calendar.at_local)
    )
