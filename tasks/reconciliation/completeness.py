"""Webhook completeness: what the provider lists and never told us becomes the job that its webhook would have made.

The key is the webhook door's, so a webhook that arrives after all is a duplicate, and the other way round.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.jobs.accept import Accepted, JobRequest
from models.jobs.outcomes import count
from models.steps import run
from worker.catalogue import PROVIDER_EVENT
from worker.database import Transaction
from worker.http.recording import Delivery, Submission, recording
from worker.providers.port import MalformedEvent
from worker.providers.records.events import ListedEvent
from worker.providers.records.port import SourceFailed
from worker.settings import ProviderSettings

CHUNK_EVENTS = 200
LISTED = -1
"""In place of the index of the secret that signed: nobody did, the list came over our own connection."""
MISSED = ("missed", "webhook")
"""Outcome and reason under which gaps are counted, for ever: `ledgerbeat_jobs_outcomes_total{outcome="missed"}`."""

KNOWN = text("""
    SELECT idempotency_key FROM jobs
    WHERE tenant = :tenant AND origin = 'provider' AND idempotency_key = ANY(CAST(:keys AS text[]))
""")


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


@dataclass(frozen=True, slots=True)
class _Heard:
    """A listed event and its jobs: key and arguments of each."""

    event: ListedEvent
    jobs: tuple[tuple[str, JobRequest], ...]


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
            missed = _accept_missing(session, tenant, account.name, heard, now)
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


def _heard(tenant: str, account: ProviderSettings, event: ListedEvent) -> _Heard | None:
    try:
        told = event.read(account)
    except MalformedEvent:
        return None
    return _Heard(
        event,
        tuple(
            (
                key,
                JobRequest(
                    tenant, PROVIDER_EVENT, "provider", key, {**one.as_args(), "provider": account.name}
                ),
            )
            for key, one in told
        ),
    )


def _accept_missing(
    session: Session, tenant: str, provider: str, heard: Sequence[_Heard], now: datetime
) -> int:
    keys = [key for one in heard for key, _ in one.jobs]
    known = set(session.execute(KNOWN, {"tenant": tenant, "keys": keys}).scalars())
    submissions = [
        _submission(tenant, provider, one, known, now)
        for one in heard
        if {key for key, _ in one.jobs} - known
    ]
    if not submissions:
        return 0
    answers = [answer for one in run(session, recording(submissions, now=now)) for answer in one.answers]
    missed = sum(isinstance(answer, Accepted) and not answer.duplicate for answer in answers)
    count(session, {(tenant, PROVIDER_EVENT, *MISSED): missed})
    return missed


def _submission(tenant: str, provider: str, one: _Heard, known: set[str], now: datetime) -> Submission:
    """The jobs that are missing, and the body that they were read from."""
    jobs = tuple(job for key, job in one.jobs if key not in known)
    keys = tuple(str(job.args["event_key"]) for job in jobs)
    return Submission(jobs, Delivery(tenant, provider, keys, one.event.body, LISTED, now))
