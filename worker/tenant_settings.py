"""Tenants, their providers and their sources of older rows, as the TOML file tells them."""

import re
import tomllib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from worker.files.times import known_zone
from worker.providers.ownership import Ownership
from worker.providers.records.columns import RecordsSettings
from worker.providers.records.declared import DeclaredKind
from worker.providers.registry import ADAPTERS, secret_keys, secret_problem
from worker.providers.signatures import standard_webhook_key
from worker.setting_values import Frozen, SettingsError, explained, read_file, secret_value, secret_values
from worker.sources.configured import BackfillSettings

TENANT_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
PROVIDER_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,30}")
LOOPBACK_HOSTS = {"127.0.0.1", "::1", "localhost"}
DAY_SECONDS = 86_400
BANK_GRACE_DAYS = 5
"""A transfer takes one to three working days, and a weekend may lie between."""
GRACE_DAYS_MAX = 10
"""Records are kept for 14 days."""
StripeAccount = Annotated[str, Field(pattern=r"^acct_[^/\s]{1,100}$")]
EventType = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.\[\]-]{1,100}$")]
MerchantAccount = Annotated[str, Field(min_length=1, max_length=255)]
NOTIFY_KEY_BYTES = range(24, 65)
"""As Standard Webhooks 1.0.0 asks of a symmetric secret."""


def _notify_url(url: str) -> str:
    """The sentence never quotes the URL: its path may hold a secret."""
    if not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("an address in printable ASCII, such as https://acme.example/hooks, was expected")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError("an address such as https://acme.example/hooks was expected") from None
    if not host or parts.scheme not in {"https", "http"}:
        raise ValueError("an address that begins with https:// and names a host was expected")
    if parts.scheme == "http" and host not in LOOPBACK_HOSTS:
        raise ValueError("https:// was expected; http:// is for receivers on this machine (127.0.0.1) only")
    if "@" in parts.netloc or parts.fragment:
        raise ValueError("an address without user, password and fragment was expected")
    return url


class ProviderSettings(Frozen):
    """One provider account of one tenant. Webhook secrets: the newest first, two while rotating.

    For payouts: a call ends within `timeout_seconds`; a payout shows in a look-up `settle_seconds` after it was sent
    (none: the adapter's own); at most `max_in_flight` and `payouts_per_second` (none: no limit) are sent at a time.
    `source_account` is the account at the provider that the money leaves (Adyen: the balance account).

    What was settled is asked of the provider's API, or read from files where `records` says so. An account without an
    adapter, such as a bank's, has such records and nothing else: no webhooks, no payouts. `record_kinds` says what the
    records of these types are, by the provider's own word. What the provider pays out to us goes to
    `bank_account` (none: one of the provider's name); an account without an adapter that names one is that bank
    account, and its records show what arrived. What moved may be on its way for `grace_days` (none: as the tenant's
    policy says; to a bank BANK_GRACE_DAYS).

    Whose events are ours: those of live mode (of test mode with `live = false`); at Stripe the account's own and those
    of the connected accounts in `account` or `accounts`; at Adyen those of `merchant_accounts` (none: of all).
    `ignored_events` are types of events that this release does not know, and that move no money.
    """

    name: str
    adapter: Literal["sandbox", "stripe", "adyen", "files"] = "files"
    base_url: str | None = None
    api_key: SecretStr | None = None
    webhook_secrets: tuple[SecretStr, ...] = Field(default=(), max_length=4)
    capture: Literal["automatic", "manual"] = "automatic"
    timeout_seconds: float = Field(default=10, ge=1, le=120)
    settle_seconds: int | None = Field(default=None, ge=0, le=86_400)
    max_in_flight: int = Field(default=16, ge=1, le=1000)
    payouts_per_second: float | None = Field(default=None, gt=0, le=10_000)
    source_account: str | None = Field(default=None, min_length=1, max_length=255)
    records: RecordsSettings | None = None
    record_kinds: dict[str, DeclaredKind] = Field(default={})
    bank_account: Annotated[str, Field(pattern=f"^{PROVIDER_NAME.pattern}$")] | None = None
    grace_days: int | None = Field(default=None, ge=0, le=GRACE_DAYS_MAX)
    live: bool = Field(default=True, strict=True)
    account: StripeAccount | None = None
    accounts: tuple[StripeAccount, ...] = Field(default=(), max_length=10_000)
    merchant_accounts: tuple[MerchantAccount, ...] | None = Field(default=None, max_length=1_000)
    ignored_events: tuple[EventType, ...] = Field(default=(), max_length=1_000)

    @field_validator("record_kinds")
    @classmethod
    def _not_with_columns(
        cls, kinds: dict[str, DeclaredKind], found: ValidationInfo
    ) -> dict[str, DeclaredKind]:
        records = found.data.get("records")
        if kinds and records is not None and records.columns is not None:
            raise ValueError("files with columns of their own say it there, as kinds of the column kind")
        return kinds

    @property
    def is_bank(self) -> bool:
        """Is it a bank account of ours, which shows what providers paid out to us?"""
        return self.adapter not in ADAPTERS and self.bank_account is not None

    @property
    def grace_seconds(self) -> int | None:
        """How long what moved may be on its way; None: as the tenant's policy says."""
        if self.grace_days is not None:
            return self.grace_days * DAY_SECONDS
        return BANK_GRACE_DAYS * DAY_SECONDS if self.is_bank else None

    @model_validator(mode="after")
    def _fits_its_adapter(self) -> Self:
        for name, adapter in (("account", "stripe"), ("accounts", "stripe"), ("merchant_accounts", "adyen")):
            if name in self.model_fields_set and self.adapter != adapter:
                raise ValueError(f"{name} is a setting of the adapter {adapter}")
        return self

    @cached_property
    def ownership(self) -> Ownership:
        """Which events are ours. The connected account that is asked for records is one of ours."""
        own = {self.account, self.source_account if self.adapter == "stripe" else None, *self.accounts}
        names = None if self.merchant_accounts is None else frozenset(self.merchant_accounts)
        listed = frozenset(name for name in own if name)
        return Ownership(self.live, listed, names, frozenset(self.ignored_events))

    @model_validator(mode="after")
    def _has_what_its_adapter_needs(self) -> Self:
        if self.adapter != "files" and not self.webhook_secrets:
            raise ValueError('webhook_secrets is needed, a list such as ["env:NAME"]: webhooks are signed')
        if self.adapter == "files" and (
            self.records is None or self.webhook_secrets or self.api_key or self.base_url
        ):
            raise ValueError(
                "adapter is needed, one of sandbox, stripe and adyen; only an account that has records and neither "
                "webhooks nor an API, such as a bank's, goes without"
            )
        return self

    @property
    def pays_out(self) -> bool:
        """Has it what a payout needs? Without, it only takes webhooks. Stripe has one address for everybody."""
        return self.api_key is not None and (self.base_url is not None or self.adapter == "stripe")


class TenantSettings(Frozen):
    """One upstream app. `rate_limit_per_second` bounds its job door, with a burst of twice that.

    Notifications go to `notify_url`, signed with each of `notify_secrets`: two while rotating.
    """

    name: str
    timezone: Annotated[str, AfterValidator(known_zone)] = "UTC"
    api_tokens: tuple[SecretStr, ...] = Field(default=(), max_length=4)
    notify_url: Annotated[str, AfterValidator(_notify_url)] | None = None
    notify_secrets: tuple[SecretStr, ...] = Field(default=(), max_length=4)
    rate_limit_per_second: float = Field(default=2000, gt=0)
    database_roles: tuple[str, ...] = ()
    providers: dict[str, ProviderSettings] = Field(default={})
    backfills: dict[str, BackfillSettings] = Field(default={})


def load_tenants(path: Path, env: Mapping[str, str]) -> dict[str, TenantSettings]:
    """Every tenant of the file. Raises SettingsError."""
    try:
        document = tomllib.loads(read_file(path, "LEDGERBEAT_CONFIG"))
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: not valid TOML ({error})") from None
    if unknown := sorted(set(document) - {"tenants"}):
        raise SettingsError(f"{path}: unknown table [{unknown[0]}]; only [tenants.<name>] is expected")
    tables = document.get("tenants", {})
    if not isinstance(tables, dict):
        raise SettingsError(f"{path}: tenants must be tables, [tenants.<name>]")
    tenants = {name: _load_tenant(name, table, path, env) for name, table in tables.items()}
    _refuse_shared_tokens(tenants, path)
    _refuse_shared_webhook_secrets(tenants, path)
    return tenants


def _load_tenant(name: str, table: Any, path: Path, env: Mapping[str, str]) -> TenantSettings:
    where = f"tenants.{name}"
    if not TENANT_NAME.fullmatch(name):
        raise SettingsError(f"{path}: {where}: a tenant's name is 1-63 of a-z, 0-9, _ and -")
    if not isinstance(table, dict):
        raise SettingsError(f"{path}: {where} must be a table")
    values = dict(table)
    for key in ("api_tokens", "notify_secrets"):
        if key in values:
            values[key] = secret_values(values[key], f"{path}: {where}.{key}", path, env)
    providers = values.pop("providers", {})
    if not isinstance(providers, dict):
        raise SettingsError(f"{path}: {where}.providers must be a table")
    values["providers"] = {
        provider: _load_provider(provider, entry, f"{where}.providers.{provider}", path, env)
        for provider, entry in providers.items()
    }
    values["backfills"] = _load_backfills(values.get("backfills", {}), f"{where}.backfills", path, env)
    try:
        tenant = TenantSettings(**{**values, "name": name})
    except ValidationError as error:
        raise SettingsError(f"{path}: {explained(error, f'{where}.')}") from None
    _refuse_unsigned(tenant, f"{path}: {where}")
    _refuse_mixed_merchants(tenant, f"{path}: {where}")
    _refuse_strangers(tenant, f"{path}: {where}")
    _refuse_two_of_one_bank(tenant, f"{path}: {where}")
    return tenant


def _load_backfills(tables: Any, where: str, path: Path, env: Mapping[str, str]) -> dict[str, Any]:
    """Each with the URL that its reference tells; TenantSettings checks the rest."""
    if not isinstance(tables, dict):
        raise SettingsError(f"{path}: {where} must be a table")
    return {name: _load_backfill(name, table, f"{where}.{name}", path, env) for name, table in tables.items()}


def _load_backfill(name: str, table: Any, where: str, path: Path, env: Mapping[str, str]) -> dict[str, Any]:
    if not PROVIDER_NAME.fullmatch(name):
        raise SettingsError(f"{path}: {where}: a backfill's name is 1-31 of a-z, 0-9, _ and -")
    if not isinstance(table, dict):
        raise SettingsError(f"{path}: {where} must be a table")
    if "url" not in table:
        return table
    return {**table, "url": secret_value(table["url"], f"{path}: {where}.url", path, env)}


def _refuse_strangers(tenant: TenantSettings, where: str) -> None:
    for name, backfill in tenant.backfills.items():
        if backfill.provider is not None and backfill.provider not in tenant.providers:
            raise SettingsError(f"{where}.backfills.{name}.provider: no such provider of this tenant")


def _refuse_two_of_one_bank(tenant: TenantSettings, where: str) -> None:
    seen: dict[str | None, str] = {}
    for account in tenant.providers.values():
        if account.is_bank and (first := seen.setdefault(account.bank_account, account.name)) != account.name:
            raise SettingsError(
                f"{where}: providers.{first} and providers.{account.name} are both the bank account "
                f"{account.bank_account}; each would miss what the other shows"
            )


def _refuse_unsigned(tenant: TenantSettings, where: str) -> None:
    if tenant.notify_url is not None and not tenant.notify_secrets:
        raise SettingsError(
            f'{where}: notify_url needs notify_secrets, a list such as ["env:NAME"]: notifications are signed'
        )
    for secret in tenant.notify_secrets:
        key = standard_webhook_key(secret.get_secret_value()) or b""
        if len(key) not in NOTIFY_KEY_BYTES:
            raise SettingsError(
                f"{where}.notify_secrets: each must be the base64 of 24 to 64 random bytes, with or without "
                "the prefix whsec_"
            )


def _refuse_mixed_merchants(tenant: TenantSettings, where: str) -> None:
    """A company's webhook tells of all its merchant accounts: of several accounts here, each must say its own."""
    accounts = [account for account in tenant.providers.values() if account.adapter == "adyen"]
    for account in accounts:
        if len(accounts) > 1 and account.merchant_accounts is None:
            raise SettingsError(
                f"{where}.providers.{account.name}: the tenant has several accounts at Adyen: set "
                'merchant_accounts = ["..."] for each, as Adyen spells them ([] for one that only pays out)'
            )


def _load_provider(name: str, table: Any, where: str, path: Path, env: Mapping[str, str]) -> ProviderSettings:
    if not PROVIDER_NAME.fullmatch(name):
        raise SettingsError(f"{path}: {where}: a provider's name is 1-31 of a-z, 0-9, _ and -")
    if not isinstance(table, dict):
        raise SettingsError(f"{path}: {where} must be a table")
    values = dict(table)
    if "api_key" in values:
        values["api_key"] = secret_value(values["api_key"], f"{path}: {where}.api_key", path, env)
    if "webhook_secrets" in values:
        values["webhook_secrets"] = secret_values(
            values["webhook_secrets"], f"{path}: {where}.webhook_secrets", path, env
        )
    try:
        provider = ProviderSettings(**{**values, "name": name})
    except ValidationError as error:
        raise SettingsError(f"{path}: {explained(error, f'{where}.')}") from None
    for secret in provider.webhook_secrets:
        if problem := secret_problem(provider.adapter, secret.get_secret_value()):
            raise SettingsError(f"{path}: {where}.webhook_secrets: {problem}")
    return provider


def _refuse_shared_tokens(tenants: Mapping[str, TenantSettings], path: Path) -> None:
    seen: dict[str, str] = {}
    for tenant in tenants.values():
        for token in tenant.api_tokens:
            value = token.get_secret_value()
            if len(value) < 16:
                raise SettingsError(f"{path}: tenants.{tenant.name}.api_tokens: at least 16 characters each")
            if seen.setdefault(value, tenant.name) != tenant.name:
                raise SettingsError(f"{path}: tenants {seen[value]} and {tenant.name} share an API token")


def _refuse_shared_webhook_secrets(tenants: Mapping[str, TenantSettings], path: Path) -> None:
    """Whoever signs for one account would sign for the other. Two spellings of one key are one secret."""
    seen: dict[bytes, str] = {}
    for tenant in tenants.values():
        for account in tenant.providers.values():
            where = f"tenants.{tenant.name}.providers.{account.name}"
            for secret in account.webhook_secrets:
                for key in secret_keys(account.adapter, secret.get_secret_value()):
                    if seen.setdefault(key, where) != where:
                        raise SettingsError(f"{path}: {seen[key]} and {where} share a webhook secret")
