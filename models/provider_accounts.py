"""A tenant's accounts at its providers: which exist, which a person has paused, and what their breakers say.

A row is locked after payouts and together with no ledger account: nobody waits in a circle.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any, Literal, Self

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Double,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    text,
)
from sqlalchemy.orm import Session

from models.base import Instant, metadata

BREAKER_STATES = ("closed", "open", "half_open")
Breaker = Literal["closed", "open", "half_open"]

provider_accounts = Table(
    "provider_accounts",
    metadata,
    Column("tenant", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("adapter", Text, nullable=False),
    Column("enabled", Boolean, nullable=False, server_default=text("true")),
    Column("paused_at", Instant),
    Column("paused_by", Text),
    Column("breaker", Text, nullable=False, server_default=text("'closed'")),
    Column("failures_in_a_row", Integer, nullable=False, server_default=text("0")),
    Column("opens_in_a_row", Integer, nullable=False, server_default=text("0")),
    Column("breaker_code", Text),
    Column("probe_at", Instant),
    Column("max_in_flight", Integer, nullable=False, server_default=text("16")),
    Column("per_second", Double),
    Column("allowance", Double, nullable=False, server_default=text("0")),
    Column("allowance_at", Instant),
    PrimaryKeyConstraint("tenant", "provider"),
    CheckConstraint(f"breaker IN {BREAKER_STATES}", name="breaker"),
    CheckConstraint("(probe_at IS NOT NULL) = (breaker <> 'closed')", name="probe"),
    CheckConstraint("max_in_flight > 0 AND (per_second IS NULL OR per_second > 0)", name="limits"),
)


@dataclass(frozen=True, slots=True)
class AccountTerms:
    """What the settings say of one account. One that cannot pay out (no API key) is `enabled=False`."""

    tenant: str
    provider: str
    adapter: str
    enabled: bool = True
    max_in_flight: int = 16
    per_second: float | None = None


@dataclass(frozen=True, slots=True)
class ProviderAccount:
    """A row of `provider_accounts`, and whether its tenant is paused.

    `breaker` open: nothing is sent before `probe_at`; half_open: one attempt is under way to find out, and another
    may go at `probe_at`. `allowance` is what the token bucket of `per_second` held at `allowance_at`.
    """

    tenant: str
    provider: str
    adapter: str
    enabled: bool
    paused_at: datetime | None
    paused_by: str | None
    breaker: Breaker
    failures_in_a_row: int
    opens_in_a_row: int
    breaker_code: str | None
    probe_at: datetime | None
    max_in_flight: int
    per_second: float | None
    allowance: float
    allowance_at: datetime | None
    tenant_paused: bool = False

    @property
    def is_usable(self) -> bool:
        """May money leave through it, as far as people and settings are concerned?"""
        return self.enabled and self.paused_at is None and not self.tenant_paused

    @property
    def subject(self) -> str:
        """Of its audit events."""
        return f"provider:{self.provider}"

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        return cls(**{field.name: row[field.name] for field in fields(cls)})


# Only what differs is written, so that a start of fifty workers writes nothing.
SYNC = text("""
    INSERT INTO provider_accounts (tenant, provider, adapter, enabled, max_in_flight, per_second)
    SELECT n.tenant, n.provider, n.adapter, n.enabled, n.max_in_flight, n.per_second
    FROM jsonb_to_recordset(CAST(:accounts AS jsonb)) AS n (tenant text, provider text, adapter text, enabled boolean,
        max_in_flight int, per_second double precision)
    ORDER BY n.tenant, n.provider
    ON CONFLICT (tenant, provider) DO UPDATE SET adapter = excluded.adapter, enabled = excluded.enabled,
        max_in_flight = excluded.max_in_flight, per_second = excluded.per_second
    WHERE (provider_accounts.adapter, provider_accounts.enabled, provider_accounts.max_in_flight,
        provider_accounts.per_second) IS DISTINCT FROM (excluded.adapter, excluded.enabled, excluded.max_in_flight,
        excluded.per_second)
""")

DISABLE = text("""
    UPDATE provider_accounts a SET enabled = false
    WHERE a.enabled AND NOT EXISTS (
        SELECT FROM jsonb_to_recordset(CAST(:accounts AS jsonb)) AS n (tenant text, provider text)
        WHERE (n.tenant, n.provider) = (a.tenant, a.provider))
""")

LOAD = """
    SELECT a.*, t.paused_at IS NOT NULL AS tenant_paused
    FROM provider_accounts a JOIN tenants t USING (tenant) WHERE a.tenant = :tenant AND a.provider = :provider
"""
FIND = text(LOAD)
LOCK = text(LOAD + "FOR NO KEY UPDATE OF a")
LOCK_FREE = text(LOAD + "FOR NO KEY UPDATE OF a SKIP LOCKED")

SAVE = text("""
    UPDATE provider_accounts SET breaker = :breaker, failures_in_a_row = :failures_in_a_row,
        opens_in_a_row = :opens_in_a_row, breaker_code = :breaker_code, probe_at = :probe_at, allowance = :allowance,
        allowance_at = :allowance_at
    WHERE tenant = :tenant AND provider = :provider
""")

PAUSE = text("""
    UPDATE provider_accounts SET paused_at = :paused_at, paused_by = :paused_by
    WHERE tenant = :tenant AND provider = :provider
        AND (paused_at IS NULL) = (CAST(:paused_at AS timestamptz) IS NOT NULL)
    RETURNING provider
""")


def sync_accounts(session: Session, accounts: Sequence[AccountTerms]) -> None:
    """Make the rows say what the settings say; an account they no longer name is disabled, never removed.

    No account at all is taken for a process without a configuration, and changes nothing. The tenants exist.
    """
    if accounts:
        rows = {"accounts": json.dumps([asdict(one) for one in accounts])}
        session.execute(SYNC, rows)
        session.execute(DISABLE, rows)


def load_account(session: Session, tenant: str, provider: str) -> ProviderAccount | None:
    """The account as it stands; None when no settings ever named it."""
    return _found(session, FIND, tenant, provider)


def lock_account(
    session: Session, tenant: str, provider: str, *, wait: bool = True
) -> ProviderAccount | None:
    """The same, locked until the transaction ends; None also when someone has it and `wait` is False."""
    return _found(session, LOCK if wait else LOCK_FREE, tenant, provider)


def save_account(session: Session, account: ProviderAccount) -> None:
    """Write what the breaker and the token bucket have come to; lock the account first."""
    session.execute(SAVE, asdict(account))


def set_account_paused(
    session: Session, tenant: str, provider: str, paused_at: datetime | None, paused_by: str | None
) -> bool:
    """Pause (or resume, with None) an account. False when it was so already, or does not exist."""
    values = {"tenant": tenant, "provider": provider, "paused_at": paused_at, "paused_by": paused_by}
    return session.execute(PAUSE, values).one_or_none() is not None


def _found(session: Session, query: Any, tenant: str, provider: str) -> ProviderAccount | None:
    row = session.execute(query, {"tenant": tenant, "provider": provider}).mappings().one_or_none()
    return None if row is None else ProviderAccount.from_row(dict(row))
