"""What the nights work with, handed in: transactions, the accounts of the settings, patience, and the clock."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Protocol

from worker.database import Transaction
from worker.providers.records.asking import Patience
from worker.providers.records.registry import has_source
from worker.settings import ProviderSettings, TenantSettings

Publish = Callable[[str, str, date], object]
"""Sends the message of one run: tenant, provider, business date. May raise."""


class Locks(Protocol):
    """Somebody's while it is held, None when it is somebody else's already. Never raises."""

    def held(self, name: str, seconds: float) -> AbstractContextManager[object | None]: ...


def utc_now() -> datetime:
    """Business time."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Hands:
    """One per process. Reports are written into the folder `reports`."""

    transaction: Transaction
    tenants: Mapping[str, TenantSettings]
    reports: Path
    clock: Callable[[], datetime] = utc_now
    patience: Patience = field(default_factory=Patience)

    def accounts(self) -> list[tuple[str, str]]:
        """Tenant and provider of every account that can be reconciled."""
        return [
            (tenant.name, account.name)
            for tenant in self.tenants.values()
            for account in tenant.providers.values()
            if has_source(account)
        ]

    def account(self, tenant: str, provider: str) -> ProviderSettings | None:
        """The account, where these settings can reconcile it."""
        known = self.tenants.get(tenant)
        found = known.providers.get(provider) if known else None
        return found if found is not None and has_source(found) else None

    def shows_bank_account_of(self, tenant: str, account: ProviderSettings) -> str | None:
        """The provider whose records show what arrives at the account's bank, where these settings have one."""
        known = self.tenants.get(tenant)
        wanted = account.bank_account or account.name
        banks = [one for one in known.providers.values() if one.is_bank] if known else []
        return next((one.name for one in banks if one.bank_account == wanted), None)
