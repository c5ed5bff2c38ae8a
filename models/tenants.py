"""Tenants: their policy, whether their door is open, and the database roles that may enqueue for them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    func,
    text,
)
from sqlalchemy.orm import Session

from models.base import Instant, metadata
from models.errors import UnknownTenant

tenants = Table(
    "tenants",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("timezone", Text, nullable=False, server_default=text("'UTC'")),
    Column("paused_at", Instant),
    Column("notified", Boolean, nullable=False, server_default=text("false")),
    Column("ledger_mode", Text, nullable=False, server_default=text("'enforce'")),
    Column("kyc_required", Boolean, nullable=False, server_default=text("false")),
    Column("daily_deposit_limit_minor", BigInteger),
    Column("daily_payout_limit_minor", BigInteger),
    Column("payout_retry_limit", Integer, nullable=False, server_default=text("3")),
    Column("payout_cooldown_seconds", Integer, nullable=False, server_default=text("300")),
    Column("payout_backoff_factor", Double, nullable=False, server_default=text("1.0")),
    Column("approval_threshold_minor", BigInteger),
    Column("approval_expires_seconds", Integer),
    Column(
        "in_doubt_ladder_seconds",
        ARRAY(Integer),
        nullable=False,
        server_default=text("'{30,120,600,3600,21600}'"),
    ),
    Column("reconcile_at_local", Text, nullable=False, server_default=text("'02:30'")),
    Column("reconcile_grace_seconds", Integer, nullable=False, server_default=text("86400")),
    Column("created_at", Instant, nullable=False, server_default=func.now()),
    CheckConstraint("ledger_mode IN ('enforce', 'shadow')", name="ledger_mode"),
    CheckConstraint("tenant ~ '^[a-z0-9][a-z0-9_-]{0,62}$'", name="tenant"),
)

tenant_roles = Table(
    "tenant_roles",
    metadata,
    Column("tenant", Text, nullable=False),
    Column("role_name", Text, nullable=False),
    PrimaryKeyConstraint("tenant", "role_name"),
)


@dataclass(frozen=True, slots=True)
class Policy:
    """What a tenant allows. Limits of None are no limit; amounts in minor units, times in seconds."""

    ledger_mode: str = "enforce"
    kyc_required: bool = False
    daily_deposit_limit_minor: int | None = None
    daily_payout_limit_minor: int | None = None
    payout_retry_limit: int = 3
    payout_cooldown_seconds: int = 300
    payout_backoff_factor: float = 1.0
    approval_threshold_minor: int | None = None
    approval_expires_seconds: int | None = None
    in_doubt_ladder_seconds: Sequence[int] = (30, 120, 600, 3600, 21600)
    reconcile_at_local: str = "02:30"
    reconcile_grace_seconds: int = 86400


POLICY_FIELDS = tuple(field.name for field in fields(Policy))


@dataclass(frozen=True, slots=True)
class Tenant:
    """One tenant as the database knows it."""

    name: str
    timezone: str
    policy: Policy

    @property
    def shadow(self) -> bool:
        return self.policy.ledger_mode == "shadow"

    def business_date(self, now: datetime) -> date:
        """The tenant's local calendar day at `now`."""
        return now.astimezone(ZoneInfo(self.timezone)).date()


SYNC_TENANTS = text("""
    INSERT INTO tenants (tenant, timezone)
    SELECT * FROM unnest(CAST(:tenants AS text[]), CAST(:timezones AS text[])) ORDER BY 1
    ON CONFLICT (tenant) DO UPDATE SET timezone = excluded.timezone
    WHERE tenants.timezone <> excluded.timezone
""")

SYNC_NOTIFIED = text("""
    UPDATE tenants SET notified = tenant = ANY(CAST(:notified AS text[]))
    WHERE notified <> (tenant = ANY(CAST(:notified AS text[])))
""")

SYNC_ROLES = text("""
    WITH wanted AS (
        SELECT * FROM unnest(CAST(:tenants AS text[]), CAST(:roles AS text[])) AS w (tenant, role_name)
    ), gone AS (
        DELETE FROM tenant_roles r WHERE NOT EXISTS (
            SELECT FROM wanted w WHERE (w.tenant, w.role_name) = (r.tenant, r.role_name))
    )
    INSERT INTO tenant_roles SELECT tenant, role_name FROM wanted ORDER BY 1, 2 ON CONFLICT DO NOTHING
""")


def sync_tenants(session: Session, timezones: Mapping[str, str]) -> None:
    """Make sure that each configured tenant has a row with its time zone. Never removes one."""
    ordered = sorted(timezones)
    session.execute(SYNC_TENANTS, {"tenants": ordered, "timezones": [timezones[name] for name in ordered]})


def sync_notified(session: Session, notified: Collection[str]) -> None:
    """Say which tenants have somewhere to be told their news: exactly these."""
    session.execute(SYNC_NOTIFIED, {"notified": sorted(notified)})


def sync_tenant_roles(session: Session, roles: Mapping[str, Sequence[str]]) -> None:
    """Let exactly these database roles call `enqueue_job` for these tenants. The owner's right only."""
    pairs = sorted({(tenant, role) for tenant, names in roles.items() for role in names})
    session.execute(SYNC_ROLES, {"tenants": [t for t, _ in pairs], "roles": [r for _, r in pairs]})


def load_tenant(session: Session, tenant: str) -> Tenant:
    """The tenant with its policy. Raises UnknownTenant."""
    row = session.execute(tenants.select().where(tenants.c.tenant == tenant)).mappings().one_or_none()
    if row is None:
        raise UnknownTenant(f"no tenant {tenant!r} in the database; is it in the configuration and migrated?")
    return Tenant(
        name=tenant, timezone=row["timezone"], policy=Policy(**{name: row[name] for name in POLICY_FIELDS})
    )


def update_policy(session: Session, tenant: str, changes: Mapping[str, Any]) -> None:
    """Set these policy fields; the caller has validated them and writes the audit event."""
    session.execute(tenants.update().where(tenants.c.tenant == tenant).values(dict(changes)))


def set_paused(session: Session, tenant: str, paused_at: datetime | None) -> bool:
    """Close (or open, with None) the tenant's door for new jobs. False when it was so already."""
    changed = session.execute(
        tenants.update()
        .where(tenants.c.tenant == tenant, (tenants.c.paused_at.is_(None)) == (paused_at is not None))
        .values(paused_at=paused_at)
        .returning(tenants.c.tenant)
    )
    return changed.one_or_none() is not None
