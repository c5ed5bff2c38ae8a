"""Which slots of a schedule are due. Pure: facts in, instants out.

A slot is an instant that names one run: the full hour, or a local time of a calendar day in a zone. Daylight saving
neither doubles nor drops a daily slot: a local time that does not exist is taken as if the clocks had not changed
yet, one that exists twice is the first of the two.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

SLOTS_MAX = 31
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Rhythm(Protocol):
    """When the slots of a schedule are."""

    def latest(self, now: datetime) -> datetime:
        """The last slot at or before `now`, in UTC."""


@dataclass(frozen=True, slots=True)
class Every:
    """Evenly spaced, counted from 1970-01-01 00:00 UTC."""

    seconds: int

    def latest(self, now: datetime) -> datetime:
        return now - (now - EPOCH) % timedelta(seconds=self.seconds)


@dataclass(frozen=True, slots=True)
class Daily:
    """Once per calendar day of `zone`, at the local time `at`."""

    at: time
    zone: str

    def latest(self, now: datetime) -> datetime:
        day = now.astimezone(ZoneInfo(self.zone)).date()
        candidates = (
            datetime.combine(day - timedelta(days=back), self.at, ZoneInfo(self.zone)).astimezone(UTC)
            for back in range(3)
        )
        return next(slot for slot in candidates if slot <= now)


def due(
    rhythm: Rhythm, *, last: datetime | None, now: datetime, catch_up: bool, max_lateness_seconds: int
) -> list[datetime]:
    """The slots after `last` that are to run now, oldest first, at most SLOTS_MAX.

    Without `catch_up` only the newest counts; one later than `max_lateness_seconds` is given up. A schedule that
    never ran starts with its newest slot.
    """
    slots = [rhythm.latest(now)]
    while catch_up and last is not None and len(slots) < SLOTS_MAX:
        slots.append(rhythm.latest(slots[-1] - timedelta(microseconds=1)))
    oldest = now - timedelta(seconds=max_lateness_seconds)
    return sorted(slot for slot in slots if slot >= oldest and (last is None or slot > last))
