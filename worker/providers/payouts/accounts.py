"""The provider accounts of a process: each built when a payout of it is first to be sent, and kept."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from worker.providers.payouts.port import PayoutProvider, Rules
from worker.providers.payouts.registry import build, rules
from worker.settings import ProviderSettings, SettingsError, TenantSettings

log = structlog.get_logger("ledgerbeat.payouts")


@dataclass(frozen=True, slots=True)
class PayoutAccount:
    """One account, ready to be called: a call of it ends within `timeout_seconds`."""

    provider: PayoutProvider
    rules: Rules
    timeout_seconds: float


class PayoutAccounts:
    """All that the settings name. Safe for threads; building connects nothing."""

    def __init__(self, tenants: Mapping[str, TenantSettings]) -> None:
        self._tenants = tenants
        self._built: dict[tuple[str, str], PayoutAccount] = {}
        self._busy = threading.Lock()

    def find(self, tenant: str, provider: str) -> PayoutAccount | None:
        """The account; None when these settings do not name it, or it cannot pay out: another process may have it."""
        with self._busy:
            built = self._built.get((tenant, provider))
            if built is None and (built := self._build(tenant, provider)):
                self._built[tenant, provider] = built
            return built

    def close(self) -> None:
        """Give back connections; what is asked for again is built again."""
        with self._busy:
            while self._built:
                self._built.popitem()[1].provider.close()

    def _build(self, tenant: str, provider: str) -> PayoutAccount | None:
        known = self._tenants.get(tenant)
        settings = known.providers.get(provider) if known else None
        if settings is None or not settings.pays_out:
            log.warning("payout_account.not_configured", tenant=tenant, provider=provider)
            return None
        try:
            return PayoutAccount(build(settings), _rules(settings), settings.timeout_seconds)
        except SettingsError as error:
            log.warning("payout_account.unusable", tenant=tenant, provider=provider, cause=str(error))
            return None


def _rules(settings: ProviderSettings) -> Rules:
    known = rules(settings.adapter)
    if settings.settle_seconds is None:
        return known
    return Rules(key_valid_seconds=known.key_valid_seconds, settle_seconds=settings.settle_seconds)
