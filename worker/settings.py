"""Settings: read once, from the environment (`LEDGERBEAT_*`) and the TOML file that `LEDGERBEAT_CONFIG` names.

Secrets never stand in the TOML: `env:NAME` and `file:PATH` say where they are (a relative PATH is relative to the
TOML file). A bad value raises SettingsError with a sentence that says what to set.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from worker.setting_values import Frozen, SettingsError, explained, read_file
from worker.tenant_settings import ProviderSettings, TenantSettings, load_tenants

__all__ = ["Settings", "SettingsError", "ProviderSettings", "TenantSettings", "load_settings"]

PREFIX = "LEDGERBEAT_"
URL_NAMES = ("DATABASE_URL", "REDIS_URL", "BROKER_URL")
REDIS_SCHEMES = ("redis://", "rediss://", "unix://")


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
            values[name.lower()] = read_file(Path(path), f"{PREFIX}{name}_FILE")
    if "database_url" in values:
        values["database_url"] = _psycopg_url(values["database_url"])
    if not values.get("redis_url", "redis://").startswith(REDIS_SCHEMES):
        raise SettingsError("LEDGERBEAT_REDIS_URL must start with redis://, rediss:// or unix://")
    if "config" in values:
        values["tenants"] = load_tenants(Path(values["config"]), env)
    try:
        return Settings(**values)
    except ValidationError as error:
        raise SettingsError(_of_the_environment(error)) from None


def _psycopg_url(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in {"postgresql", "postgres", "postgresql+psycopg"}:
        raise SettingsError("LEDGERBEAT_DATABASE_URL must start with postgresql:// or postgresql+psycopg://")
    return f"postgresql+psycopg://{rest}"


def _of_the_environment(error: ValidationError) -> str:
    name, colon, rest = explained(error, "").partition(":")
    return f"{PREFIX}{name.upper()}{colon}{rest}"
