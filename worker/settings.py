"""Settings: read once, from the environment (`LEDGERBEAT_*`) and the TOML file that `LEDGERBEAT_CONFIG` names.

Secrets never stand in the TOML: `env:NAME` and `file:PATH` say where they are (a relative PATH is relative to the
TOML file). A bad value raises SettingsError with a sentence that says what to set.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError

from models.errors import LedgerbeatError
from worker.providers.records.columns import RecordsSettings
from worker.providers.registry import secret_problem
from worker.providers.signatures import standard_webhook_key

PREFIX = "LEDGERBEAT_"
URL_NAMES = ("DATABASE_URL", "REDIS_URL", "BROKER_URL")
REDIS_SCHEMES = ("redis://", "rediss://", "unix://")
TENANT_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
PROVIDER_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,30}")
LOOPBACK_HOSTS = {"127.0.0.1", "::1", "localhost"}
NOTIFY_KEY_BYTES = range(24, 65)
"""As Standard Webhooks 1.0.0 asks of a symmetric secret."""


class SettingsError(LedgerbeatError):
    """A setting is missing or wrong; the message says which and what to set."""


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"{name!r} is not an IANA time zone such as 'Europe/Istanbul'") from error
    return name


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


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ProviderSettings(Frozen):
    """One provider account of one tenant. Webhook secrets: the newest first, two while rotating.

    For payouts: a call ends within `timeout_seconds`; a payout shows in a look-up `settle_seconds` after it was sent
    (none: the adapter's own); at most `max_in_flight` and `payouts_per_second` (none: no limit) are sent at a time.
    `source_account` is the account at the provider that the money leaves (Adyen: the balance account).

    What was settled is asked of the provider's API, or read from files where `records` says so.
    """

    name: str
    adapter: Literal["sandbox", "stripe", "adyen"]
    base_url: str | None = None
    api_key: SecretStr | None = None
    webhook_secrets: tuple[SecretStr, ...] = Field(min_length=1, max_length=4)
    capture: Literal["automatic", "manual"] = "automatic"
    timeout_seconds: float = Field(default=10, ge=1, le=120)
    settle_seconds: int | None = Field(default=None, ge=0, le=86_400)
    max_in_flight: int = Field(default=16, ge=1, le=1000)
    payouts_per_second: float | None = Field(default=None, gt=0, le=10_000)
    source_account: str | None = Field(default=None, min_length=1, max_length=255)
    records: RecordsSettings | None = None

    @property
    def pays_out(self) -> bool:
        """Has it what a payout needs? Without, it only takes webhooks. Stripe has one address for everybody."""
        return self.api_key is not None and (self.base_url is not None or self.adapter == "stripe")


class TenantSettings(Frozen):
    """One upstream app. `rate_limit_per_second` bounds its job door, with a burst of twice that.

    Notifications go to `notify_url`, signed with each of `notify_secrets`: two while rotating.
    """

    name: str
    timezone: Annotated[str, AfterValidator(_known_zone)] = "UTC"
    api_tokens: tuple[SecretStr, ...] = Field(default=(), max_length=4)
    notify_url: Annotated[str, AfterValidator(_notify_url)] | None = None
    notify_secrets: tuple[SecretStr, ...] = Field(default=(), max_length=4)
    rate_limit_per_second: float = Field(default=2000, gt=0)
    database_roles: tuple[str, ...] = ()
    providers: dict[str, ProviderSettings] = {}


class Settings(Frozen):
    """Everything that may differ between two installations. URLs hold passwords: they stay out of its repr."""

    database_url: str | None = Field(default=None, repr=False)
    redis_url: str | None = Field(default=None, repr=False)
    broker_url: str | None = Field(default=None, repr=False)
    config: Path | None = None
    home: Path = Path(".ledgerbeat")
    http_port: int = Field(default=8080, ge=0, le=65535)
    flower_port: int = Field(default=5555, ge=0, le=65535)
    metrics_port: int | None = Field(default=None, ge=0, le=65535)
    log_format: Literal["console", "json"] = "console"
    database_role: str = "ledgerbeat_worker"
    prepared_statements: bool = True
    tenants: dict[str, TenantSettings] = Field(default={}, exclude=True)

    def require_database_url(self) -> str:
        """The SQLAlchemy URL. Raises SettingsError when none is set."""
        if self.database_url is None:
            raise SettingsError(
                "LEDGERBEAT_DATABASE_URL is not set: give it a URL such as "
                "postgresql+psycopg://user:password@host/ledgerbeat, or start everything with 'ledgerbeat up'"
            )
        return self.database_url

    def require_redis_url(self) -> str:
        """The Redis URL for locks and nudges. Raises SettingsError when none is set."""
        if self.redis_url is None:
            raise SettingsError(
                "LEDGERBEAT_REDIS_URL is not set: give it a URL such as redis://host:6379/0, "
                "or start everything with 'ledgerbeat up'"
            )
        return self.redis_url

    def require_broker_url(self) -> str:
        """The Celery broker's URL: BROKER_URL, else REDIS_URL."""
        return self.broker_url or self.require_redis_url()


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Read and check all settings. Raises SettingsError."""
    env = os.environ if environ is None else environ
    names = {f"{PREFIX}{field.upper()}": field for field in Settings.model_fields if field != "tenants"}
    values: dict[str, Any] = {field: env[name] for name, field in names.items() if env.get(name)}
    if env.get(f"{PREFIX}DATABASE_ROLE") == "":
        values["database_role"] = ""
    for name in URL_NAMES:
        if path := env.get(f"{PREFIX}{name}_FILE"):
            values[name.lower()] = _read_file(Path(path), f"{PREFIX}{name}_FILE")
    if "database_url" in values:
        values["database_url"] = _psycopg_url(values["database_url"])
    if not values.get("redis_url", "redis://").startswith(REDIS_SCHEMES):
        raise SettingsError("LEDGERBEAT_REDIS_URL must start with redis://, rediss:// or unix://")
    if "config" in values:
        values["tenants"] = _load_tenants(Path(values["config"]), env)
    try:
        return Settings(**values)
    except ValidationError as error:
        raise SettingsError(_explain(error, PREFIX)) from None


def _psycopg_url(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in {"postgresql", "postgres", "postgresql+psycopg"}:
        raise SettingsError("LEDGERBEAT_DATABASE_URL must start with postgresql:// or postgresql+psycopg://")
    return f"postgresql+psycopg://{rest}"


def _read_file(path: Path, setting: str) -> str:
    try:
        content = path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text, or not a path"
        raise SettingsError(f"{setting}: cannot read {path} ({reason})") from None
    if not content:
        raise SettingsError(f"{setting}: {path} is empty")
    return content


def _load_tenants(path: Path, env: Mapping[str, str]) -> dict[str, TenantSettings]:
    try:
        document = tomllib.loads(_read_file(path, "LEDGERBEAT_CONFIG"))
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: not valid TOML ({error})") from None
    if unknown := sorted(set(document) - {"tenants"}):
        raise SettingsError(f"{path}: unknown table [{unknown[0]}]; only [tenants.<name>] is expected")
    tables = document.get("tenants", {})
    if not isinstance(tables, dict):
        raise SettingsError(f"{path}: tenants must be tables, [tenants.<name>]")
    tenants = {name: _load_tenant(name, table, path, env) for name, table in tables.items()}
    _refuse_shared_tokens(tenants, path)
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
            values[key] = _secrets(values[key], f"{path}: {where}.{key}", path, env)
    providers = values.pop("providers", {})
    if not isinstance(providers, dict):
        raise SettingsError(f"{path}: {where}.providers must be a table")
    values["providers"] = {
        provider: _load_provider(provider, entry, f"{where}.providers.{provider}", path, env)
        for provider, entry in providers.items()
    }
    try:
        tenant = TenantSettings(**{**values, "name": name})
    except ValidationError as error:
        raise SettingsError(f"{path}: {_explain(error, f'{where}.')}") from None
    _refuse_unsigned(tenant, f"{path}: {where}")
    return tenant


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


def _load_provider(name: str, table: Any, where: str, path: Path, env: Mapping[str, str]) -> ProviderSettings:
    if not PROVIDER_NAME.fullmatch(name):
        raise SettingsError(f"{path}: {where}: a provider's name is 1-31 of a-z, 0-9, _ and -")
    if not isinstance(table, dict):
        raise SettingsError(f"{path}: {where} must be a table")
    values = dict(table)
    if "api_key" in values:
        values["api_key"] = _secret(values["api_key"], f"{path}: {where}.api_key", path, env)
    if "webhook_secrets" in values:
        values["webhook_secrets"] = _secrets(
            values["webhook_secrets"], f"{path}: {where}.webhook_secrets", path, env
        )
    try:
        provider = ProviderSettings(**{**values, "name": name})
    except ValidationError as error:
        raise SettingsError(f"{path}: {_explain(error, f'{where}.')}") from None
    for secret in provider.webhook_secrets:
        if problem := secret_problem(provider.adapter, secret.get_secret_value()):
            raise SettingsError(f"{path}: {where}.webhook_secrets: {problem}")
    return provider


def _secrets(references: Any, where: str, path: Path, env: Mapping[str, str]) -> tuple[SecretStr, ...]:
    if not isinstance(references, list):
        raise SettingsError(f'{where} must be a list such as ["env:NAME"]')
    return tuple(_secret(reference, where, path, env) for reference in references)


def _secret(reference: Any, where: str, path: Path, env: Mapping[str, str]) -> SecretStr:
    kind, _, target = reference.partition(":") if isinstance(reference, str) else ("", "", "")
    if kind == "env" and target:
        if not env.get(target):
            raise SettingsError(f"{where}: the environment variable {target} is not set")
        return SecretStr(env[target])
    if kind == "file" and target:
        return SecretStr(_read_file(path.parent / target, where))
    raise SettingsError(f"{where}: secrets are references, env:NAME or file:PATH, never values")


def _refuse_shared_tokens(tenants: Mapping[str, TenantSettings], path: Path) -> None:
    seen: dict[str, str] = {}
    for tenant in tenants.values():
        for token in tenant.api_tokens:
            value = token.get_secret_value()
            if len(value) < 16:
                raise SettingsError(f"{path}: tenants.{tenant.name}.api_tokens: at least 16 characters each")
            if seen.setdefault(value, tenant.name) != tenant.name:
                raise SettingsError(f"{path}: tenants {seen[value]} and {tenant.name} share an API token")


def _explain(error: ValidationError, prefix: str) -> str:
    first = error.errors(include_input=False, include_url=False)[0]
    name = ".".join(str(part) for part in first["loc"])
    shown = f"{prefix}{name.upper() if prefix == PREFIX else name}"
    return f"{shown}: {first['msg'].removeprefix('Value error, ')}"
