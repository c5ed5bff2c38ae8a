"""The kinds of backfills: what each may be told, and its feed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from models.backfills.runs import Run
from models.backfills.tables import KINDS as KIND_NAMES
from tasks.backfills.hands import Hands
from tasks.backfills.port import Feed
from tasks.backfills.recalculating import accounts_feed, settle_wallets
from tasks.backfills.refetching import check_events, events_feed, settle_events
from tasks.backfills.rows import RowsFeed
from tasks.backfills.second_look import SecondLook
from worker.settings import TenantSettings
from worker.sources.files import FileSource
from worker.sources.port import RowKind, SourceFailed
from worker.sources.registry import check_source, row_source, settled

Source = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """`settle` says all that a source means now and `check` what can be known of it before a run begins; both raise
    SourceFailed. `feed` is asked for each batch and reads nothing. `options` are those it takes beside `force`. `file`
    has the rows of a settled source, if a file has."""

    settle: Callable[[TenantSettings, Source, datetime], dict[str, Any]]
    check: Callable[[TenantSettings, Source], None]
    feed: Callable[[Hands, Run], Feed[Any]]
    options: frozenset[str] = frozenset()
    takes_cap: bool = True
    file: Callable[[TenantSettings, Source], FileSource | None] = lambda _tenant, _source: None


def kind_of(name: str) -> Kind:
    """Raises SourceFailed for a kind that there is not."""
    try:
        return KINDS[name]
    except KeyError:
        raise SourceFailed(f"a backfill is one of {', '.join(KIND_NAMES)}") from None


def feed_of(hands: Hands, run: Run) -> Feed[Any]:
    """What the run's next batch is read from. Raises SourceFailed."""
    if run.phase == "second_look":
        return SecondLook(hands.transaction)
    return kind_of(run.kind).feed(hands, run)


def tenant_of(tenants: Mapping[str, TenantSettings], name: str) -> TenantSettings:
    """Raises SourceFailed where these settings do not know the tenant."""
    try:
        return tenants[name]
    except KeyError:
        raise SourceFailed(f"the settings do not name the tenant {name}") from None


def _rows_feed(kind: RowKind, hands: Hands, run: Run) -> RowsFeed:
    tenant = tenant_of(hands.tenants, run.tenant)
    return RowsFeed(row_source(tenant, run.source, kind, digest=run.source_digest))


def _events_feed(hands: Hands, run: Run) -> Feed[Any]:
    return events_feed(tenant_of(hands.tenants, run.tenant), run.source, clock=hands.clock)


def _file(kind: RowKind, tenant: TenantSettings, source: Source) -> FileSource | None:
    found = row_source(tenant, source, kind)
    return found if isinstance(found, FileSource) else None


def _rows_kind(kind: RowKind, options: frozenset[str] = frozenset()) -> Kind:
    return Kind(
        settle=lambda tenant, source, _now: settled(tenant, source, kind),
        check=lambda tenant, source: check_source(tenant, source, kind),
        feed=partial(_rows_feed, kind),
        options=options,
        file=partial(_file, kind),
    )


KINDS: Mapping[str, Kind] = {
    "postings": _rows_kind("postings"),
    "opening_balances": _rows_kind("opening_balances", frozenset({"existing"})),
    "provider_events": Kind(
        settle=lambda tenant, source, now: settle_events(tenant, source, now=now),
        check=check_events,
        feed=_events_feed,
        takes_cap=False,
    ),
    "wallet_recalc": Kind(
        settle=lambda tenant, source, _now: settle_wallets(tenant, source),
        check=lambda _tenant, _source: None,
        feed=lambda hands, run: accounts_feed(hands.transaction, run.tenant, run.source),
    ),
}
