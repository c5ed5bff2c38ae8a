"""The daily deposit limit: per owner and currency, over one local business day of the tenant. Pure."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from models.jobs.outcomes import Refused
from models.tenants import Tenant


def resets_at(tenant: Tenant, now: datetime) -> datetime:
    """The tenant's next local midnight, in UTC; where the clocks skip midnight, the moment they do."""
    tomorrow = tenant.business_date(now) + timedelta(days=1)
    return datetime.combine(tomorrow, time.min, ZoneInfo(tenant.timezone)).astimezone(UTC)


def exceeds_limit(tenant: Tenant, used_minor: int, amount_minor: int, now: datetime) -> Refused | None:
    """A refusal that says the limit, what is left and when it resets; None when the deposit fits."""
    limit = tenant.policy.daily_deposit_limit_minor
    if limit is None or used_minor + amount_minor <= limit:
        return None
    detail = {
        "limit": "daily_deposit_limit_minor",
        "limit_minor": limit,
        "left_minor": max(limit - used_minor, 0),
        "resets_at": resets_at(tenant, now).isoformat(),
    }
    return Refused("limit_exceeded", detail)
