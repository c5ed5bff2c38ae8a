"""From the options of `backfill start` to what its run is told: each kind has its source, and no other's options."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click

from models.errors import LedgerbeatError, NotFound
from tasks.backfills.moments import moment_of
from worker.settings import Settings, TenantSettings
from worker.sources.configured import BackfillSettings
from worker.sources.registry import read_mapping

ROW_KINDS = ("postings", "opening_balances")


class CannotStart(LedgerbeatError):
    """What was asked for is no backfill; the message says what to change."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The options that name a source, as they were given."""

    kind: str | None = None
    file: Path | None = None
    mapping: Path | None = None
    format: str | None = None
    source: str | None = None
    provider: str | None = None
    since: str | None = None
    until: str | None = None
    wallets: bool = False
    owner: str | None = None
    namespace: str | None = None
    existing: str | None = None
    force: bool = False
    max_amount_minor: int | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """A kind, its source and its options, as a run has them."""

    kind: str
    source: Mapping[str, Any]
    options: Mapping[str, Any]


def tenant_of(settings: Settings, name: str) -> TenantSettings:
    """Raises NotFound."""
    if (tenant := settings.tenants.get(name)) is None:
        known = ", ".join(sorted(settings.tenants)) or "none"
        raise NotFound(f"the settings have no tenant {name} (they have: {known}); see LEDGERBEAT_CONFIG")
    return tenant


def asked(tenant: TenantSettings, wanted: Wanted) -> Asked:
    """Raises UsageError for options that do not go together, CannotStart and SourceFailed for what they name."""
    named = _named(tenant, wanted.source) if wanted.source else None
    kind = _kind(wanted, named)
    _refuse_strangers(wanted, kind)
    match kind:
        case "provider_events":
            return Asked(kind, _events(tenant, wanted, named), {})
        case "wallet_recalc":
            return Asked(kind, {"type": "wallets"} | ({"owner": wanted.owner} if wanted.owner else {}), {})
        case _:
            return Asked(kind, _rows(wanted, named), _row_options(wanted, kind))


def _named(tenant: TenantSettings, name: str) -> BackfillSettings:
    if (named := tenant.backfills.get(name)) is None:
        known = ", ".join(sorted(tenant.backfills)) or "none"
        raise CannotStart(
            f"the settings have no [tenants.{tenant.name}.backfills.{name}] (they have: {known})"
        )
    return named


def _kind(wanted: Wanted, named: BackfillSettings | None) -> str:
    """What the source is for; of rows, --kind says what they are."""
    ways = (wanted.file is not None or named is not None, wanted.provider is not None, wanted.wallets)
    if sum(ways) != 1:
        raise click.UsageError(
            "say where from, by one of --file PATH, --source NAME, --provider NAME and --wallets"
        )
    if wanted.provider is not None or (named is not None and named.provider is not None):
        only = "provider_events"
    elif wanted.wallets:
        only = "wallet_recalc"
    elif wanted.kind not in ROW_KINDS:
        raise click.UsageError(f"say what the rows are: --kind {' or '.join(ROW_KINDS)}")
    else:
        return wanted.kind
    if wanted.kind not in (None, only):
        raise click.UsageError(f"this source is for --kind {only}")
    return only


def _refuse_strangers(wanted: Wanted, kind: str) -> None:
    """Options that would say nothing for this kind."""
    rows = kind in ROW_KINDS
    for given, fits, words in (
        (wanted.mapping, wanted.file is not None, "--mapping goes with --file"),
        (wanted.format, wanted.file is not None, "--format goes with --file"),
        (wanted.since or wanted.until, kind == "provider_events", "--since and --until go with --provider"),
        (wanted.owner, kind == "wallet_recalc", "--owner goes with --wallets"),
        (wanted.existing, kind == "opening_balances", "--existing goes with --kind opening_balances"),
        (wanted.namespace, rows, "--namespace is of rows: --file or --source"),
        (wanted.force, rows, "--force is for rows, each of which is posted once: --file or --source"),
    ):
        if given and not fits:
            raise click.UsageError(words)
    if kind == "provider_events" and wanted.max_amount_minor is not None:
        raise CannotStart(
            "webhooks that are fetched again go the way of all webhooks, where no cap holds: leave --max-amount-minor "
            "out; to hold money back, pause the tenant or the provider"
        )


def _rows(wanted: Wanted, named: BackfillSettings | None) -> dict[str, Any]:
    if wanted.file is None:
        return {"type": "sql" if named and named.url is not None else "file", "name": wanted.source}
    if (wanted.mapping is None) == (named is None):
        raise click.UsageError(
            "say how to read the file: --mapping FILE.toml, or --source NAME for its mapping"
        )
    mapping = read_mapping(wanted.mapping) if wanted.mapping else _mapping_of(named)
    read = {"type": "file", "path": str(wanted.file.absolute()), "mapping": mapping}
    return read | ({"format": wanted.format} if wanted.format else {})


def _mapping_of(named: BackfillSettings | None) -> dict[str, Any]:
    if named is None or named.mapping is None:
        raise CannotStart("this source has no mapping: give --mapping FILE.toml")
    return named.mapping.model_dump(mode="json", exclude_none=True)


def _row_options(wanted: Wanted, kind: str) -> dict[str, Any]:
    existing = {"existing": wanted.existing or "refuse"} if kind == "opening_balances" else {}
    return existing | ({"force": True} if wanted.force else {})


def _events(tenant: TenantSettings, wanted: Wanted, named: BackfillSettings | None) -> dict[str, Any]:
    provider = named.provider if named is not None else wanted.provider
    if provider not in tenant.providers:
        raise CannotStart(f"the settings have no [tenants.{tenant.name}.providers.{provider}]")
    if not wanted.since or not wanted.until:
        raise click.UsageError("a provider's events need --since and --until, such as 2026-03-01")
    zone = ZoneInfo(tenant.timezone)
    since, until = _moment(wanted.since, zone), _moment(wanted.until, zone)
    if since >= until:
        raise click.UsageError("--since must be before --until")
    return {"type": "events", "provider": provider, "since": since.isoformat(), "until": until.isoformat()}


def _moment(told: str, zone: ZoneInfo) -> datetime:
    try:
        return moment_of(told, zone)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
