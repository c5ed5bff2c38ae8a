"""What a run answers: who asked, how it ended, what it counted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

from models.invariants import Check
from models.reconciliation.ignored import Ignored
from models.reconciliation.runs import Ending
from tasks.reconciliation.policy import Night
from tasks.reconciliation.totals import Totals, adds_up, as_stored

COUNTED = ("opened", "reopened", "closed", "ignored", "fees_booked", "settlements_booked")

State = Literal["done", "truncated", "failed", "taken"]


@dataclass(frozen=True, slots=True)
class RunReport:
    """What a run found. `taken`: another process is at it, nothing was done.

    `findings` counts by kind what this run saw, and `ignored` those of them that people ignore; `ignored_records` are
    records that were compared with nothing. `findings_open` is all that stands
    open for the provider and the ledger, of whatever night.
    """

    tenant: str
    provider: str
    business_date: date
    state: State
    run_id: int | None = None
    revision: int = 0
    night: Night | None = None
    records: int = 0
    bad_rows: int = 0
    matched: int = 0
    expected: int = 0
    findings: Mapping[str, int] = field(default_factory=dict)
    opened: int = 0
    reopened: int = 0
    closed: int = 0
    ignored: int = 0
    findings_open: int = 0
    fees_booked: int = 0
    settlements_booked: int = 0
    totals: Totals = field(default_factory=dict)
    ignored_records: Sequence[Ignored] = ()
    checks: Sequence[Check] = ()
    error: str | None = None

    @property
    def adds_up(self) -> bool:
        """Matched + expected + findings = both sides, in every currency."""
        return adds_up(self.totals)

    @property
    def is_clean(self) -> bool:
        seen = sum(self.findings.values()) - self.ignored
        return self.state == "done" and not seen and not self.bad_rows and self.adds_up

    @property
    def exit_code(self) -> int:
        """0 clean, 1 findings (or bad rows, or a feed too short to conclude from), 2 failed or not run."""
        if self.state in ("failed", "taken"):
            return 2
        return 0 if self.is_clean else 1

    def ending(self) -> Ending:
        """As the run's row has it."""
        return Ending(
            state=self.state,
            records=self.records,
            bad_rows=self.bad_rows,
            matched=self.matched,
            expected=self.expected,
            findings_open=self.findings_open,
            counts={name: getattr(self, name) for name in COUNTED}
            | {"findings": dict(self.findings), "adds_up": self.adds_up, "note": self.error},
            totals=as_stored(self.totals),
            checks=[{"name": check.name, "broken": len(check.broken)} for check in self.checks],
            last_error=self.error if self.state == "failed" else None,
        )  # fmt: skip
