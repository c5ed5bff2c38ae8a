"""What the intake means, in a page: jobs by key, drained in order of acceptance, each applied once."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

Kind = Literal["credit", "debit", "expect", "captured", "fragile", "wrong"]
LADDER = [timedelta(minutes=minutes) for minutes in (1, 5, 30, 120, 720, 1440)]
TRIES = 5


@dataclass(frozen=True)
class Ask:
    """What a caller wants: `what` is an owner, or the reference of a deposit."""

    kind: Kind
    what: str
    amount: int


@dataclass
class Job:
    ask: Ask
    state: str = "queued"
    attempts: int = 0
    due: datetime | None = None
    tried: bool = False
    postings: int = 0


class Reference:
    """A dict of jobs by key, a dict of balances, and the deposits known and paid."""

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self.balances: dict[str, int] = defaultdict(int)
        self.deposits: dict[str, bool] = {}
        self.paused = False
        self.broken = False

    def accept(self, key: str, ask: Ask) -> str:
        if self.paused and ask.kind != "captured":
            return "tenant_paused"
        if key in self.jobs:
            return "duplicate" if self.jobs[key].ask == ask else "idempotency_key_reused"
        self.jobs[key] = Job(ask)
        return "accepted"

    def drain(self, now: datetime) -> None:
        while queued := self.of("queued"):
            for job in queued:
                job.state = self.apply(job)
                if job.state in ("cooling", "parked"):
                    cooled = timedelta(seconds=10 * 2**job.attempts)
                    job.due = now + (cooled if job.state == "cooling" else LADDER[min(job.attempts, 5)])
                job.attempts, job.tried = job.attempts + 1, True

    def apply(self, job: Job) -> str:
        kind, what, amount = job.ask.kind, job.ask.what, job.ask.amount
        if kind == "wrong":
            return "dead"
        if kind == "fragile" and self.broken:
            return "dead" if job.attempts + 1 >= TRIES else "cooling"
        if kind == "debit" and self.balances[what] < amount:
            return "refused"
        if kind == "captured" and what not in self.deposits:
            return "parked"
        if kind == "expect":
            self.expect(what)
        elif kind != "captured" or not self.deposits[what]:
            self.balances[what] += -amount if kind == "debit" else amount
            self.deposits |= {what: True} if kind == "captured" else {}
            job.postings += 1
        return "done"

    def expect(self, reference: str) -> None:
        if reference not in self.deposits:
            self.deposits[reference] = False
            self.requeue([job for job in self.of("parked") if job.ask.what == reference])

    def sweep(self, now: datetime) -> None:
        self.requeue([job for job in self.of("cooling", "parked") if job.due and job.due <= now])

    def redrive(self, *states: str) -> int:
        found = self.of(*states)
        self.requeue(found, attempts=0)
        return len(found)

    def cancel(self, *states: str) -> int:
        found = self.of(*states)
        for job in found:
            job.state = "cancelled"
        return len(found)

    def of(self, *states: str) -> list[Job]:
        return [job for job in self.jobs.values() if job.state in states]

    def requeue(self, jobs: list[Job], attempts: int | None = None) -> None:
        for job in jobs:
            job.state = "queued"
            job.attempts = job.attempts if attempts is None else attempts
