"""What all tables share: one MetaData, names of constraints, column types."""

from datetime import UTC, datetime

from sqlalchemy import DateTime, MetaData

metadata = MetaData(
    naming_convention={
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        "pk": "%(table_name)s_pkey",
    }
)

Instant = DateTime(timezone=True)


def require_aware(now: datetime) -> datetime:
    """`now` in UTC; a naive datetime is a caller's bug."""
    if now.tzinfo is None:
        raise ValueError(f"an aware datetime was expected, {now.isoformat()} has no time zone")
    return now.astimezone(UTC)
