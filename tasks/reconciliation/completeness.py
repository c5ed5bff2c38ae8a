"""Webhook completeness: what the provider lists and never told us becomes the job that its webhook would have made."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from worker.database import Transaction
from worker.providers.port import MalformedEvent
from worker.providers.records import gaps
from worker.providers.records.events import ListedEvent
from worker.providers.records.gaps import Heard
from worker.providers.records.port import SourceFailed
from worker.settings import ProviderSettings

CHUNK_EVENTS = 200


@dataclass(frozen=True, slots=True)
class Sweep:
    """So many events were listed; `missed` of them nobody had told us of, `unreadable` were no events at all."""

    listed: int = 0
    missed: int = 0
    unreadable: int = 0

    def __add__(self, other: "Sweep") -> "Sweep":
        return Sweep(
            self.listed + other.listed, self.missed + other.missed, self.unreadable + other.unreadable
        )


def fill_gaps(
    transaction: Transaction,
    tenant: str,
    account: ProviderSettings,
    listed: Iterable[ListedEvent],
    *,
    now: datetime,
) -> Sweep:
    """Accept what is missing, in the list's order, chunk by chunk. Safe to repeat and to be killed anywhere.

    Raises SourceFailed, as the list does; all that it told before is accepted.
    """
    found = Sweep()
    for chunk in _chunks(listed):
        heard = [one for event in chunk if (one := _heard(tenant, account, event)) is not None]
        with transaction() as session:
            answers = gaps.fill(session, tenant, account.name, heard, now=now)
        missed = sum(map(gaps.new_jobs, answers))
        found += Sweep(len(chunk), missed, len(chunk) - len(heard))
    return found


def _chunks(listed: Iterable[ListedEvent]) -> Iterator[list[ListedEvent]]:
    """Of CHUNK_EVENTS. Where the list fails, first what it told by then."""
    chunk: list[ListedEvent] = []
    failed: SourceFailed | None = None
    try:
        for event in listed:
            chunk.append(event)
            if len(chunk) == CHUNK_EVENTS:
                yield chunk
                chunk = []
    except SourceFailed as error:
        failed = error
    if chunk:
        yield chunk
    if failed is not None:
        raise failed


def _heard(tenant: str, account: ProviderSettings, event: ListedEvent) -> Heard | None:
    try:
        return gaps.heard(tenant, account, event)
    except MalformedEvent:
        return None
