"""provider_events: what a provider lists and its webhooks never told us becomes the jobs that they would have made.

The list is read in slices of time, each as long as gives about a batch of events: so a page costs what it holds, in
whatever order the provider tells, and the cursor is where a slice begins. A second with more events than a batch holds
is told in parts; the cursor then names the events of it that are done. Every event is known by the key of its webhook's
job, so none is accepted twice, by whichever way it comes.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from sqlalchemy.orm import Session

from models.backfills.quarantine import SetAside
from models.backfills.rehearsed import remember_keys
from models.backfills.runs import Run
from models.jobs.accept import Rejected
from tasks.backfills.hands import utc_now
from tasks.backfills.port import Applied, Portion
from worker.providers.port import MalformedEvent
from worker.providers.records.asking import Patience
from worker.providers.records.events import KEPT, ListedEvent, missed_events
from worker.providers.records.gaps import Answers, Heard, fill, heard, known_keys, new_jobs
from worker.providers.records.port import SourceFailed as ListFailed
from worker.settings import ProviderSettings, SettingsError, TenantSettings
from worker.sources.port import RAW_LENGTH_MAX, Cursor, Extent, SourceFailed

SLICE_BEGIN = timedelta(hours=1)
SLICE_MIN = timedelta(seconds=1)
"""Stripe counts whole seconds: no slice is shorter."""
PATIENCE = Patience(total_seconds=300)
"""For a slice; then the run is paused, with what the provider said."""
SLICES_MAX = 100
"""So many slices without an event are asked for in one batch."""


@dataclass(frozen=True, slots=True)
class Told:
    """An event of the list. `mark` tells it from the others, whenever it is listed; `place` also says in which slice
    it stood. `jobs` is None when it cannot be read, for a `reason` in our words."""

    mark: str
    place: str
    event: ListedEvent
    jobs: Heard | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the next slice begins and how long it is; `done` are the marks of its events that have been taken."""

    at: datetime
    length: timedelta
    done: tuple[str, ...] = ()

    def as_cursor(self) -> Cursor:
        return {"at": self.at.isoformat(), "seconds": self.length.total_seconds(), "done": list(self.done)}


def settle_events(
    tenant: TenantSettings, source: Mapping[str, Any], now: datetime | None = None
) -> dict[str, Any]:
    """`source` with all that it means now: {"type": "events", "provider", "since", "until"}, in ISO 8601.

    `name` of a source in the settings stands in for `provider`; without `until`, or with one that is to come, it is
    now. Raises SourceFailed.
    """
    account, now = _account(tenant, source), now or utc_now()
    since, until = _instant(source, "since"), _instant(source, "until") if source.get("until") else now
    until = min(until, now)
    if since >= until:
        raise SourceFailed("since must be before until, and before now")
    _require_kept(account, since, now)
    told = {
        "type": "events",
        "provider": account.name,
        "since": since.isoformat(),
        "until": until.isoformat(),
    }
    return told | ({"name": source["name"]} if "name" in source else {})


def check_events(tenant: TenantSettings, source: Mapping[str, Any], now: datetime | None = None) -> None:
    """Asks the provider for a second's events. Raises SourceFailed."""
    told = settle_events(tenant, source, now)
    feed = events_feed(tenant, told, clock=lambda: now or utc_now(), patience=Patience(tries=1))
    feed.ask()


def events_feed(
    tenant: TenantSettings,
    source: Mapping[str, Any],
    *,
    clock: Callable[[], datetime],
    patience: Patience | None = None,
) -> "EventsFeed":
    """The feed of a run whose source is settled. Asks nobody yet. Raises SourceFailed."""
    account = _account(tenant, source)
    since, until = _instant(source, "since"), _instant(source, "until")
    return EventsFeed(tenant.name, account, since, until, clock, patience or PATIENCE)


def _account(tenant: TenantSettings, source: Mapping[str, Any]) -> ProviderSettings:
    configured = tenant.backfills.get(str(source.get("name")))
    name = source.get("provider") or (configured.provider if configured is not None else None)
    account = tenant.providers.get(str(name))
    if account is None:
        raise SourceFailed(
            "no such provider: name one of the tenant's, or a source in the settings that has one"
        )
    if account.adapter not in KEPT:
        raise SourceFailed(
            f"provider {account.name}: {account.adapter} has no list of events; what its webhooks missed is found by "
            "reconciliation"
        )
    if account.api_key is None:
        raise SourceFailed(f"provider {account.name}: set api_key, its events are asked for with it")
    return account


def _instant(source: Mapping[str, Any], name: str) -> datetime:
    try:
        at = datetime.fromisoformat(str(source[name]))
    except (KeyError, ValueError):
        raise SourceFailed(f"{name} must be a time in ISO 8601, such as 2026-11-20T00:00:00Z") from None
    if at.tzinfo is None:
        raise SourceFailed(f"{name} has no offset: add Z or +03:00")
    return at.astimezone(UTC)


def _require_kept(account: ProviderSettings, since: datetime, now: datetime) -> None:
    """Raises SourceFailed for what the provider no longer lists: its gaps would look like none."""
    kept = KEPT.get(account.adapter)
    if kept is not None and since < now - kept:
        raise SourceFailed(
            f"provider {account.name}: {account.adapter} lists the events of {kept.days} days only, from "
            f"{(now - kept).isoformat(timespec='seconds')}; reconciliation finds what was missed before"
        )


@dataclass(frozen=True, slots=True)
class EventsFeed:
    """The events of one account from `since` on, before `until`. A row is an event: posted means that a job was made,
    replayed that its webhook had come, unchanged that it says nothing that concerns us."""

    tenant: str
    account: ProviderSettings
    since: datetime
    until: datetime
    clock: Callable[[], datetime]
    patience: Patience

    def ask(self) -> None:
        """Raises SourceFailed where the provider does not answer."""
        next(self._listed(self.since, self.since + SLICE_MIN), None)

    def extent(self) -> Extent:
        return Extent(None, None, None)

    def read(self, run: Run, rows_max: int) -> Portion[Told]:
        place = self._place(run.cursor)
        _require_kept(self.account, place.at, self.clock())
        for _ in range(SLICES_MAX):
            told, place = self._slice(place, rows_max)
            if told or place.at >= self.until:
                return Portion(told, place.as_cursor(), is_last=place.at >= self.until)
        return Portion((), place.as_cursor(), is_last=False)

    def apply(self, session: Session, run: Run, portion: Portion[Told], *, now: datetime) -> Applied:
        readable = [one for one in portion.items if one.jobs is not None]
        jobs = [one.jobs for one in readable if one.jobs is not None]
        if run.dry_run:
            fates = _would_be(session, run, jobs)
        else:
            answers = fill(session, self.tenant, self.account.name, jobs, now=now)
            fates = [_fate(one, said) for one, said in zip(jobs, answers, strict=True)]
        refused = [
            _aside(one, "refused", fate.reason)
            for one, fate in zip(readable, fates, strict=True)
            if fate.name == "refused"
        ]
        bad = [_aside(one, "malformed_event", one.reason) for one in portion.items if one.jobs is None]
        names = [fate.name for fate in fates]
        return Applied(
            portion.after,
            portion.is_last,
            posted=names.count("posted"),
            replayed=names.count("replayed"),
            unchanged=names.count("unchanged"),
            set_aside=[*bad, *refused],
        )

    def blame(self, portion: Portion[Told], reason: str) -> Sequence[SetAside]:
        return [_aside(one, "failed", reason) for one in portion.items]

    def _place(self, cursor: Cursor | None) -> _Place:
        if cursor is None:
            return _Place(self.since, SLICE_BEGIN)
        length = timedelta(seconds=cursor["seconds"])
        return _Place(datetime.fromisoformat(cursor["at"]), length, tuple(cursor["done"]))

    def _slice(self, place: _Place, rows_max: int) -> tuple[Sequence[Told], _Place]:
        """The next events, and the place behind them. None, and the same place with a shorter slice, where it holds
        more than are wanted and can be cut."""
        ends_at = min(place.at + place.length, self.until)
        told, more = self._take(place, ends_at, rows_max)
        if not more:
            longer = place.length * 2 if len(told) * 4 <= rows_max else place.length
            return told, _Place(ends_at, longer)
        if place.length > SLICE_MIN and not place.done:
            return (), _Place(place.at, max(place.length / 2, SLICE_MIN))
        return told, _Place(place.at, place.length, (*place.done, *(one.mark for one in told)))

    def _take(self, place: _Place, ends_at: datetime, rows_max: int) -> tuple[list[Told], bool]:
        """Up to so many events that are not done, each once, and whether there are more."""
        seen = set(place.done)
        fresh = (one for one in self._listed(place.at, ends_at) if _is_new(seen, one.mark))
        found = list(islice(fresh, rows_max + 1))
        return found[:rows_max], len(found) > rows_max

    def _listed(self, since: datetime, until: datetime) -> Iterator[Told]:
        try:
            for event in missed_events(self.account, since, until, self.patience):
                yield _told(self.tenant, self.account, event, since)
        except (ListFailed, SettingsError) as error:
            raise SourceFailed(str(error)) from None


@dataclass(frozen=True, slots=True)
class _Fate:
    """posted, replayed, unchanged, or refused with a reason."""

    name: str
    reason: str = ""


def _is_new(seen: set[str], mark: str) -> bool:
    if mark in seen:
        return False
    seen.add(mark)
    return True


def _told(tenant: str, account: ProviderSettings, event: ListedEvent, since: datetime) -> Told:
    jobs, reason = None, ""
    try:
        jobs = heard(tenant, account, event)
    except MalformedEvent as error:
        reason = str(error)
    keys = "\n".join(key for key, _ in jobs.jobs) if jobs else ""
    mark = _digest(keys.encode() or event.body)
    return Told(mark, f"{since.isoformat()} {mark}", event, jobs, reason)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:24]


def _would_be(session: Session, run: Run, jobs: Sequence[Heard]) -> list[_Fate]:
    """What would become of them, had the batches of this dry run before been real."""
    missing = {key for one in jobs for key, _ in one.jobs} - known_keys(session, run.tenant, jobs)
    fresh = remember_keys(session, run.id, missing)
    keys_of = [{key for key, _ in one.jobs} for one in jobs]
    return [_Fate(("posted" if keys & fresh else "replayed") if keys else "unchanged") for keys in keys_of]


def _fate(one: Heard, answers: Answers) -> _Fate:
    for answer in answers:
        if isinstance(answer, Rejected):
            return _Fate("refused", f"{answer.error.code}: {answer.error}")
    if not one.jobs:
        return _Fate("unchanged")
    return _Fate("posted" if new_jobs(answers) else "replayed")


def _aside(one: Told, code: str, reason: str) -> SetAside:
    raw = one.event.body[:RAW_LENGTH_MAX].decode(errors="replace")
    return SetAside(one.place, None, None, raw.replace("\0", "\ufffd"), code, reason)
