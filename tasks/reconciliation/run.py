"""A run under way: what it works with, and what it has counted so far."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from models.reconciliation.runs import Claim, renew_claim
from models.reconciliation.scope import STATEMENT_SECONDS_MAX, Scope
from models.tenants import Tenant
from tasks.reconciliation.outcome import RunReport, State
from tasks.reconciliation.policy import Night
from worker.database import Transaction

STAGING_SECONDS = 180
"""The claim while records stream in: longer than a source may take for a page."""
STATEMENT_SECONDS = STATEMENT_SECONDS_MAX + 60
"""The claim while one statement works."""
LEDGER = "ledger"
"""What broken invariants are filed under: the ledger belongs to no provider."""

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class File:
    """A report file, where the source is one."""

    name: str
    digest: str


@dataclass(slots=True)
class Run:
    """`report` says what has been counted; every write renews the claim first, and so proves it."""

    transaction: Transaction
    clock: Clock
    claim: Claim
    tenant: Tenant
    night: Night
    scope: Scope
    file: File | None = None
    records: int = 0
    bad_rows: int = 0
    fees_booked: int = 0
    settlements_booked: int = 0

    def renew(self, session: Session, seconds: float) -> None:
        renew_claim(session, self.claim, seconds=seconds, now=self.clock())

    def report(self, state: State, **others: Any) -> RunReport:
        return RunReport(
            self.claim.tenant, self.claim.provider, self.claim.business_date, state,
            run_id=self.claim.run_id, revision=self.claim.revision, night=self.night, records=self.records,
            bad_rows=self.bad_rows, fees_booked=self.fees_booked,
            settlements_booked=self.settlements_booked, **others,
        )  # fmt: skip
