"""When a backfill of events begins and ends, as people say it: a moment, or a day of the tenant's."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo


def moment_of(told: str, zone: ZoneInfo) -> datetime:
    """A moment with its offset, or the beginning of a day in `zone`; in UTC. Raises ValueError for anything else."""
    try:
        found = datetime.fromisoformat(told)
        is_day = len(told) == len("2026-03-01") and found.tzinfo is None
        moment = found.replace(tzinfo=zone) if is_day else found
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise ValueError(
        f"{told!r} is neither a day, 2026-03-01, nor a time with its offset, 2026-03-01T00:00:00Z"
    )
