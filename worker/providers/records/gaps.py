"""What a provider lists and never told us of becomes the job that its webhook would have made.

The key is the webhook door's, so a webhook that arrives after all is a duplicate, and the other way round.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.jobs.accept import Accepted, JobRequest, Rejected
from models.jobs.outcomes import count
from models.steps import run
from worker.catalogue import PROVIDER_EVENT
from worker.http.recording import Delivery, Submission, recording
from worker.providers.port import ProviderEvent
from worker.providers.records.events import ListedEvent
from worker.settings import ProviderSettings

LISTED = -1
"""In place of the index of the secret that signed: nobody did, the list came over our own connection."""
MISSED = ("missed", "webhook")
"""Outcome and reason under which gaps are counted, for ever: `ledgerbeat_jobs_outcomes_total{outcome="missed"}`."""

KNOWN = text("""
    SELECT idempotency_key FROM jobs
    WHERE tenant = :tenant AND origin = 'provider' AND idempotency_key = ANY(CAST(:keys AS text[]))
""")

Answers = tuple[Accepted | Rejected, ...]
"""Of the jobs of one event that were missing; none where nothing was."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A listed event and its jobs: the idempotency key of each, and what to accept."""

    event: ListedEvent
    jobs: tuple[tuple[str, JobRequest], ...]


def heard(tenant: str, account: ProviderSettings, event: ListedEvent) -> Heard:
    """What its webhook would have made. Raises MalformedEvent."""
    return Heard(event, tuple((key, _request(tenant, account, key, one)) for key, one in event.read(account)))


def _request(tenant: str, account: ProviderSettings, key: str, told: ProviderEvent) -> JobRequest:
    return JobRequest(tenant, PROVIDER_EVENT, "provider", key, {**told.as_args(), "provider": account.name})


def known_keys(session: Session, tenant: str, told: Collection[Heard]) -> set[str]:
    """The keys of theirs that have a job already. Reads only."""
    keys = [key for one in told for key, _ in one.jobs]
    return set(session.execute(KNOWN, {"tenant": tenant, "keys": keys}).scalars())


def fill(
    session: Session, tenant: str, provider: str, told: Sequence[Heard], *, now: datetime
) -> list[Answers]:
    """Accept what is missing, in order, with the bodies it was read from. The answers of each event; safe to repeat."""
    known = known_keys(session, tenant, told)
    gaps = [at for at, one in enumerate(told) if any(key not in known for key, _ in one.jobs)]
    answers: list[Answers] = [()] * len(told)
    if not gaps:
        return answers
    submissions = [_submission(tenant, provider, told[at], known, now) for at in gaps]
    for at, recorded in zip(gaps, run(session, recording(submissions, now=now)), strict=True):
        answers[at] = recorded.answers
    count(session, {(tenant, PROVIDER_EVENT, *MISSED): sum(map(new_jobs, answers))})
    return answers


def new_jobs(answers: Answers) -> int:
    """How many of them nobody had told us of, and nobody else has meanwhile."""
    return sum(isinstance(answer, Accepted) and not answer.duplicate for answer in answers)


def _submission(tenant: str, provider: str, one: Heard, known: set[str], now: datetime) -> Submission:
    """The jobs that are missing, and the body that they were read from."""
    jobs = tuple(job for key, job in one.jobs if key not in known)
    keys = tuple(str(job.args["event_key"]) for job in jobs)
    return Submission(jobs, Delivery(tenant, provider, keys, one.event.body, LISTED, now))
